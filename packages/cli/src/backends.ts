import type { Backend } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import type { Terminal } from './terminal.js';

export interface BackendChoice {
  readonly backend: string;
  readonly threads?: number;
}

interface BackendRow {
  readonly id: string;
  /** Throws BackendError (BACKEND_UNAVAILABLE) where this machine cannot run it; the message says what would bring it. */
  open(options: { readonly threads?: number }): Promise<Backend>;
  readonly threads: boolean;
  /** Whether `auto` tries it. */
  readonly automatic: boolean;
}

/** Best first: `auto` takes the first that opens. */
const rows: readonly BackendRow[] = [
  { id: 'native', open: async (options) => (await import('@weightspec/backend-native')).openBackend(options), threads: true, automatic: true },
  { id: 'wasm', open: async (options) => (await import('@weightspec/backend-wasm')).openBackend(options), threads: true, automatic: true },
  { id: 'webgpu', open: async () => (await import('@weightspec/backend-webgpu')).openBackend(), threads: false, automatic: false },
  { id: 'reference', open: async () => (await import('@weightspec/kernels')).referenceBackend, threads: false, automatic: true },
];

export const backendIds: readonly string[] = rows.map(({ id }) => id);

/** The backend asked for. Throws BackendError (BACKEND_UNAVAILABLE) rather than take another one in its place. */
export async function chooseBackend({ backend: asked, threads }: BackendChoice, terminal: Terminal): Promise<Backend> {
  const { row, backend } = asked === 'auto' ? await firstThatOpens(threads, terminal) : await openNamed(asked, threads);
  if (threads !== undefined && !row.threads) terminal.stderr.write(`--threads ${threads} has no effect: the ${row.id} backend computes on one thread\n`);
  return backend;
}

async function openNamed(asked: string, threads: number | undefined): Promise<{ row: BackendRow; backend: Backend }> {
  const row = rows.find(({ id }) => id === asked);
  if (!row) throw new BackendError('BACKEND_UNAVAILABLE', `there is no backend ${asked}; there are ${backendIds.join(', ')}`);
  return { row, backend: await row.open({ threads }) };
}

async function firstThatOpens(threads: number | undefined, { stderr }: Terminal): Promise<{ row: BackendRow; backend: Backend }> {
  for (const row of rows.filter(({ automatic }) => automatic)) {
    try {
      const backend = await row.open({ threads });
      stderr.write(`backend: ${row.id}\n`);
      return { row, backend };
    } catch (error) {
      if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      stderr.write(`${error.message.replace('BACKEND_UNAVAILABLE: ', '')}\n`);
    }
  }
  throw new BackendError('BACKEND_UNAVAILABLE', 'no backend opens here');
}

import { setFlagsFromString } from 'node:v8';
import type { Backend } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import type { Terminal } from './terminal.js';

export interface BackendChoice {
  readonly backend: string;
  readonly threads?: number;
  /** Numbers are the result: activations must not be rounded to int8, however much faster that is. */
  readonly exact?: boolean;
  /** False: no copies of weights in an order that is faster to read. */
  readonly repack?: boolean;
}

type OpenOptions = Omit<BackendChoice, 'backend'>;

interface BackendRow {
  readonly id: string;
  /** Throws BackendError (BACKEND_UNAVAILABLE) where this machine cannot run it; the message says what would bring it. */
  open(options: OpenOptions): Promise<Backend>;
  readonly threads: boolean;
  /** What `auto` tries it for: all, models to run, or nothing. */
  readonly automatic: 'always' | 'inexact' | 'never';
}

/** Best first: `auto` takes the first that opens. */
const rows: readonly BackendRow[] = [
  { id: 'native', open: async ({ threads, exact, repack }) => (await import('@weightspec/backend-native')).openBackend({ threads, ...(exact && { activations: 'f32' }), ...(repack === false && { repackBudgetBytes: 0 }) }), threads: true, automatic: 'always' },
  // Always multiplies weights of Q types in integers.
  { id: 'wasm', open: openWasm, threads: true, automatic: 'inexact' },
  { id: 'webgpu', open: async () => (await import('@weightspec/backend-webgpu')).openBackend(), threads: false, automatic: 'never' },
  { id: 'reference', open: async () => (await import('@weightspec/kernels')).referenceBackend, threads: false, automatic: 'always' },
];

export const backendIds: readonly string[] = rows.map(({ id }) => id);

async function openWasm({ threads }: OpenOptions): Promise<Backend> {
  // Node 20 has relaxed SIMD behind a flag, which counts for modules that are compiled from here on; later ones have it without.
  if (process.versions.node.startsWith('20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return (await import('@weightspec/backend-wasm')).openBackend({ threads });
}

/** The backend asked for. Throws BackendError (BACKEND_UNAVAILABLE) rather than take another one in its place. */
export async function chooseBackend({ backend: asked, threads, exact, repack }: BackendChoice, terminal: Terminal): Promise<Backend> {
  const options: OpenOptions = { threads, exact, repack };
  const { row, backend } = asked === 'auto' ? await firstThatOpens(options, terminal) : await openNamed(asked, options);
  if (threads !== undefined && !row.threads) terminal.stderr.write(`--threads ${threads} has no effect: the ${row.id} backend computes on one thread\n`);
  return backend;
}

interface Opened {
  readonly row: BackendRow;
  readonly backend: Backend;
}

async function openNamed(asked: string, options: OpenOptions): Promise<Opened> {
  const row = rows.find(({ id }) => id === asked);
  if (!row) throw new BackendError('BACKEND_UNAVAILABLE', `there is no backend ${asked}; there are ${backendIds.join(', ')}`);
  return { row, backend: await row.open(options) };
}

async function firstThatOpens(options: OpenOptions, { stderr }: Terminal): Promise<Opened> {
  for (const row of rows.filter(({ automatic }) => automatic === 'always' || (automatic === 'inexact' && !options.exact))) {
    try {
      const backend = await row.open(options);
      stderr.write(`backend: ${row.id}\n`);
      return { row, backend };
    } catch (error) {
      if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      stderr.write(`${error.message.replace('BACKEND_UNAVAILABLE: ', '')}\n`);
    }
  }
  throw new BackendError('BACKEND_UNAVAILABLE', 'no backend opens here');
}

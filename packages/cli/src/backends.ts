import type { Backend } from '@weightspec/core';
import { CliError } from './codes.js';
import type { Terminal } from './terminal.js';

export interface BackendChoice {
  readonly backend: string;
  readonly threads?: number;
}

interface BackendRow {
  readonly id: string;
  /** Absent when this version does not come with it. */
  readonly load?: () => Promise<Backend>;
  readonly threads: boolean;
}

/** Best first: `auto` takes the first that is there. */
const rows: readonly BackendRow[] = [
  { id: 'native', threads: true },
  { id: 'webgpu', threads: false },
  { id: 'wasm', threads: true },
  { id: 'reference', load: async () => (await import('@weightspec/kernels')).referenceBackend, threads: false },
];

/** The backend asked for. Throws CliError (CLI_BACKEND_MISSING) rather than take another one in its place. */
export async function chooseBackend({ backend: asked, threads }: BackendChoice, { stderr }: Terminal): Promise<Backend> {
  const present = rows.filter(({ load }) => load !== undefined);
  const row = asked === 'auto' ? present[0] : rows.find(({ id }) => id === asked);
  if (!row?.load) {
    throw new CliError('CLI_BACKEND_MISSING', `the ${asked} backend is not part of this installation (package @weightspec/backend-${asked}); there is: ${present.map(({ id }) => id).join(', ')}`);
  }
  if (asked === 'auto') stderr.write(`backend: ${row.id}\n`);
  if (threads !== undefined && !row.threads) stderr.write(`--threads ${threads} has no effect: the ${row.id} backend computes on one thread\n`);
  return row.load();
}

/** What runs models in a browser, best first. */
import type { Backend } from '@weightspec/core';
import { loadModel, type LoadedModel, type LoadOptions } from '@weightspec/engine';
import type { Checkpoint } from '@weightspec/core';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import type { BackendId, Prepared } from './protocol.js';

const rows: readonly { readonly id: BackendId; readonly open: () => Promise<Backend> }[] = [
  { id: 'webgpu', open: async () => (await import('@weightspec/backend-webgpu')).openBackend() },
  { id: 'wasm', open: async () => (await import('@weightspec/backend-wasm')).openBackend() },
  { id: 'reference', open: async () => referenceBackend },
];

export interface LoadedOn {
  readonly model: LoadedModel;
  readonly backend: BackendId;
  readonly refused: Prepared['refused'];
}

/** Loads the model on `asked`, or with `auto` on the first that can. Throws BackendError rather than run it elsewhere than asked. */
export async function loadOn(asked: BackendId | 'auto', checkpoint: Checkpoint, options: LoadOptions): Promise<LoadedOn> {
  const refused: { id: BackendId; reason: string }[] = [];
  for (const { id, open } of rows.filter((row) => asked === 'auto' || row.id === asked)) {
    try {
      return { model: await loadModel(checkpoint, { ...options, backend: await open() }), backend: id, refused };
    } catch (error) {
      if (asked !== 'auto' || id === 'reference' || !(error instanceof BackendError)) throw error;
      refused.push({ id, reason: error.message.replace(/^[A-Z_]+: /, '') });
    }
  }
  throw new BackendError('BACKEND_UNAVAILABLE', 'no backend opens here');
}

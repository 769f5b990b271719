import type { Backend } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';

export interface OpenOptions {
  readonly threads?: number;
}

/** Throws BackendError (BACKEND_UNAVAILABLE). */
export async function openBackend(_options: OpenOptions = {}): Promise<Backend> {
  throw new BackendError('BACKEND_UNAVAILABLE', 'the wasm backend is not part of this version');
}

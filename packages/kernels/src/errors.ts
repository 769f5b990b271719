/** A backend that is not there, or a program or its weights that it cannot run; thrown by `openBackend`, `compile` and `run`. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  constructor(
    readonly code: 'PROGRAM_INVALID' | 'OP_UNSUPPORTED' | 'WEIGHT_MISSING' | 'WEIGHT_INVALID' | 'STORAGE_UNSUPPORTED' | 'BACKEND_UNAVAILABLE' | 'BACKEND_FAILED',
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

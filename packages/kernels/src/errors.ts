/** A program or its weights that a backend cannot run; thrown by `compile`. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  constructor(
    readonly code: 'PROGRAM_INVALID' | 'OP_UNSUPPORTED' | 'WEIGHT_MISSING' | 'WEIGHT_INVALID' | 'STORAGE_UNSUPPORTED',
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

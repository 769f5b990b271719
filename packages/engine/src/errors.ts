/** A model that cannot go on. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    readonly code: 'LOGITS_NOT_FINITE',
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

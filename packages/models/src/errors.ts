/** A checkpoint that does not hold the model it should; `problems` lists everything that is wrong. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  constructor(
    readonly code: 'MODEL_UNKNOWN_FORMAT' | 'MODEL_CONFIG' | 'MODEL_WEIGHTS',
    readonly problems: readonly string[],
  ) {
    super(`${code}: ${problems.join('; ')}`);
  }
}

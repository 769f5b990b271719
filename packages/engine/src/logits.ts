import type { LoadedModel } from './load.js';
import { assertFits, pauser, prefill } from './prefill.js';

export interface LogitsOptions {
  /** One row a token instead of the last token's only. */
  readonly all?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Logits of a sequence from position 0: [rows, vocabSize] f32, row-major. Throws RangeError when the tokens are none,
 * do not fit the context, or are outside the vocabulary.
 */
export async function logits(model: LoadedModel, tokens: readonly number[], { all = false, signal }: LogitsOptions = {}): Promise<Float32Array> {
  const release = model.claim();
  try {
    assertFits(model, tokens);
    const rows = new Float32Array(model.program.vocabSize * (all ? tokens.length : 1));
    let filled = 0;
    const onBatch = (batch: Float32Array): void => {
      rows.set(batch, filled);
      if (all) filled += batch.length;
    };
    await prefill(model, tokens, { all, signal, pause: pauser(signal), onBatch });
    return rows;
  } finally {
    release();
  }
}

/** llama2.c weight files: Meta's names, and a header with everything but three constants. */
import { FieldReader } from '../field-reader.js';
import type { ModelScheme } from './scheme.js';

/** Stored in no llama2.c file; run.c@350e04fe has it in forward(): powf(10000.0f, …). */
export const LLAMA2C_ROPE_THETA = 10000;
/** Stored in no llama2.c file; run.c@350e04fe has it in rmsnorm(): ss += 1e-5f. */
export const LLAMA2C_NORM_EPS = Math.fround(1e-5);
/** Stored in no llama2.c file; run.c@350e04fe ends a text when BOS comes next: if (next == 1) { break; } */
const LLAMA2C_STOP_TOKENS = [1] as const;

export const llama2cScheme: ModelScheme = {
  format: 'llama2c',
  describe({ format, metadata }) {
    const read = new FieldReader(`the ${format} checkpoint`, metadata);
    const dim = read.number('dim');
    const heads = read.number('n_heads');
    const config = {
      architecture: 'llama',
      dim,
      hiddenDim: read.number('hidden_dim'),
      layers: read.number('n_layers'),
      heads,
      kvHeads: read.number('n_kv_heads'),
      headDim: dim / heads,
      vocabSize: read.number('vocab_size'),
      maxSeqLen: read.number('max_seq_len'),
      normEps: LLAMA2C_NORM_EPS,
      ropeTheta: LLAMA2C_ROPE_THETA,
      ropeStyle: 'interleaved',
      tiedEmbeddings: read.flag('shared_classifier'),
    } as const;
    read.done();
    return { config, names: 'meta', stopTokens: LLAMA2C_STOP_TOKENS };
  },
};

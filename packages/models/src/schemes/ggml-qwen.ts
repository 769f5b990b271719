/** qwen.cpp's container: the first Qwen's names, and a header with everything but two constants. */
import { FieldReader } from '../field-reader.js';
import type { ModelScheme } from './scheme.js';

/** Stored in no file; qwen.cpp@e532c24 qwen.h: RMSNorm's eps, and ggml_rope's base in QwenAttention. */
const QWEN_NORM_EPS = 1e-6;
const QWEN_ROPE_THETA = 10000;

export const ggmlQwenScheme: ModelScheme = {
  format: 'ggml-qwen',
  describe({ format, metadata, tensors }) {
    const read = new FieldReader(`the ${format} checkpoint`, metadata);
    const dim = read.number('hidden_size');
    const heads = read.number('num_attention_heads');
    const kvHeads = read.number('num_kv_heads');
    read.expect(kvHeads === heads, `${kvHeads} kv heads and ${heads} heads: c_attn has no room for grouped queries`);
    const config = {
      architecture: 'qwen1',
      dim,
      // The header counts w1 and w2 together, and some writers do not: the matrix itself says how many rows it has.
      hiddenDim: tensors.find(({ name }) => name === 'transformer.h.0.mlp.w1.weight')?.shape[0] ?? read.number('intermediate_size') / 2,
      layers: read.number('num_hidden_layers'),
      heads,
      kvHeads,
      headDim: dim / heads,
      vocabSize: read.number('vocab_size'),
      maxSeqLen: read.number('max_length'),
      normEps: QWEN_NORM_EPS,
      ropeTheta: QWEN_ROPE_THETA,
      ropeStyle: 'halves',
      tiedEmbeddings: false,
    } as const;
    const stopTokens = ['eos_token_id', 'im_start_id', 'im_end_id'].map((key) => read.number(key));
    read.done();
    return { config, names: 'qwen1', stopTokens };
  },
};

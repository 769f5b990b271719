/** llama2.c's weight files and training checkpoints: Meta's names, and everything but three constants. */
import type { Checkpoint } from '@weightspec/core';
import { FieldReader } from '../field-reader.js';
import { decoderConfigFromMeta } from '../meta-params.js';
import type { ModelDescription, ModelScheme } from './scheme.js';

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

/**
 * llama2.c's ckpt.pt: a state dict beside the model's arguments, which are those of params.json and max_seq_len, and hidden_dim where
 * it was chosen rather than computed. Source: llama2.c model.py@350e04fe ModelArgs, train.py.
 */
export function llama2cTrainingCheckpoint({ tensors }: Checkpoint, modelArgs: { readonly [key: string]: unknown }): ModelDescription {
  const read = new FieldReader('model_args', modelArgs);
  const maxSeqLen = read.number('max_seq_len', 2048);
  const hiddenDim = read.has('hidden_dim') ? read.number('hidden_dim') : undefined;
  read.done();
  const config = decoderConfigFromMeta(modelArgs, { maxSeqLen });
  // model.py ties the two; the state dict then has the same storage under both names, or only one of them.
  const tiedEmbeddings = !tensors.some(({ name }) => name === 'output.weight');
  return { config: { ...config, hiddenDim: hiddenDim ?? config.hiddenDim, tiedEmbeddings }, names: 'meta', stopTokens: LLAMA2C_STOP_TOKENS };
}

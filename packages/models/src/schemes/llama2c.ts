/** llama2.c weight files: Meta's names, and a header with everything but two constants. */
import type { Checkpoint } from '@weightspec/core';
import { ModelError } from '../errors.js';
import type { ModelScheme } from './scheme.js';

/** Stored in no llama2.c file; run.c@350e04fe has it in forward(): powf(10000.0f, …). */
export const LLAMA2C_ROPE_THETA = 10000;
/** Stored in no llama2.c file; run.c@350e04fe has it in rmsnorm(): ss += 1e-5f. */
export const LLAMA2C_NORM_EPS = Math.fround(1e-5);

export const llama2cScheme: ModelScheme = {
  format: 'llama2c',
  configOf(checkpoint) {
    const read = metadataReader(checkpoint);
    const dim = read.count('dim');
    const heads = read.count('n_heads');
    const config = {
      architecture: 'llama',
      dim,
      hiddenDim: read.count('hidden_dim'),
      layers: read.count('n_layers'),
      heads,
      kvHeads: read.count('n_kv_heads'),
      headDim: dim / heads,
      vocabSize: read.count('vocab_size'),
      maxSeqLen: read.count('max_seq_len'),
      normEps: LLAMA2C_NORM_EPS,
      ropeTheta: LLAMA2C_ROPE_THETA,
      ropeStyle: 'interleaved',
      tiedEmbeddings: read.flag('shared_classifier'),
    } as const;
    if (read.problems.length > 0) throw new ModelError('MODEL_CONFIG', read.problems);
    return config;
  },
  nameOf: (metaName) => metaName,
};

/** Reads metadata and collects what is missing or of another kind. */
function metadataReader({ format, metadata }: Checkpoint) {
  const problems: string[] = [];
  return {
    problems,
    count(key: string): number {
      const value = metadata[key];
      if (typeof value === 'number') return value;
      problems.push(`the ${format} checkpoint has no number ${key}`);
      return Number.NaN;
    },
    flag(key: string): boolean {
      const value = metadata[key];
      if (typeof value !== 'boolean') problems.push(`the ${format} checkpoint has no flag ${key}`);
      return value === true;
    },
  };
}

/** Meta's params.json. Sources: meta-llama/llama and llama3 model.py ModelArgs (defaults), FeedForward (the hidden size). */
import type { DecoderConfig } from './decoder-config.js';
import { ModelError } from './errors.js';
import { FieldReader, objectOf } from './field-reader.js';

export interface MetaParamsOptions {
  /** Rows of the embedding: params.json of Llama 1 and 2 says −1. */
  readonly vocabSize?: number;
  /** Positions to run; stored nowhere. Default 2048, as in ModelArgs. */
  readonly maxSeqLen?: number;
}

/** Throws ModelError (MODEL_CONFIG) naming everything that is missing or not supported. */
export function decoderConfigFromMeta(params: unknown, { vocabSize, maxSeqLen = 2048 }: MetaParamsOptions = {}): DecoderConfig {
  const fields = objectOf(params);
  if (!fields) throw new ModelError('MODEL_CONFIG', ['params.json holds no object']);
  const read = new FieldReader('params.json', fields);
  const dim = read.number('dim');
  const heads = read.number('n_heads');
  read.expect(!read.flag('use_scaled_rope', false), 'use_scaled_rope (Llama 3.1 and later) is not supported');
  const stated = read.number('vocab_size', -1);
  const config: DecoderConfig = {
    architecture: 'llama',
    dim,
    hiddenDim: metaHiddenDim(dim, read.number('multiple_of', 256), read.has('ffn_dim_multiplier') ? read.number('ffn_dim_multiplier') : undefined),
    layers: read.number('n_layers'),
    heads,
    kvHeads: read.number('n_kv_heads', heads),
    headDim: dim / heads,
    vocabSize: stated > 0 ? stated : (vocabSize ?? Number.NaN),
    maxSeqLen,
    normEps: read.number('norm_eps', 1e-5),
    ropeTheta: read.number('rope_theta', 10000),
    ropeStyle: 'interleaved',
    tiedEmbeddings: false,
  };
  read.expect(!Number.isNaN(config.vocabSize), 'vocab_size is not stated');
  read.done();
  return config;
}

/** Width of the feed-forward: 2/3 of 4·dim, times `multiplier`, cut to an integer each time, then up to a multiple of `multipleOf`. */
export function metaHiddenDim(dim: number, multipleOf: number, multiplier?: number): number {
  const twoThirds = Math.trunc((2 * (4 * dim)) / 3);
  const scaled = multiplier === undefined ? twoThirds : Math.trunc(multiplier * twoThirds);
  return multipleOf * Math.floor((scaled + multipleOf - 1) / multipleOf);
}

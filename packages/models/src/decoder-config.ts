import type { RopeStyle } from '@weightspec/core';

/** Everything that a decoder's forward pass needs to know beside its weights. */
export interface DecoderConfig {
  /** `llama` is 1, 2 and 3; `qwen1` is the first Qwen; `qwen2` is Qwen1.5, 2 and 2.5. */
  readonly architecture: 'llama' | 'qwen1' | 'qwen2';
  /** Width of the residual stream. */
  readonly dim: number;
  /** Width of the feed-forward's inner layer. */
  readonly hiddenDim: number;
  readonly layers: number;
  readonly heads: number;
  /** Key and value heads; each serves heads / kvHeads query heads. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  /** Positions that the model was trained for. */
  readonly maxSeqLen: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  readonly ropeStyle: RopeStyle;
  /** The classifier is the token embedding. */
  readonly tiedEmbeddings: boolean;
}

/** Far above any real model: a list of the ops of more layers would only exhaust memory. */
export const MAX_LAYERS = 4096;

/** What is wrong with `config`, in words; empty when a program can be built from it. */
export function checkDecoderConfig(config: DecoderConfig): string[] {
  const counts = ['dim', 'hiddenDim', 'layers', 'heads', 'kvHeads', 'headDim', 'vocabSize', 'maxSeqLen'] as const;
  const problems = counts.filter((name) => !Number.isSafeInteger(config[name]) || config[name] < 1).map((name) => `${name} is ${config[name]}, not a positive integer`);
  if (config.layers > MAX_LAYERS) problems.push(`there are ${config.layers} layers; the limit is ${MAX_LAYERS}`);
  if (config.heads % config.kvHeads !== 0) problems.push(`${config.kvHeads} kv heads do not divide ${config.heads} heads`);
  if (config.headDim % 2 !== 0) problems.push(`headDim ${config.headDim} is odd, and RoPE rotates pairs`);
  if (!(config.normEps >= 0)) problems.push(`normEps is ${config.normEps}`);
  if (!(config.ropeTheta > 0)) problems.push(`ropeTheta is ${config.ropeTheta}`);
  return problems;
}

/** Whether the projections to queries, keys and values have biases. No other matrix of these architectures has one. */
export function hasQkvBiases({ architecture }: DecoderConfig): boolean {
  return architecture !== 'llama';
}

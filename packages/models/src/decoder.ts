/**
 * The decoder of Llama 2 and 3, Qwen and Qwen2 as a Program. They differ in the biases of q, k and v, in RoPE's pairs and in numbers.
 * Sources: karpathy/llama2.c run.c@350e04fe forward(); Meta's llama model.py for the weight names; qwen.cpp@e532c24;
 * transformers modeling_qwen2.py. Biases, which Meta's models have none of, are named as their matrices are.
 */
import type { BufferSpec, Op, Program, WeightSpec } from '@weightspec/core';
import { checkDecoderConfig, hasQkvBiases, type DecoderConfig } from './decoder-config.js';
import { ModelError } from './errors.js';

/** The forward pass of one token, to be read from top to bottom. Throws ModelError (MODEL_CONFIG). */
export function decoderProgram(config: DecoderConfig): Program {
  const problems = checkDecoderConfig(config);
  if (problems.length > 0) throw new ModelError('MODEL_CONFIG', problems);

  const { dim, hiddenDim, layers, heads, kvHeads, headDim, vocabSize, maxSeqLen, normEps: eps, ropeTheta: theta, ropeStyle: style } = config;
  const qWidth = heads * headDim;
  const kvWidth = kvHeads * headDim;
  const biased = hasQkvBiases(config);
  const classifier = config.tiedEmbeddings ? 'tok_embeddings.weight' : 'output.weight';

  const ops: Op[] = [
    { op: 'embed', weight: 'tok_embeddings.weight', out: 'x' }, // x = tok_embeddings[token]                      (dim)
  ];
  for (let layer = 0; layer < layers; layer += 1) {
    const at = `layers.${layer}`;
    ops.push(
      { op: 'rmsnorm', x: 'x', weight: `${at}.attention_norm.weight`, eps, out: 'xb', layer }, //                    (dim)
      { op: 'matmul', x: 'xb', weight: `${at}.attention.wq.weight`, ...(biased && { bias: `${at}.attention.wq.bias` }), out: 'q', layer }, // (heads · headDim)
      { op: 'matmul', x: 'xb', weight: `${at}.attention.wk.weight`, ...(biased && { bias: `${at}.attention.wk.bias` }), out: 'k', layer }, // (kvHeads · headDim)
      { op: 'matmul', x: 'xb', weight: `${at}.attention.wv.weight`, ...(biased && { bias: `${at}.attention.wv.bias` }), out: 'v', layer }, // (kvHeads · headDim)
      { op: 'rope', x: 'q', heads, headDim, theta, style, layer },
      { op: 'rope', x: 'k', heads: kvHeads, headDim, theta, style, layer },
      { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'att', heads, kvHeads, headDim, layer }, //                    (heads · headDim)
      { op: 'matmul', x: 'att', weight: `${at}.attention.wo.weight`, out: 'xb', layer }, //                          (dim)
      { op: 'add', a: 'x', b: 'xb', out: 'x', layer }, // x += attention                                             (dim)
      { op: 'rmsnorm', x: 'x', weight: `${at}.ffn_norm.weight`, eps, out: 'xb', layer }, //                          (dim)
      { op: 'matmul', x: 'xb', weight: `${at}.feed_forward.w1.weight`, out: 'gate', layer }, //                      (hiddenDim)
      { op: 'matmul', x: 'xb', weight: `${at}.feed_forward.w3.weight`, out: 'up', layer }, //                        (hiddenDim)
      { op: 'swiglu', gate: 'gate', up: 'up', out: 'gate', layer }, //                                               (hiddenDim)
      { op: 'matmul', x: 'gate', weight: `${at}.feed_forward.w2.weight`, out: 'xb', layer }, //                      (dim)
      { op: 'add', a: 'x', b: 'xb', out: 'x', layer }, // x += feed-forward                                          (dim)
    );
  }
  ops.push(
    { op: 'rmsnorm', x: 'x', weight: 'norm.weight', eps, out: 'x' }, //                                              (dim)
    { op: 'matmul', x: 'x', weight: classifier, out: 'logits' }, //                                                  (vocabSize)
  );

  const buffers: BufferSpec[] = [
    { name: 'x', width: dim },
    { name: 'xb', width: dim },
    { name: 'q', width: qWidth },
    { name: 'k', width: kvWidth },
    { name: 'v', width: kvWidth },
    { name: 'att', width: qWidth },
    { name: 'gate', width: hiddenDim },
    { name: 'up', width: hiddenDim },
    { name: 'logits', width: vocabSize },
  ];
  return { architecture: config.architecture, vocabSize, maxSeqLen, layers, kvWidth, buffers, weights: decoderWeights(config), ops, logits: 'logits' };
}

/** Every weight of the model in Meta's naming; matrices are [out, in]. */
export function decoderWeights(config: DecoderConfig): WeightSpec[] {
  const { dim, hiddenDim, layers, heads, kvHeads, headDim, vocabSize } = config;
  const weights: WeightSpec[] = [{ name: 'tok_embeddings.weight', shape: [vocabSize, dim] }];
  for (let layer = 0; layer < layers; layer += 1) {
    const at = `layers.${layer}`;
    weights.push(
      { name: `${at}.attention_norm.weight`, shape: [dim] },
      { name: `${at}.attention.wq.weight`, shape: [heads * headDim, dim] },
      { name: `${at}.attention.wk.weight`, shape: [kvHeads * headDim, dim] },
      { name: `${at}.attention.wv.weight`, shape: [kvHeads * headDim, dim] },
      ...(hasQkvBiases(config) ? qkvBiases(config, at) : []),
      { name: `${at}.attention.wo.weight`, shape: [dim, heads * headDim] },
      { name: `${at}.ffn_norm.weight`, shape: [dim] },
      { name: `${at}.feed_forward.w1.weight`, shape: [hiddenDim, dim] },
      { name: `${at}.feed_forward.w2.weight`, shape: [dim, hiddenDim] },
      { name: `${at}.feed_forward.w3.weight`, shape: [hiddenDim, dim] },
    );
  }
  weights.push({ name: 'norm.weight', shape: [dim] });
  if (!config.tiedEmbeddings) weights.push({ name: 'output.weight', shape: [vocabSize, dim] });
  return weights;
}

function qkvBiases({ heads, kvHeads, headDim }: DecoderConfig, at: string): WeightSpec[] {
  return [
    { name: `${at}.attention.wq.bias`, shape: [heads * headDim] },
    { name: `${at}.attention.wk.bias`, shape: [kvHeads * headDim] },
    { name: `${at}.attention.wv.bias`, shape: [kvHeads * headDim] },
  ];
}

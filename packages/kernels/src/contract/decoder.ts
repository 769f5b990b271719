/** A small decoder, two layers with grouped queries, as a Program and in float64. */
import type { Op, Program, RopeStyle } from '@weightspec/core';
import { randomWeight, type TestWeight } from './data.js';
import * as float64 from './float64.js';
import type { Row } from './float64.js';
import type { OpCase } from './cases.js';

const shape = { dim: 12, hidden: 20, layers: 2, heads: 3, kvHeads: 1, headDim: 4, vocab: 19 };
const eps = 1e-5;
const theta = 10000;

/**
 * 33 ops follow each other; each adds at most (widest sum + 16) · 2^−24 of its largest number, and norms and the size of these
 * random weights keep an error from growing more than eightfold on its way to the logits.
 */
const RELATIVE_BOUND = 8 * 33 * (shape.hidden + 16) * 2 ** -24;

export function decoderCase(style: RopeStyle): OpCase {
  const weights = new Map<string, TestWeight>();
  const weight = (name: string, ...dimensions: number[]): string => {
    weights.set(name, randomWeight(name, dimensions));
    return name;
  };
  const { dim, hidden, layers, heads, kvHeads, headDim, vocab } = shape;
  const kvWidth = kvHeads * headDim;
  const ops: Op[] = [{ op: 'embed', weight: weight('embedding', vocab, dim), out: 'x' }];
  for (let layer = 0; layer < layers; layer += 1) {
    ops.push(
      { op: 'rmsnorm', x: 'x', weight: weight(`${layer}.norm1`, dim), eps, out: 'n' },
      { op: 'matmul', x: 'n', weight: weight(`${layer}.q`, dim, dim), bias: weight(`${layer}.q.bias`, dim), out: 'q' },
      { op: 'matmul', x: 'n', weight: weight(`${layer}.k`, kvWidth, dim), out: 'k' },
      { op: 'matmul', x: 'n', weight: weight(`${layer}.v`, kvWidth, dim), out: 'v' },
      { op: 'rope', x: 'q', heads, headDim, theta, style },
      { op: 'rope', x: 'k', heads: kvHeads, headDim, theta, style },
      { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'a', heads, kvHeads, headDim, layer },
      { op: 'matmul', x: 'a', weight: weight(`${layer}.o`, dim, dim), out: 'n' },
      { op: 'add', a: 'x', b: 'n', out: 'x' },
      { op: 'rmsnorm', x: 'x', weight: weight(`${layer}.norm2`, dim), eps, out: 'n' },
      { op: 'matmul', x: 'n', weight: weight(`${layer}.gate`, hidden, dim), out: 'g' },
      { op: 'matmul', x: 'n', weight: weight(`${layer}.up`, hidden, dim), out: 'u' },
      { op: 'swiglu', gate: 'g', up: 'u', out: 'g' },
      { op: 'matmul', x: 'g', weight: weight(`${layer}.down`, dim, hidden), out: 'n' },
      { op: 'add', a: 'x', b: 'n', out: 'x' },
    );
  }
  ops.push({ op: 'rmsnorm', x: 'x', weight: weight('norm', dim), eps, out: 'x' }, { op: 'matmul', x: 'x', weight: 'embedding', out: 'logits' });

  const tokens = [1, 4, 4, 18, 0, 9, 2, 11, 7];
  const widths = { x: dim, n: dim, q: dim, k: kvWidth, v: kvWidth, a: dim, g: hidden, u: hidden, logits: vocab };
  const program: Program = {
    architecture: 'small decoder',
    vocabSize: vocab,
    maxSeqLen: tokens.length,
    layers,
    kvWidth,
    buffers: Object.entries(widths).map(([name, width]) => ({ name, width })),
    weights: Array.from(weights, ([name, { handle }]) => ({ name, shape: handle.shape })),
    ops,
    logits: 'logits',
  };
  const expected = forward64(tokens, (name) => weights.get(name)!.rows, style).map((values) => ({
    values,
    bound: values.map(() => RELATIVE_BOUND * Math.max(...values.map(Math.abs))),
  }));
  return { name: `a decoder with two layers, rope ${style}`, program, weights: new Map(Array.from(weights, ([name, { handle }]) => [name, handle])), tokens, expected };
}

/** The whole sequence at once, in float64, straight from the definition. */
function forward64(tokens: readonly number[], rowsOf: (weight: string) => readonly Row[], style: RopeStyle): Row[] {
  const { layers, heads, kvHeads, headDim } = shape;
  const vector = (name: string): Row => rowsOf(name)[0]!;
  let x: Row[] = tokens.map((token) => rowsOf('embedding')[token]!);
  for (let layer = 0; layer < layers; layer += 1) {
    const normed = x.map((row) => float64.rmsnorm(row, vector(`${layer}.norm1`), eps));
    const q = normed.map((row, t) => float64.rope(float64.matmul(rowsOf(`${layer}.q`), row, vector(`${layer}.q.bias`)), t, heads, headDim, theta, style));
    const k = normed.map((row, t) => float64.rope(float64.matmul(rowsOf(`${layer}.k`), row), t, kvHeads, headDim, theta, style));
    const v = normed.map((row) => float64.matmul(rowsOf(`${layer}.v`), row));
    const attended = float64.attention(q, k, v, heads, kvHeads, headDim);
    x = x.map((row, t) => float64.add(row, float64.matmul(rowsOf(`${layer}.o`), attended[t]!)));
    x = x.map((row) => {
      const again = float64.rmsnorm(row, vector(`${layer}.norm2`), eps);
      const gated = float64.swiglu(float64.matmul(rowsOf(`${layer}.gate`), again), float64.matmul(rowsOf(`${layer}.up`), again));
      return float64.add(row, float64.matmul(rowsOf(`${layer}.down`), gated));
    });
  }
  return x.map((row) => float64.matmul(rowsOf('embedding'), float64.rmsnorm(row, vector('norm'), eps)));
}

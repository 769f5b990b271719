import type { Op } from '@weightspec/core';
import type { KvCache } from '../kv-cache.js';
import type { OpKernel } from '../op-kernel.js';

type Attention = Extract<Op, { op: 'attention' }>;

/** Σ a[aAt + i] · b[bAt + i] in f64. Four sums, because one would wait for each addition to finish. */
function dot(a: Float32Array, aAt: number, b: Float32Array, bAt: number, count: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (const whole = count - (count % 4); i < whole; i += 4) {
    s0 += a[aAt + i]! * b[bAt + i]!;
    s1 += a[aAt + i + 1]! * b[bAt + i + 1]!;
    s2 += a[aAt + i + 2]! * b[bAt + i + 2]!;
    s3 += a[aAt + i + 3]! * b[bAt + i + 3]!;
  }
  for (; i < count; i += 1) s0 += a[aAt + i]! * b[bAt + i]!;
  return s0 + s1 + (s2 + s3);
}

/** Working memory of attention, one per bound op; grows with the sequence. */
interface Scratch {
  /** [positions]: scores, then weights */
  weights: Float64Array;
}

/** Turns scores[0, count) into exp(score − max) and returns their sum. */
function exponentiate(scores: Float64Array, count: number): number {
  let largest = -Infinity;
  for (let i = 0; i < count; i += 1) largest = Math.max(largest, scores[i]!);
  let total = 0;
  for (let i = 0; i < count; i += 1) total += scores[i] = Math.exp(scores[i]! - largest);
  return total;
}

/**
 * One query head of one token over positions [0, positions):
 * out[outAt..] = Σ softmax(q · key / sqrt(headDim)) value, reading kv head `kvHead` of the cache.
 */
function attendHead(out: Float32Array, q: Float32Array, at: number, cache: KvCache, kvHead: number, headDim: number, positions: number, scratch: Scratch): void {
  const { weights } = scratch;
  const { width, blockPositions } = cache;
  const scale = 1 / Math.sqrt(headDim);
  for (let block = 0, position = 0; position < positions; block += 1) {
    const keys = cache.keys[block]!;
    const inBlock = Math.min(blockPositions, positions - position);
    for (let i = 0, keyAt = kvHead * headDim; i < inBlock; i += 1, position += 1, keyAt += width) {
      weights[position] = dot(q, at, keys, keyAt, headDim) * scale;
    }
  }
  const total = exponentiate(weights, positions);
  for (let d = 0; d < headDim; d += 1) {
    let sum = 0;
    for (let block = 0, position = 0; position < positions; block += 1) {
      const values = cache.values[block]!;
      const end = Math.min(position + blockPositions, positions);
      for (let valueAt = kvHead * headDim + d; position < end; position += 1, valueAt += width) sum += weights[position]! * values[valueAt]!;
    }
    out[at + d] = sum / total;
  }
}

/**
 * Causal attention with a KV cache. q and out [rows, heads · headDim]; k and v [rows, kvHeads · headDim].
 * Appends the rows of k and v to the layer's cache, then out = softmax(q kᵀ / sqrt(headDim)) v over positions ≤ own.
 * Query head h reads kv head floor(h · kvHeads / heads). Softmax and sums in f64, one rounding to f32.
 */
export const attention: OpKernel<Attention> = {
  check(op, expect) {
    const { heads, kvHeads, headDim } = op;
    const { program } = expect;
    expect.that(kvHeads >= 1 && heads % kvHeads === 0, `${kvHeads} kv heads do not divide ${heads} heads`);
    expect.that(expect.width(op.q) === heads * headDim, `q is not ${heads} heads · ${headDim} wide`);
    expect.that(expect.width(op.out) === heads * headDim, `out is not ${heads} heads · ${headDim} wide`);
    expect.that(expect.width(op.k) === program.kvWidth && expect.width(op.v) === program.kvWidth, `k or v is not kvWidth = ${program.kvWidth} wide`);
    expect.that(kvHeads * headDim === program.kvWidth, `${kvHeads} kv heads · ${headDim} is not kvWidth = ${program.kvWidth}`);
    expect.that(op.layer >= 0 && op.layer < program.layers, `layer ${op.layer} of ${program.layers}`);
  },
  bind(op, machine) {
    const { heads, headDim } = op;
    const headsPerKv = heads / op.kvHeads;
    const q = machine.buffer(op.q);
    const k = machine.buffer(op.k);
    const v = machine.buffer(op.v);
    const out = machine.buffer(op.out);
    const cache = machine.cache(op.layer);
    const scratch: Scratch = { weights: new Float64Array(0) };
    return ({ position, firstRow, endRow }) => {
      if (scratch.weights.length < position + endRow) scratch.weights = new Float64Array(2 * (position + endRow));
      for (let row = firstRow; row < endRow; row += 1) cache.store(position + row, k.values, v.values, row);
      for (let row = firstRow; row < endRow; row += 1) {
        for (let head = 0; head < heads; head += 1) {
          const at = (row * heads + head) * headDim;
          attendHead(out.values, q.values, at, cache, Math.floor(head / headsPerKv), headDim, position + row + 1, scratch);
        }
      }
    };
  },
};

/** What other storage types make of the weights: used to show that the recital survives them. */
import type { Weights } from './decoder.js';
import { roundHalfEven, roundToBF16, roundToF16 } from './elementary.js';
import type { Row } from './ops.js';

/** int8 in flat groups and back, as llama2.c does it: scale = max|w| / 127 in f32, q = round-half-even(w / scale). */
export function throughInt8(values: Row, groupSize: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += groupSize) {
    const group = values.subarray(start, start + groupSize);
    const scale = Math.fround(Math.max(...group.map(Math.abs)) / 127);
    for (const [i, value] of group.entries()) out[start + i] = scale === 0 ? 0 : roundHalfEven(Math.fround(value / scale)) * scale;
  }
  return out;
}

/**
 * ggml's Q4_0 and back: 32 values share d = (the value of largest size, the first of equals) / −8, codes 0 … 15 stand for −8 … 7.
 * Source: ggml-quants.c quantize_row_q4_0_ref, which computes in f32 and stores d as f16.
 */
export function throughQ4_0(values: Row): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += 32) {
    const block = values.subarray(start, start + 32);
    let largest = 0;
    for (const value of block) if (Math.abs(value) > Math.abs(largest)) largest = value;
    const scale = Math.fround(largest / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const stored = roundToF16(scale);
    for (const [i, value] of block.entries()) out[start + i] = (Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5))) - 8) * stored;
  }
  return out;
}

/** Changes matrices only: norms stay f32 in every layout. */
function mapMatrices(weights: Weights, change: (values: Float32Array) => Float32Array): Weights {
  return Object.fromEntries(Object.entries(weights).map(([name, { shape, values }]) => [name, { shape, values: shape.length === 2 ? change(values) : values }]));
}

export const storages = {
  f16: (weights: Weights) => mapMatrices(weights, (values) => values.map(roundToF16)),
  bf16: (weights: Weights) => mapMatrices(weights, (values) => values.map(roundToBF16)),
  'int8, group size 32': (weights: Weights) => mapMatrices(weights, (values) => throughInt8(values, 32)),
  'int8, group size 64': (weights: Weights) => mapMatrices(weights, (values) => throughInt8(values, 64)),
};

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

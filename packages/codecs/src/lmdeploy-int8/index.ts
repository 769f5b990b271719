/**
 * LMDeploy's int8 linear layers: one f32 scale a row of the weight, one a token of the activations (specs/smoothquant, S-4).
 * Source: LMDeploy aeda1ac pytorch/models/q_modules.py and pytorch/kernels/w8a8_triton_kernels.py. Every operation rounds to f32.
 *
 *   weights      scale = max|w| / 127 of a row;              q = round half to even(w / scale);        value = q · scale
 *   activations  scale = max(max|x|, 1e-7) / 127 of a token;  q = round half away from zero(x / scale)
 *
 * |q| ≤ 127 where the scale is a normal number; q is clamped to −128 … 127. A row of zeros has scale 0 and codes 0 (upstream: NaN).
 * Error of a weight where scale ≥ 2⁻¹²⁶: scale·(½ + 2⁻¹⁵), as for llama2c-q8.
 */
import { roundHalfEven, saturate } from '../block.js';
import { dequantizeGroups } from '../llama2c-q8/index.js';
import { encodingError } from '../origin.js';
import { groupCount, type PackedScheme } from '../packed-scheme.js';

/** A token of zeros would have the scale 0. */
const LEAST_ABSMAX = Math.fround(1e-7);

/** The scale of a row whose largest magnitude is `absmax`. */
export const int8RowScale = (absmax: number): number => Math.fround(absmax / 127);

/** Codes of values[start, end), in [−128, 127], to the same places of `codes`: weights of one row, whose scale is given. A scale of 0 leaves them alone. */
export function int8Codes(values: Float32Array, start: number, end: number, scale: number, codes: Int8Array): void {
  if (scale === 0) return;
  for (let i = start; i < end; i++) codes[i] = saturate(Math.fround(values[i]! / scale) + roundHalfEven - roundHalfEven, -128, 127);
}

/** Groups are rows: `groupSize` is the number of columns. */
export const lmdeployInt8: PackedScheme = {
  scheme: 'lmdeploy-int8',
  quantizeGroups(src, groupSize, origin = {}) {
    const scales = new Float32Array(groupCount(src.length, groupSize));
    const values = new Int8Array(src.length);
    for (let row = 0; row < scales.length; row++) {
      let absmax = 0;
      for (let i = row * groupSize; i < (row + 1) * groupSize; i++) {
        const magnitude = Math.abs(src[i]!);
        if (!(magnitude < Infinity)) throw encodingError('CODEC_NON_FINITE_INPUT', origin, i, `is ${src[i]}`);
        if (magnitude > absmax) absmax = magnitude;
      }
      scales[row] = int8RowScale(absmax);
      int8Codes(src, row * groupSize, (row + 1) * groupSize, scales[row]!, values);
    }
    return { values, scales };
  },
  dequantizeGroups,
};

/**
 * What is left of one token's activations when they are int8: q · scale of x[start, end) at the same places of `dst`, exact in f64.
 * NaN and infinities make all of them NaN.
 */
export function roundActivations(x: Float32Array, start: number, end: number, dst: Float64Array): void {
  let absmax = LEAST_ABSMAX;
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(x[i]!);
    if (!(magnitude <= absmax)) absmax = magnitude;
  }
  const scale = Math.fround(absmax / 127);
  for (let i = start; i < end; i++) {
    const scaled = Math.fround(x[i]! / scale);
    dst[i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5) * scale;
  }
}

/**
 * llama2.c's grouped int8 ("Q8_0" there; not ggml's Q8_0).
 * Source: karpathy/llama2.c export.py@350e04fe quantize_q80; the experimental form: model.py@e9cbe3e (branch feature/int8).
 *
 * Groups run over the flattened tensor, not over rows. Every operation rounds to f32.
 *
 *   llama2c-q8       scale = max|w| / 127;  q = round(w / scale);              value = q · scale
 *   llama2c-q8-wmax  scale = max|w|;        q = round((w / scale) · 127);      value = (q · scale) / 127
 *
 * round is half to even. |q| ≤ 127. A group of zeros has scale 0 and codes 0.
 * Error, with s the stored scale (llama2c-q8) or scale/127 (wmax), where s ≥ 2⁻¹²⁶: |w − value| ≤ s·(½ + 2⁻¹⁵).
 * (Beside the half step: at most four f32 roundings, each 2⁻²⁴ relative, of numbers up to 127·s: 508·2⁻²⁴·s < 2⁻¹⁵·s.)
 *
 * Caveat: max|w| below 127·2⁻¹²⁶ makes the scale subnormal, so that max|w|/scale can be anything from 63 to 254, and
 * below 63.5·2⁻¹⁴⁹ the scale is 0. Upstream then wraps in the cast to int8 or divides by zero; here codes are clamped to
 * ±127, and a scale of 0 always comes with codes 0. Such weights decode to less than 10⁻³⁶ either way.
 */
import { greatestMagnitudeBits, infinityBits, roundHalfEven, saturate, signedBitsOf } from '../block.js';
import { encodingError, type TensorOrigin } from '../origin.js';
import { groupCount, type Int8Groups, type PackedScheme } from '../packed-scheme.js';

function nonFiniteError(src: Float32Array, start: number, origin: TensorOrigin): Error {
  let index = start;
  while (Number.isFinite(src[index])) index++;
  return encodingError('CODEC_NON_FINITE_INPUT', origin, index, `is ${src[index]}`);
}

/** Codes of one group. `multiplier` is 127 in the experimental form, 1 otherwise (exact, so it changes nothing). */
function encodeGroup(src: Float32Array, start: number, end: number, scale: number, multiplier: number, values: Int8Array): void {
  for (let i = start; i < end; i++) {
    const scaled = Math.fround(Math.fround(src[i]! / scale) * multiplier);
    values[i] = saturate(scaled + roundHalfEven - roundHalfEven, -127, 127);
  }
}

function quantize(src: Float32Array, groupSize: number, origin: TensorOrigin, scaleDivisor: number, multiplier: number): Int8Groups {
  const scales = new Float32Array(groupCount(src.length, groupSize));
  const values = new Int8Array(src.length);
  const bits = signedBitsOf(src);
  const greatest = new Float32Array(1);
  const greatestBits = signedBitsOf(greatest);
  for (let group = 0; group < scales.length; group++) {
    const start = group * groupSize;
    const magnitudeBits = greatestMagnitudeBits(bits, start, start + groupSize);
    if (magnitudeBits >= infinityBits) throw nonFiniteError(src, start, origin);
    greatestBits[0] = magnitudeBits;
    const scale = Math.fround(greatest[0]! / scaleDivisor);
    scales[group] = scale;
    if (scale !== 0) encodeGroup(src, start, start + groupSize, scale, multiplier, values);
  }
  return { values, scales };
}

function dequantize(groups: Int8Groups, groupSize: number, dst: Float32Array | undefined, divisor: number): Float32Array {
  const { values, scales } = groups;
  const count = groupCount(values.length, groupSize);
  if (scales.length !== count) throw new RangeError(`${values.length} values in groups of ${groupSize} need ${count} scales, not ${scales.length}`);
  const out = dst ?? new Float32Array(values.length);
  if (out.length !== values.length) throw new RangeError(`${values.length} values do not fit ${out.length} f32`);
  for (let group = 0, i = 0; group < count; group++) {
    const scale = scales[group]!;
    for (const end = i + groupSize; i < end; i++) out[i] = Math.fround(values[i]! * scale) / divisor;
  }
  return out;
}

/** `PackedScheme.quantizeGroups` of `llama2cQ8`. */
export function quantizeGroups(src: Float32Array, groupSize: number, origin: TensorOrigin = {}): Int8Groups {
  return quantize(src, groupSize, origin, 127, 1);
}

/** `PackedScheme.dequantizeGroups` of `llama2cQ8`. */
export function dequantizeGroups(groups: Int8Groups, groupSize: number, dst?: Float32Array): Float32Array {
  return dequantize(groups, groupSize, dst, 1);
}

/** llama2.c v1 and v2 int8 files. */
export const llama2cQ8: PackedScheme = { scheme: 'llama2c-q8', quantizeGroups, dequantizeGroups };

/** The experimental v1 files, whose scale is max|w| itself. q · scale overflows f32 above 2.6e36, as upstream's does. */
export const llama2cQ8Wmax: PackedScheme = {
  scheme: 'llama2c-q8-wmax',
  quantizeGroups: (src, groupSize, origin = {}) => quantize(src, groupSize, origin, 1, 127),
  dequantizeGroups: (groups, groupSize, dst) => dequantize(groups, groupSize, dst, 127),
};

/** What the five 32-element block codecs share: finding the scale, and rounding. */
import type { OverflowCheck } from './codec.js';

export const blockSize = 32;

/** Adding and subtracting 1.5 · 2⁵² rounds a double below 2⁵¹ to an integer, half to even; infinities and NaN stay. */
export const roundHalfEven = 6755399441055744;

export const scaleOverflow: OverflowCheck = { code: 'CODEC_SCALE_OVERFLOW', byteOffset: 0, exponentMask: 0x7c00 };
export const minimumOverflow: OverflowCheck = { code: 'CODEC_MINIMUM_OVERFLOW', byteOffset: 2, exponentMask: 0x7c00 };

/** The first element with the greatest magnitude, as ggml finds it: +0 in a block of zeros, and NaN is passed over. */
export function extremum(src: Float32Array, start: number): number {
  let greatest = 0;
  let element = 0;
  for (let i = start; i < start + blockSize; i++) {
    const value = src[i]!;
    if (Math.abs(value) > greatest) {
      greatest = Math.abs(value);
      element = value;
    }
  }
  return element;
}

/** As `extremum`, as torch finds it: the first element in a block of zeros, and NaN wins. */
export function extremumTorch(src: Float32Array, start: number): number {
  let element = src[start]!;
  for (let i = start + 1; i < start + blockSize; i++) {
    if (!(Math.abs(src[i]!) <= Math.abs(element)) && element === element) element = src[i]!;
  }
  return element;
}

/** Least element, the first of equals (which decides the sign of zero). ggml starts from FLT_MAX and passes over NaN. */
export function minimum(src: Float32Array, start: number): number {
  let least = largestF32;
  for (let i = start; i < start + blockSize; i++) {
    if (src[i]! < least) least = src[i]!;
  }
  return least;
}

/** Greatest element, the first of equals. ggml starts from -FLT_MAX and passes over NaN. */
export function maximum(src: Float32Array, start: number): number {
  let greatest = -largestF32;
  for (let i = start; i < start + blockSize; i++) {
    if (src[i]! > greatest) greatest = src[i]!;
  }
  return greatest;
}

/** As `minimum`, as torch finds it: infinities count, and NaN wins. */
export function minimumTorch(src: Float32Array, start: number): number {
  let least = src[start]!;
  for (let i = start + 1; i < start + blockSize; i++) {
    if (!(src[i]! >= least) && least === least) least = src[i]!;
  }
  return least;
}

/** As `maximum`, as torch finds it: infinities count, and NaN wins. */
export function maximumTorch(src: Float32Array, start: number): number {
  let greatest = src[start]!;
  for (let i = start + 1; i < start + blockSize; i++) {
    if (!(src[i]! <= greatest) && greatest === greatest) greatest = src[i]!;
  }
  return greatest;
}

/** 1/scale in f32, and 0 for a scale of ±0. Infinite when |scale| < 2⁻¹²⁸. */
export function inverseOf(scale: number): number {
  return scale === 0 ? 0 : Math.fround(1 / scale);
}

/** Largest finite f32 (FLT_MAX). */
const largestF32 = (2 - 2 ** -23) * 2 ** 127;

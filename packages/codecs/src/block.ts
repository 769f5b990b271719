/** What the five 32-element block codecs share: finding the scale, and rounding. */
import type { OverflowCheck } from './codec.js';

export const blockSize = 32;

/** Bits of +∞ in f32; NaN magnitudes lie above. */
export const infinityBits = 0x7f800000;

/** Adding and subtracting 1.5 · 2⁵² rounds a double below 2⁵¹ to an integer, half to even; infinities and NaN stay. */
export const roundHalfEven = 6755399441055744;

export const scaleOverflow: OverflowCheck = { code: 'CODEC_SCALE_OVERFLOW', byteOffset: 0, exponentMask: 0x7c00 };
export const minimumOverflow: OverflowCheck = { code: 'CODEC_MINIMUM_OVERFLOW', byteOffset: 2, exponentMask: 0x7c00 };

/** The bits of src as i32, for the searches below. */
export function signedBitsOf(src: Float32Array): Int32Array {
  return new Int32Array(src.buffer, src.byteOffset, src.length);
}

/**
 * Bits of the greatest magnitude in [start, end): above `infinityBits` when there is NaN. Magnitudes order like their bits,
 * and without branches this is twice as fast as comparing floats.
 */
export function greatestMagnitudeBits(bits: Int32Array, start: number, end: number): number {
  let greatest = 0;
  for (let i = start; i < end; i++) {
    const excess = greatest - (bits[i]! & 0x7fffffff);
    greatest -= excess & (excess >> 31);
  }
  return greatest;
}

/** The first element with the greatest magnitude; ±0 in a block of zeros and NaN in a block with NaN. */
function quickExtremum(src: Float32Array, bits: Int32Array, start: number): number {
  const greatest = greatestMagnitudeBits(bits, start, start + blockSize);
  let index = start;
  while ((bits[index]! & 0x7fffffff) !== greatest) index++;
  return src[index]!;
}

/** The first element with the greatest magnitude, as ggml finds it: +0 in a block of zeros, and NaN is passed over. */
export function extremum(src: Float32Array, bits: Int32Array, start: number): number {
  const quick = quickExtremum(src, bits, start);
  if (quick === quick) return quick === 0 ? 0 : quick;
  let element = 0;
  for (let i = start; i < start + blockSize; i++) {
    if (Math.abs(src[i]!) > Math.abs(element)) element = src[i]!;
  }
  return element;
}

/** As `extremum`, as torch finds it: the first element in a block of zeros, and NaN wins. */
export function extremumTorch(src: Float32Array, bits: Int32Array, start: number): number {
  return quickExtremum(src, bits, start);
}

/** The greatest magnitude as ggml's q8_0 finds it: C's MAX(greatest, |x|) is |x| when either is NaN. */
export function greatestMagnitude(src: Float32Array, bits: Int32Array, start: number): number {
  const quick = quickExtremum(src, bits, start);
  if (quick === quick) return Math.abs(quick);
  let greatest = 0;
  for (let i = start; i < start + blockSize; i++) {
    if (!(greatest > Math.abs(src[i]!))) greatest = Math.abs(src[i]!);
  }
  return greatest;
}

/** Where the searches for a range leave their result: [least, greatest]. */
export type Range = Float32Array;

/**
 * Least and greatest element of a block that has finite negative and positive elements, by their bits and without branches
 * (1.7 times as fast as comparing floats). Returns false, and leaves `range` alone, for any other block.
 */
function quickRange(bits: Int32Array, start: number, range: Range): boolean {
  let positive = 0;
  let negative = 0;
  for (let i = start; i < start + blockSize; i++) {
    const sign = bits[i]! >> 31;
    const positiveExcess = positive - (bits[i]! & ~sign);
    positive -= positiveExcess & (positiveExcess >> 31);
    const negativeExcess = negative - (bits[i]! & sign & 0x7fffffff);
    negative -= negativeExcess & (negativeExcess >> 31);
  }
  if (positive === 0 || negative === 0 || positive >= infinityBits || negative >= infinityBits) return false;
  scratchBits[0] = positive;
  range[1] = scratchValue[0]!;
  scratchBits[0] = negative;
  range[0] = -scratchValue[0]!;
  return true;
}

const scratchValue = new Float32Array(1);
const scratchBits = new Int32Array(scratchValue.buffer);

/**
 * Least and greatest element as ggml finds them: the first of equals (which decides the sign of zero), starting from ±FLT_MAX,
 * NaN passed over.
 */
export function findRange(src: Float32Array, bits: Int32Array, start: number, range: Range): void {
  if (quickRange(bits, start, range)) return;
  let least = largestF32;
  let greatest = -largestF32;
  for (let i = start; i < start + blockSize; i++) {
    if (src[i]! < least) least = src[i]!;
    if (src[i]! > greatest) greatest = src[i]!;
  }
  range[0] = least;
  range[1] = greatest;
}

/** As `findRange`, as torch finds it: infinities count, and NaN wins. */
export function findRangeTorch(src: Float32Array, bits: Int32Array, start: number, range: Range): void {
  if (quickRange(bits, start, range)) return;
  let least = src[start]!;
  let greatest = least;
  for (let i = start + 1; i < start + blockSize; i++) {
    if (!(src[i]! >= least) && least === least) least = src[i]!;
    if (!(src[i]! <= greatest) && greatest === greatest) greatest = src[i]!;
  }
  range[0] = least;
  range[1] = greatest;
}

/** 1/scale in f32, and 0 for a scale of ±0. Infinite when |scale| < 2⁻¹²⁸. */
export function inverseOf(scale: number): number {
  return scale === 0 ? 0 : Math.fround(1 / scale);
}

/**
 * `rounded` clamped to [least, greatest] as an integer, infinities too; NaN gives 0.
 * Nearly every code is inside, and the test for that is cheaper than Math.max and Math.min on doubles.
 */
export function saturate(rounded: number, least: number, greatest: number): number {
  if (rounded >= least && rounded <= greatest) return rounded | 0;
  return Math.max(least, Math.min(greatest, rounded)) | 0;
}

/** Largest finite f32 (FLT_MAX). */
const largestF32 = (2 - 2 ** -23) * 2 ** 127;

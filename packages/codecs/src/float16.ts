/**
 * IEEE 754 binary16 ("half", f16): 1 sign, 5 exponent and 10 fraction bits.
 * Rounding is to nearest, ties to even: magnitudes from 65520 become infinite, those up to 2⁻²⁵ become zero.
 * The bit patterns here are numbers, so byte order does not matter.
 */
const scratchValue = new Float32Array(1);
const scratchBits = new Uint32Array(scratchValue.buffer);

let decoded: Float32Array | undefined;

/** f32 value of each of the 65536 f16 bit patterns; 256 KiB, made on first use. NaN keeps its payload and becomes quiet. */
export function f16Table(): Float32Array {
  return (decoded ??= makeTable());
}

function makeTable(): Float32Array {
  const values = new Float32Array(65536);
  const bits = new Uint32Array(values.buffer);
  for (let half = 0; half < 0x8000; half++) {
    const exponent = half >>> 10;
    const fraction = half & 0x3ff;
    if (exponent === 0) values[half] = fraction * 2 ** -24;
    else if (exponent < 31) values[half] = (1024 + fraction) * 2 ** (exponent - 25);
    else bits[half] = 0x7f800000 | (fraction === 0 ? 0 : 0x400000) | (fraction << 13);
    bits[half | 0x8000] = bits[half]! | 0x80000000;
  }
  return values;
}

/** f16 bits of the f32 whose bits are `bits`. NaN becomes the quiet NaN 7E00 with its own sign, as in ggml and torch. */
export function f16FromF32Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477ff000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  // Below 2^-14 the fraction counts multiples of 2^-24, and the implicit leading 1 has to be shifted in.
  if (magnitude < 0x38800000) return sign | subnormalFromF32Magnitude(magnitude);
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

function subnormalFromF32Magnitude(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return 0;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  return (significand + (1 << (shift - 1)) - 1 + ((significand >>> shift) & 1)) >>> shift;
}

/** Writes the f32 `value` as little-endian f16 at `dst[byteOffset]`. Every NaN is 7E00: its sign is not defined in JavaScript. */
export function writeF16(dst: Uint8Array, byteOffset: number, value: number): void {
  scratchValue[0] = value;
  const half = value === value ? f16FromF32Bits(scratchBits[0]!) : 0x7e00;
  dst[byteOffset] = half;
  dst[byteOffset + 1] = half >>> 8;
}

/** The little-endian u16 at `src[byteOffset]`: the index of an f16 in `f16Table`. */
export function readU16(src: Uint8Array, byteOffset: number): number {
  return src[byteOffset]! | (src[byteOffset + 1]! << 8);
}

/** The little-endian u32 at `src[byteOffset]`, as the i32 with the same bits. */
export function readU32(src: Uint8Array, byteOffset: number): number {
  return readU16(src, byteOffset) | (readU16(src, byteOffset + 2) << 16);
}

export function writeU32(dst: Uint8Array, byteOffset: number, bits: number): void {
  dst[byteOffset] = bits;
  dst[byteOffset + 1] = bits >>> 8;
  dst[byteOffset + 2] = bits >>> 16;
  dst[byteOffset + 3] = bits >>> 24;
}

/** Largest error of rounding `value` to f16: half a unit in the last place. `value` in f64, |value| < 65520. */
export function f16RoundingError(value: number): number {
  return Math.max(2 ** -11 * Math.abs(value), 2 ** -25);
}

/** The least magnitude that rounds to infinity in f16. */
export const f16Overflow = 65520;

/**
 * F16: IEEE 754 binary16, little-endian, one element a block.
 * Rounds to nearest, ties to even; magnitudes from 65520 become infinite, those up to 2⁻²⁵ become zero of the same sign.
 * NaN becomes the quiet NaN 7E00 with its sign. ggml and torch agree, so both roundings are the same.
 * Source: ggml-impl.h ggml_compute_fp32_to_fp16 and ggml_compute_fp16_to_fp32 (c0e1eb4).
 * Error bound: max(2⁻¹¹·|x|, 2⁻²⁵), for |x| < 65520.
 */
import { defineCodec } from '../codec.js';
import { f16FromF32Bits, f16Overflow, f16RoundingError, f16Table, readU16 } from '../float16.js';
import { asU16, bitsOf } from '../host.js';

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = bitsOf(src);
  const halves = asU16(dst);
  if (!halves) return encodePortable(src, dst);
  for (let i = 0; i < bits.length; i++) halves[i] = f16FromF32Bits(bits[i]!);
}

function decode(src: Uint8Array, dst: Float32Array): void {
  const halves = asU16(src);
  if (!halves) return decodePortable(src, dst);
  // Moving bits rather than floats keeps NaN payloads, which a conversion to double and back may change.
  const table = bitsOf(f16Table());
  const bits = bitsOf(dst);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]!]!;
}

/** `encode` to bytes of any alignment, on a host of either byte order. */
export function encodePortable(src: Float32Array, dst: Uint8Array): void {
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) {
    const half = f16FromF32Bits(bits[i]!);
    dst[2 * i] = half;
    dst[2 * i + 1] = half >>> 8;
  }
}

/** `decode` from bytes of any alignment, on a host of either byte order. */
export function decodePortable(src: Uint8Array, dst: Float32Array): void {
  const table = bitsOf(f16Table());
  const bits = bitsOf(dst);
  for (let i = 0; i < bits.length; i++) bits[i] = table[readU16(src, 2 * i)]!;
}

function errorBound(block: Float32Array, bound: Float64Array): void {
  const value = block[0]!;
  bound[0] = Math.abs(value) < f16Overflow ? f16RoundingError(value) : Infinity;
}

export const f16 = defineCodec({
  dtype: 'F16',
  overflowChecks: [{ code: 'CODEC_VALUE_OVERFLOW', byteOffset: 0, exponentMask: 0x7c00 }],
  encode: { ggml: encode, torch: encode },
  decode,
  errorBound,
});

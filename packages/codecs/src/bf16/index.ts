/**
 * BF16: the upper half of an f32 (1 sign, 8 exponent, 7 fraction bits), little-endian, one element a block.
 * Rounds to nearest, ties to even, subnormals included; the largest finite f32 values become infinite.
 * NaN keeps its upper bits and becomes quiet. qwen.cpp's converter has no BF16, so `torch` is the same as `ggml`.
 * Source: ggml-impl.h ggml_compute_fp32_to_bf16 (c0e1eb4; older versions flushed subnormals to zero).
 * Error bound: max(2⁻⁸·|x|, 2⁻¹³⁴), for |x| < 2¹²⁸·(1 − 2⁻⁹).
 */
import { defineCodec } from '../codec.js';
import { readU16 } from '../float16.js';
import { asU16, bitsOf } from '../host.js';

function bf16FromF32Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  // At most FF800000 + 7FFF: still a u32.
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = bitsOf(src);
  const halves = asU16(dst);
  if (!halves) return encodePortable(src, dst);
  for (let i = 0; i < bits.length; i++) halves[i] = bf16FromF32Bits(bits[i]!);
}

function decode(src: Uint8Array, dst: Float32Array): void {
  const halves = asU16(src);
  if (!halves) return decodePortable(src, dst);
  const bits = bitsOf(dst);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
}

/** `encode` to bytes of any alignment, on a host of either byte order. */
export function encodePortable(src: Float32Array, dst: Uint8Array): void {
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) {
    const half = bf16FromF32Bits(bits[i]!);
    dst[2 * i] = half;
    dst[2 * i + 1] = half >>> 8;
  }
}

/** `decode` from bytes of any alignment, on a host of either byte order. */
export function decodePortable(src: Uint8Array, dst: Float32Array): void {
  const bits = bitsOf(dst);
  for (let i = 0; i < bits.length; i++) bits[i] = readU16(src, 2 * i) << 16;
}

function errorBound(block: Float32Array, bound: Float64Array): void {
  const magnitude = Math.abs(block[0]!);
  bound[0] = magnitude < 2 ** 128 * (1 - 2 ** -9) ? Math.max(2 ** -8 * magnitude, 2 ** -134) : Infinity;
}

export const bf16 = defineCodec({
  dtype: 'BF16',
  overflowChecks: [{ code: 'CODEC_VALUE_OVERFLOW', byteOffset: 0, exponentMask: 0x7f80 }],
  encode: { ggml: encode, torch: encode },
  decode,
  errorBound,
});

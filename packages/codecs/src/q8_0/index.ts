/**
 * Q8_0 (ggml's; llama2.c's is in ../llama2c-q8): 32 elements in 34 bytes.
 * Source: ggml-quants.c quantize_row_q8_0_ref, dequantize_row_q8_0 (c0e1eb4, QNT_VERSION 2).
 *
 *   0  d   f16       scale, little-endian
 *   2  qs  i8[32]    codes
 *
 * Every operation rounds to f32, none is fused.
 *   ggml   d = max|x| / 127;  id = d ? 1/d : 0;  q = x·id rounded half away from zero, not clamped
 *   torch  d = max|x| / 127;  q = clamp(roundHalfEven(x / d), −128, 127), and 0 where that is NaN
 *   value = q·d, with the stored d
 * NaN resets ggml's running maximum. Where C is undefined (1/d infinite, NaN, infinities) a code is what `| 0` makes of it: 0.
 *
 * Error bound, d = max|x|/127 and e = f16 rounding: d(½ + 2⁻¹⁵) + 127e(d). Needs finite input and d < 65520.
 */
import { blockSize, extremumTorch, greatestMagnitude, inverseOf, roundHalfEven, saturate, scaleOverflow, signedBitsOf } from '../block.js';
import { symmetricBound } from '../bounds.js';
import { defineCodec } from '../codec.js';
import { f16Table, readU16, writeF16 } from '../float16.js';

const bytesPerBlock = 34;

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(greatestMagnitude(src, bits, start) / 127);
    const inverse = inverseOf(scale);
    writeF16(dst, byteOffset, scale);
    for (let j = 0; j < blockSize; j++) {
      const magnitude = (Math.abs(Math.fround(src[start + j]! * inverse)) + 0.5) | 0;
      // Negates where x is negative, without a branch that random weights would mispredict half the time.
      const sign = bits[start + j]! >> 31;
      dst[byteOffset + 2 + j] = (magnitude ^ sign) - sign;
    }
  }
}

function encodeTorch(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(Math.abs(extremumTorch(src, bits, start)) / 127);
    writeF16(dst, byteOffset, scale);
    for (let j = 0; j < blockSize; j++) {
      const rounded = Math.fround(src[start + j]! / scale) + roundHalfEven - roundHalfEven;
      dst[byteOffset + 2 + j] = saturate(rounded, -128, 127);
    }
  }
}

function decode(src: Uint8Array, dst: Float32Array): void {
  const table = f16Table();
  for (let start = 0, byteOffset = 0; start < dst.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = table[readU16(src, byteOffset)]!;
    for (let j = 0; j < blockSize; j++) {
      dst[start + j] = ((src[byteOffset + 2 + j]! << 24) >> 24) * scale;
    }
  }
}

export const q8_0 = defineCodec({
  dtype: 'Q8_0',
  overflowChecks: [scaleOverflow],
  encode: { ggml: encode, torch: encodeTorch },
  decode,
  errorBound: (block, bound) => symmetricBound(block, bound),
});

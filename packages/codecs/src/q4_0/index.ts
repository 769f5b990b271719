/**
 * Q4_0: 32 elements in 18 bytes. Source: ggml-quants.c quantize_row_q4_0_ref, dequantize_row_q4_0 (c0e1eb4, QNT_VERSION 2).
 *
 *   0  d   f16       scale, little-endian
 *   2  qs  u8[16]    qs[j]: low nibble = code of element j, high nibble = code of element j + 16
 *
 * Every operation rounds to f32, none is fused. M = the first element with the greatest magnitude.
 *   ggml   d = M / −8;  id = d ? 1/d : 0;  q = min(15, trunc(x·id + 8.5))
 *   torch  d = M / −8;  q = clamp(roundHalfEven(x / d + 8), 0, 15), and 0 where that is NaN
 *   value = (q − 8)·d, with the stored d
 * A block of zeros has d = −0 and codes 8 (ggml); codes 0 and d = first element / −8, so ±0 (torch).
 * Where C is undefined (1/d infinite, NaN, infinities) a code is what `| 0` makes of it: 0.
 *
 * Error bound, d = max|x|/8 and e = f16 rounding: d(½ + 2⁻¹⁸) + 8e(d); elements beyond −7.5d (sign taken relative to M) have
 * no code of their own and get max of that and d(1 + 2⁻¹⁸) + 7e(d). Needs finite input and d < 65520. "|d|/2" is wrong.
 */
import { blockSize, extremum, extremumTorch, inverseOf, roundHalfEven, saturate, scaleOverflow, signedBitsOf } from '../block.js';
import { signedBound } from '../bounds.js';
import { defineCodec } from '../codec.js';
import { f16Table, readU16, writeF16 } from '../float16.js';

const bytesPerBlock = 18;

const code = (x: number, inverse: number) => Math.min(15, Math.fround(Math.fround(x * inverse) + 8.5) | 0) & 15;

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(extremum(src, bits, start) / -8);
    const inverse = inverseOf(scale);
    writeF16(dst, byteOffset, scale);
    for (let j = 0; j < 16; j++) {
      dst[byteOffset + 2 + j] = code(src[start + j]!, inverse) | (code(src[start + j + 16]!, inverse) << 4);
    }
  }
}

const codeTorch = (x: number, scale: number) => saturate(Math.fround(Math.fround(x / scale) + 8) + roundHalfEven - roundHalfEven, 0, 15);

function encodeTorch(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(extremumTorch(src, bits, start) / -8);
    writeF16(dst, byteOffset, scale);
    for (let j = 0; j < 16; j++) {
      dst[byteOffset + 2 + j] = codeTorch(src[start + j]!, scale) | (codeTorch(src[start + j + 16]!, scale) << 4);
    }
  }
}

function decode(src: Uint8Array, dst: Float32Array): void {
  const table = f16Table();
  for (let start = 0, byteOffset = 0; start < dst.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = table[readU16(src, byteOffset)]!;
    for (let j = 0; j < 16; j++) {
      const codes = src[byteOffset + 2 + j]!;
      dst[start + j] = ((codes & 15) - 8) * scale;
      dst[start + j + 16] = ((codes >>> 4) - 8) * scale;
    }
  }
}

export const q4_0 = defineCodec({
  dtype: 'Q4_0',
  overflowChecks: [scaleOverflow],
  encode: { ggml: encode, torch: encodeTorch },
  decode,
  errorBound: (block, bound) => signedBound(block, 8, bound),
});

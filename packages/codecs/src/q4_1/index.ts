/**
 * Q4_1: 32 elements in 20 bytes. Source: ggml-quants.c quantize_row_q4_1_ref, dequantize_row_q4_1 (c0e1eb4, QNT_VERSION 2).
 *
 *   0  d   f16       scale, little-endian
 *   2  m   f16       minimum, little-endian
 *   4  qs  u8[16]    qs[j]: low nibble = code of element j, high nibble = code of element j + 16
 *
 * Every operation rounds to f32, none is fused. min and max are the first of equals.
 *   ggml   d = (max − min) / 15;  id = d ? 1/d : 0;  q = min(15, trunc((x − min)·id + 0.5))
 *   torch  d = (max − min) / 15;  q = clamp(roundHalfEven((x − min) / d), 0, 15), and 0 where that is NaN
 *   value = q·d + m, with the stored d and m
 * A block of equal elements has d = 0 and codes 0; m keeps the sign of the first zero.
 * Where C is undefined (1/d infinite, NaN, infinities) a code is what `| 0` makes of it: 0.
 *
 * Error bound, d = (max − min)/15 and e = f16 rounding:
 * d(½ + 2⁻¹⁷) + 15e(d) + e(min) + 2⁻²⁴(|min|(1 + 2⁻¹¹) + 15(d + e(d))). Needs finite input, d < 65520 and |min| < 65520.
 */
import { blockSize, findRange, findRangeTorch, inverseOf, minimumOverflow, roundHalfEven, saturate, scaleOverflow, signedBitsOf } from '../block.js';
import { rangeBound } from '../bounds.js';
import { defineCodec } from '../codec.js';
import { f16Table, readU16, writeF16 } from '../float16.js';

const bytesPerBlock = 20;

const code = (above: number, inverse: number) => Math.min(15, Math.fround(Math.fround(Math.fround(above) * inverse) + 0.5) | 0) & 15;

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  const range = new Float32Array(2);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    findRange(src, bits, start, range);
    const min = range[0]!;
    const scale = Math.fround(Math.fround(range[1]! - min) / 15);
    const inverse = inverseOf(scale);
    writeF16(dst, byteOffset, scale);
    writeF16(dst, byteOffset + 2, min);
    for (let j = 0; j < 16; j++) {
      dst[byteOffset + 4 + j] = code(src[start + j]! - min, inverse) | (code(src[start + j + 16]! - min, inverse) << 4);
    }
  }
}

const codeTorch = (above: number, scale: number) => saturate(Math.fround(Math.fround(above) / scale) + roundHalfEven - roundHalfEven, 0, 15);

function encodeTorch(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  const range = new Float32Array(2);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    findRangeTorch(src, bits, start, range);
    const min = range[0]!;
    const scale = Math.fround(Math.fround(range[1]! - min) / 15);
    writeF16(dst, byteOffset, scale);
    writeF16(dst, byteOffset + 2, min);
    for (let j = 0; j < 16; j++) {
      dst[byteOffset + 4 + j] = codeTorch(src[start + j]! - min, scale) | (codeTorch(src[start + j + 16]! - min, scale) << 4);
    }
  }
}

/** q·d has at most 16 bits and q·d + m at most 50, so that only storing to f32 rounds: the same as rounding each operation. */
function decode(src: Uint8Array, dst: Float32Array): void {
  const table = f16Table();
  for (let start = 0, byteOffset = 0; start < dst.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = table[readU16(src, byteOffset)]!;
    const min = table[readU16(src, byteOffset + 2)]!;
    for (let j = 0; j < 16; j++) {
      const codes = src[byteOffset + 4 + j]!;
      dst[start + j] = (codes & 15) * scale + min;
      dst[start + j + 16] = (codes >>> 4) * scale + min;
    }
  }
}

export const q4_1 = defineCodec({
  dtype: 'Q4_1',
  overflowChecks: [scaleOverflow, minimumOverflow],
  encode: { ggml: encode, torch: encodeTorch },
  decode,
  errorBound: (block, bound) => rangeBound(block, 15, bound),
});

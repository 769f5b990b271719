/**
 * Q5_1: 32 elements in 24 bytes. Source: ggml-quants.c quantize_row_q5_1_ref, dequantize_row_q5_1 (c0e1eb4, QNT_VERSION 2).
 *
 *   0  d   f16       scale, little-endian
 *   2  m   f16       minimum, little-endian
 *   4  qh  u32       bit i = bit 4 of the code of element i, little-endian
 *   8  qs  u8[16]    qs[j]: low nibble = bits 0–3 of element j, high nibble = those of element j + 16
 *
 * Every operation rounds to f32, none is fused. min and max are the first of equals.
 *   ggml   d = (max − min) / 31;  id = d ? 1/d : 0;  q = trunc((x − min)·id + 0.5), not clamped (31.5 is never reached by 2⁻¹⁸)
 *   torch  d = (max − min) / 31;  q = clamp(roundHalfEven((x − min) / d), 0, 31), and 0 where that is NaN
 *   value = q·d + m, with the stored d and m
 * A block of equal elements has d = 0 and codes 0; m keeps the sign of the first zero.
 * Where C is undefined (1/d infinite, NaN, infinities) a code is what `| 0` makes of it: 0.
 *
 * Error bound, d = (max − min)/31 and e = f16 rounding:
 * d(½ + 2⁻¹⁷) + 31e(d) + e(min) + 2⁻²⁴(|min|(1 + 2⁻¹¹) + 31(d + e(d))). Needs finite input, d < 65520 and |min| < 65520.
 */
import { blockSize, findRange, findRangeTorch, inverseOf, minimumOverflow, roundHalfEven, saturate, scaleOverflow, signedBitsOf } from '../block.js';
import { rangeBound } from '../bounds.js';
import { defineCodec } from '../codec.js';
import { f16Table, readU16, readU32, writeF16, writeU32 } from '../float16.js';

const bytesPerBlock = 24;

const code = (above: number, inverse: number) => (Math.fround(Math.fround(Math.fround(above) * inverse) + 0.5) | 0) & 31;

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  const range = new Float32Array(2);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    findRange(src, bits, start, range);
    const min = range[0]!;
    const scale = Math.fround(Math.fround(range[1]! - min) / 31);
    const inverse = inverseOf(scale);
    let fifthBits = 0;
    for (let j = 0; j < 16; j++) {
      const low = code(src[start + j]! - min, inverse);
      const high = code(src[start + j + 16]! - min, inverse);
      dst[byteOffset + 8 + j] = (low & 15) | (high << 4);
      fifthBits |= ((low >>> 4) << j) | ((high >>> 4) << (j + 16));
    }
    writeF16(dst, byteOffset, scale);
    writeF16(dst, byteOffset + 2, min);
    writeU32(dst, byteOffset + 4, fifthBits);
  }
}

const codeTorch = (above: number, scale: number) => saturate(Math.fround(Math.fround(above) / scale) + roundHalfEven - roundHalfEven, 0, 31);

function encodeTorch(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  const range = new Float32Array(2);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    findRangeTorch(src, bits, start, range);
    const min = range[0]!;
    const scale = Math.fround(Math.fround(range[1]! - min) / 31);
    let fifthBits = 0;
    for (let j = 0; j < 16; j++) {
      const low = codeTorch(src[start + j]! - min, scale);
      const high = codeTorch(src[start + j + 16]! - min, scale);
      dst[byteOffset + 8 + j] = (low & 15) | (high << 4);
      fifthBits |= ((low >>> 4) << j) | ((high >>> 4) << (j + 16));
    }
    writeF16(dst, byteOffset, scale);
    writeF16(dst, byteOffset + 2, min);
    writeU32(dst, byteOffset + 4, fifthBits);
  }
}

/** q·d has at most 16 bits and q·d + m at most 50, so that only storing to f32 rounds: the same as rounding each operation. */
function decode(src: Uint8Array, dst: Float32Array): void {
  const table = f16Table();
  for (let start = 0, byteOffset = 0; start < dst.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = table[readU16(src, byteOffset)]!;
    const min = table[readU16(src, byteOffset + 2)]!;
    const fifthBits = readU32(src, byteOffset + 4);
    for (let j = 0; j < 16; j++) {
      const codes = src[byteOffset + 8 + j]!;
      dst[start + j] = ((codes & 15) | (((fifthBits >>> j) & 1) << 4)) * scale + min;
      dst[start + j + 16] = ((codes >>> 4) | (((fifthBits >>> (j + 16)) & 1) << 4)) * scale + min;
    }
  }
}

export const q5_1 = defineCodec({
  dtype: 'Q5_1',
  overflowChecks: [scaleOverflow, minimumOverflow],
  encode: { ggml: encode, torch: encodeTorch },
  decode,
  errorBound: (block, bound) => rangeBound(block, 31, bound),
});

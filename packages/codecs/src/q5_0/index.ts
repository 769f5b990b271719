/**
 * Q5_0: 32 elements in 22 bytes. Source: ggml-quants.c quantize_row_q5_0_ref, dequantize_row_q5_0 (c0e1eb4, QNT_VERSION 2).
 *
 *   0  d   f16       scale, little-endian
 *   2  qh  u32       bit i = bit 4 of the code of element i, little-endian
 *   6  qs  u8[16]    qs[j]: low nibble = bits 0–3 of element j, high nibble = those of element j + 16
 *
 * Every operation rounds to f32, none is fused. M = the first element with the greatest magnitude.
 *   ggml   d = M / −16;  id = d ? 1/d : 0;  q = min(31, trunc(x·id + 16.5))
 *   torch  d = M / −16;  q = clamp(roundHalfEven(x / d + 16), 0, 31), and 0 where that is NaN
 *   value = (q − 16)·d, with the stored d
 * A block of zeros has d = −0 and codes 16 (ggml); codes 0 and d = first element / −16, so ±0 (torch).
 * Where C is undefined (1/d infinite, NaN, infinities) a code is what `| 0` makes of it: 0.
 *
 * Error bound, d = max|x|/16 and e = f16 rounding: d(½ + 2⁻¹⁸) + 16e(d); elements beyond −15.5d (sign taken relative to M) have
 * no code of their own and get max of that and d(1 + 2⁻¹⁸) + 15e(d). Needs finite input and d < 65520.
 */
import { blockSize, extremum, extremumTorch, inverseOf, roundHalfEven, saturate, scaleOverflow, signedBitsOf } from '../block.js';
import { signedBound } from '../bounds.js';
import { defineCodec } from '../codec.js';
import { f16Table, readU16, readU32, writeF16, writeU32 } from '../float16.js';

const bytesPerBlock = 22;

const code = (x: number, inverse: number) => Math.min(31, Math.fround(Math.fround(x * inverse) + 16.5) | 0) & 31;

function encode(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(extremum(src, bits, start) / -16);
    const inverse = inverseOf(scale);
    let fifthBits = 0;
    for (let j = 0; j < 16; j++) {
      const low = code(src[start + j]!, inverse);
      const high = code(src[start + j + 16]!, inverse);
      dst[byteOffset + 6 + j] = (low & 15) | (high << 4);
      fifthBits |= ((low >>> 4) << j) | ((high >>> 4) << (j + 16));
    }
    writeF16(dst, byteOffset, scale);
    writeU32(dst, byteOffset + 2, fifthBits);
  }
}

const codeTorch = (x: number, scale: number) => saturate(Math.fround(Math.fround(x / scale) + 16) + roundHalfEven - roundHalfEven, 0, 31);

const SMALLEST_NORMAL = 2 ** -126;

/** As `codeTorch`, where |x / scale| ≤ 16: only the code 32 has to become 31, which takes no branch. */
const codeTorchNormal = (x: number, scale: number): number => {
  const rounded = (Math.fround(Math.fround(x / scale) + 16) + roundHalfEven - roundHalfEven) | 0;
  return rounded - (rounded >> 5);
};

function encodeTorch(src: Float32Array, dst: Uint8Array): void {
  const bits = signedBitsOf(src);
  for (let start = 0, byteOffset = 0; start < src.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = Math.fround(extremumTorch(src, bits, start) / -16);
    let fifthBits = 0;
    // Dividing by 16 is exact for a normal scale.
    const torchCode = Math.abs(scale) >= SMALLEST_NORMAL && Math.abs(scale) < Infinity ? codeTorchNormal : codeTorch;
    for (let j = 0; j < 16; j++) {
      const low = torchCode(src[start + j]!, scale);
      const high = torchCode(src[start + j + 16]!, scale);
      dst[byteOffset + 6 + j] = (low & 15) | (high << 4);
      fifthBits |= ((low >>> 4) << j) | ((high >>> 4) << (j + 16));
    }
    writeF16(dst, byteOffset, scale);
    writeU32(dst, byteOffset + 2, fifthBits);
  }
}

function decode(src: Uint8Array, dst: Float32Array): void {
  const table = f16Table();
  for (let start = 0, byteOffset = 0; start < dst.length; start += blockSize, byteOffset += bytesPerBlock) {
    const scale = table[readU16(src, byteOffset)]!;
    const fifthBits = readU32(src, byteOffset + 2);
    for (let j = 0; j < 16; j++) {
      const codes = src[byteOffset + 6 + j]!;
      dst[start + j] = (((codes & 15) | (((fifthBits >>> j) & 1) << 4)) - 16) * scale;
      dst[start + j + 16] = (((codes >>> 4) | (((fifthBits >>> (j + 16)) & 1) << 4)) - 16) * scale;
    }
  }
}

export const q5_0 = defineCodec({
  dtype: 'Q5_0',
  overflowChecks: [scaleOverflow],
  encode: { ggml: encode, torch: encodeTorch },
  decode,
  errorBound: (block, bound) => signedBound(block, 16, bound),
});

import { describe, expect, it } from 'vitest';
import { bf16 } from './bf16/index.js';
import * as bf16Paths from './bf16/index.js';
import { f16 } from './f16/index.js';
import * as f16Paths from './f16/index.js';
import { f16FromF32Bits, f16Table, writeF16 } from './float16.js';
import { f32 } from './f32/index.js';
import * as f32Paths from './f32/index.js';
import { bitsOf } from './host.js';
import { halfValue, roundToHalf } from './testing/reference.js';

const bitPattern = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer);
const every16Bits = () => new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);

describe('f16', () => {
  it('decodes all 65536 bit patterns to the value that IEEE 754 defines', () => {
    const wrong = Array.from(f16Table(), (value, half) => (Object.is(value, halfValue(half)) || (Number.isNaN(value) && Number.isNaN(halfValue(half))) ? -1 : half)).filter((half) => half >= 0);
    expect(wrong).toEqual([]);
  });

  it('encodes every f16 value to itself, and every NaN to the quiet NaN of its sign', () => {
    const bytes = every16Bits();
    const expected = new Uint16Array(bytes.slice().buffer);
    for (let half = 0; half < 65536; half++) if ((half & 0x7fff) > 0x7c00) expected[half] = (half & 0x8000) | 0x7e00;
    expect(Buffer.compare(f16.quantize(f16.dequantize(bytes)), new Uint8Array(expected.buffer))).toBe(0);
  });

  it('rounds at and beside every midpoint of two f16 values as exact arithmetic does', () => {
    const wrong: number[] = [];
    for (let half = 0; half < 0x7bff; half++) {
      const midpoint = (halfValue(half) + halfValue(half + 1)) / 2;
      for (const value of [midpoint, midpoint * (1 - 2 ** -23), midpoint * (1 + 2 ** -23)].map(Math.fround)) {
        const [bits = 0] = bitsOf(Float32Array.of(value));
        if (halfValue(f16FromF32Bits(bits)) !== roundToHalf(value)) wrong.push(value);
      }
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    ['2^-25, a tie, to zero', 2 ** -25, 0x0000],
    ['just above 2^-25 to the least subnormal', 2 ** -25 * (1 + 2 ** -23), 0x0001],
    ['-2^-26 to -0', -(2 ** -26), 0x8000],
    ['just below 65520 to 65504', 65520 - 2 ** -8, 0x7bff],
    ['65520, a tie, to infinity', 65520, 0x7c00],
    ['-3.4e38 to -infinity', -3.4e38, 0xfc00],
    ['NaN to 7E00', Number.NaN, 0x7e00],
  ])('writes %s', (_, value, half) => {
    const bytes = new Uint8Array(4);
    writeF16(bytes, 1, value);
    expect([...bytes]).toEqual([0, half & 0xff, half >>> 8, 0]);
  });

  it('keeps the sign of NaN and drops its payload', () => {
    expect([...f16.quantize(bitPattern(0xff800001))]).toEqual([0x00, 0xfe]);
    expect([...f16.quantize(bitPattern(0x7fffffff))]).toEqual([0x00, 0x7e]);
  });
});

describe('bf16', () => {
  it('encodes every bf16 value to itself, NaN made quiet', () => {
    const bytes = every16Bits();
    const expected = new Uint16Array(bytes.slice().buffer);
    for (let half = 0; half < 65536; half++) if ((half & 0x7fff) > 0x7f80) expected[half] = half | 0x40;
    expect(Buffer.compare(bf16.quantize(bf16.dequantize(bytes)), new Uint8Array(expected.buffer))).toBe(0);
  });

  it.each([
    ['a tie to even, down', 0x3f808000, 0x3f80],
    ['a tie to even, up', 0x3f818000, 0x3f82],
    ['just above a tie, up', 0x3f808001, 0x3f81],
    ['a subnormal, not flushed', 0x00018001, 0x0002],
    ['FLT_MAX to infinity', 0x7f7fffff, 0x7f80],
    ['NaN that has only low bits to a quiet NaN, not to infinity', 0x7f800001, 0x7fc0],
  ])('rounds %s', (_, bits, half) => {
    expect([...bf16.quantize(bitPattern(bits))]).toEqual([half & 0xff, half >>> 8]);
  });
});

describe('the byte-by-byte paths for big-endian hosts and odd addresses', () => {
  it.each([
    ['f32', f32, f32Paths],
    ['f16', f16, f16Paths],
    ['bf16', bf16, bf16Paths],
  ] as const)('%s gives the same bytes and bits as the fast path', (_, codec, paths) => {
    const values = f16Table().slice();
    const encoded = codec.quantize(values);
    const portable = new Uint8Array(encoded.length + 1).subarray(1);
    paths.encodePortable(values, portable);
    expect(Buffer.compare(portable, encoded)).toBe(0);
    const decoded = new Float32Array(values.length);
    paths.decodePortable(portable, decoded);
    expect(Buffer.compare(f32.quantize(decoded), f32.quantize(codec.dequantize(encoded)))).toBe(0);
  });

  it('f32 keeps the bits of NaN', () => {
    expect([...f32.quantize(f32.dequantize(Uint8Array.of(0x01, 0x23, 0x80, 0xff)))]).toEqual([0x01, 0x23, 0x80, 0xff]);
  });
});

/** Ties and zero blocks, worked out by hand from specs/codecs#C-3.2 to C-3.6: where the two roundings part. */
import { describe, expect, it } from 'vitest';
import { codecs } from './index.js';
import { codesOf } from './testing/reference.js';

/** 32 elements that begin with `head`; the rest are zeros. */
const block = (...head: number[]) => Float32Array.from({ length: 32 }, (_, i) => head[i] ?? 0);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('halves between two codes', () => {
  // The first element (and the second, for a range) makes the scale exactly 1.
  it.each([
    // ggml: trunc(x + L + 1/2), so half goes up.
    ['q4_0', [-8, 0.5, 1.5, -0.5, -1.5, 7.5], 'ggml', [-8, 1, 2, 0, -1, 7]],
    ['q4_0', [-8, 0.5, 1.5, -0.5, -1.5, 7.5], 'torch', [-8, 0, 2, 0, -2, 7]],
    ['q5_0', [-16, 0.5, 1.5, -0.5, -1.5, 15.5], 'ggml', [-16, 1, 2, 0, -1, 15]],
    ['q5_0', [-16, 0.5, 1.5, -0.5, -1.5, 15.5], 'torch', [-16, 0, 2, 0, -2, 15]],
    ['q4_1', [0, 15, 0.5, 1.5, 2.5, 14.5], 'ggml', [0, 15, 1, 2, 3, 15]],
    ['q4_1', [0, 15, 0.5, 1.5, 2.5, 14.5], 'torch', [0, 15, 0, 2, 2, 14]],
    ['q5_1', [0, 31, 0.5, 1.5, 2.5, 30.5], 'ggml', [0, 31, 1, 2, 3, 31]],
    ['q5_1', [0, 31, 0.5, 1.5, 2.5, 30.5], 'torch', [0, 31, 0, 2, 2, 30]],
    // ggml: half away from zero.
    ['q8_0', [127, 0.5, 1.5, -0.5, -1.5, -126.5], 'ggml', [127, 1, 2, -1, -2, -127]],
    ['q8_0', [127, 0.5, 1.5, -0.5, -1.5, -126.5], 'torch', [127, 0, 2, 0, -2, -126]],
  ] as const)('%s %j, %s', (name, head, rounding, codes) => {
    const encoded = codecs[name].quantize(block(...head), { rounding });
    expect(codesOf(name.toUpperCase(), encoded).slice(0, head.length)).toEqual(codes);
  });
});

describe('zero blocks', () => {
  it.each([
    ['q4_0', 'ggml', `0080${'88'.repeat(16)}`],
    ['q4_0', 'torch', `0080${'00'.repeat(16)}`],
    ['q5_0', 'ggml', `0080ffffffff${'00'.repeat(16)}`],
    ['q5_0', 'torch', `008000000000${'00'.repeat(16)}`],
    ['q4_1', 'ggml', '00'.repeat(20)],
    ['q4_1', 'torch', '00'.repeat(20)],
    ['q5_1', 'ggml', '00'.repeat(24)],
    ['q5_1', 'torch', '00'.repeat(24)],
    ['q8_0', 'ggml', '00'.repeat(34)],
    ['q8_0', 'torch', '00'.repeat(34)],
  ] as const)('%s, %s', (name, rounding, bytes) => {
    expect(hex(codecs[name].quantize(block(), { rounding }))).toBe(bytes);
  });

  it('the sign of the first zero goes to the minimum, and with torch to the scale', () => {
    expect(hex(codecs.q4_1.quantize(block(-0)))).toBe(`00000080${'00'.repeat(16)}`);
    expect(hex(codecs.q4_0.quantize(block(-0), { rounding: 'torch' }))).toBe('00'.repeat(18));
    expect(hex(codecs.q4_0.quantize(block(-0)))).toBe(`0080${'88'.repeat(16)}`);
  });
});

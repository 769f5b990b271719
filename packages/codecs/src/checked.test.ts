import { DiagnosticError, dtype, dtypes } from '@weightspec/core';
import { describe, expect, it } from 'vitest';
import { codecCodes, codecOf, codecs, quantizeChecked } from './index.js';

const largest = (2 - 2 ** -23) * 2 ** 127;

/** `count` ones, with some elements replaced. */
function weights(count: number, replaced: Readonly<Record<number, number>>): Float32Array {
  const values = new Float32Array(count).fill(1);
  for (const [index, value] of Object.entries(replaced)) values[Number(index)] = value;
  return values;
}

function refusal(name: keyof typeof codecs, src: Float32Array): { readonly code: string; readonly message: string; readonly pointer?: string; readonly hint?: string } {
  try {
    quantizeChecked(codecs[name], src, { tensor: 'h.0/w', firstElement: 640, source: 'model.bin' });
  } catch (error) {
    if (error instanceof DiagnosticError && error.diagnostics[0]) return error.diagnostics[0];
    throw error;
  }
  return { code: 'accepted', message: '' };
}

describe('quantizeChecked', () => {
  it.each(Object.keys(codecs) as (keyof typeof codecs)[])('%s: gives the same bytes as quantize, in both roundings, into dst', (name) => {
    const src = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i * 12.9898) * 3);
    for (const rounding of ['ggml', 'torch'] as const) {
      const dst = new Uint8Array(codecs[name].quantize(src).length);
      expect(quantizeChecked(codecs[name], src, { rounding, dst })).toBe(dst);
      expect(dst).toEqual(codecs[name].quantize(src, { rounding }));
    }
  });

  it.each(Object.keys(codecs) as (keyof typeof codecs)[])('%s: refuses NaN and infinities (CODEC_NON_FINITE_INPUT)', (name) => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      expect(refusal(name, weights(96, { 70: bad, 80: bad }))).toMatchObject({
        code: 'CODEC_NON_FINITE_INPUT',
        severity: 'error',
        source: 'model.bin',
        pointer: '/tensors/h.0~1w',
        message: `h.0/w: element 710 is ${bad}`,
        hint: codecCodes.CODEC_NON_FINITE_INPUT.hint,
      });
    }
  });

  it.each([
    // [codec, greatest magnitude that is stored, least that is refused]: 65520 steps of the scale round to infinity.
    ['q4_0', 65519 * 8, 65520 * 8],
    ['q5_0', 65519 * 16, 65520 * 16],
    ['q8_0', 65519 * 127, 65520 * 127],
  ] as const)('%s: refuses a scale that overflows f16, and only that (CODEC_SCALE_OVERFLOW)', (name, stored, refused) => {
    expect(refusal(name, weights(64, { 40: -stored }))).toMatchObject({ code: 'accepted' });
    expect(refusal(name, weights(64, { 40: -refused }))).toMatchObject({ code: 'CODEC_SCALE_OVERFLOW', message: `h.0/w: element 680 (${-refused}) is too large for ${name.toUpperCase()}` });
  });

  it.each([
    ['q4_1', 15],
    ['q5_1', 31],
  ] as const)('%s: tells scale, minimum and range apart', (name, steps) => {
    expect(refusal(name, weights(64, { 40: 1 + 65519 * steps }))).toMatchObject({ code: 'accepted' });
    expect(refusal(name, weights(64, { 40: 1 + 65520 * steps }))).toMatchObject({ code: 'CODEC_SCALE_OVERFLOW', message: expect.stringContaining('element 680 ') });
    expect(refusal(name, weights(64, { 33: -65519 }))).toMatchObject({ code: 'accepted' });
    expect(refusal(name, weights(64, { 33: -65520 }))).toMatchObject({ code: 'CODEC_MINIMUM_OVERFLOW', message: expect.stringContaining('element 673 (-65520)') });
    expect(refusal(name, weights(64, { 34: largest, 35: -largest }))).toMatchObject({ code: 'CODEC_RANGE_OVERFLOW', message: expect.stringContaining('element 674 ') });
  });

  it.each([
    ['f16', 65519.99, -65520],
    ['bf16', 3.38e38, -largest],
  ] as const)('%s: refuses a value that would become infinite (CODEC_VALUE_OVERFLOW)', (name, stored, refused) => {
    expect(refusal(name, weights(8, { 5: stored }))).toMatchObject({ code: 'accepted' });
    expect(refusal(name, weights(8, { 5: refused }))).toMatchObject({ code: 'CODEC_VALUE_OVERFLOW', message: expect.stringContaining('element 645 ') });
  });

  it('f32 stores every finite value', () => {
    expect(refusal('f32', weights(8, { 5: largest }))).toMatchObject({ code: 'accepted' });
  });
});

describe('codecOf', () => {
  it('finds a codec for every ggml block type that core knows, and for F32, F16 and BF16', () => {
    const types = [...dtypes.values()].filter(({ name }) => /^Q\d|^F32$|^F16$|^BF16$/.test(name));
    expect(types.length).toBe(Object.keys(codecs).length);
    for (const type of types) expect(codecOf(type).dtype).toBe(type);
  });

  it('throws RangeError for types without one', () => {
    for (const name of ['I8', 'F64', 'BOOL']) expect(() => codecOf(dtype(name))).toThrow(RangeError);
  });
});

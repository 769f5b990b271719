import { describe, expect, it } from 'vitest';
import { byteLength, dtype, elementCount, tensorBytes } from './dtype.js';

describe('dtype', () => {
  it('reads names in any letter case and prints upper case', () => {
    expect(dtype('q4_0').name).toBe('Q4_0');
    expect(dtype('bf16').name).toBe('BF16');
    expect(() => dtype('q9_9')).toThrow(RangeError);
  });
  it('counts bytes by whole blocks and refuses ragged ones', () => {
    expect(byteLength(dtype('F32'), 3)).toBe(12);
    expect(byteLength(dtype('Q4_0'), 64)).toBe(36);
    expect(() => byteLength(dtype('Q4_0'), 33)).toThrow(/whole Q4_0 blocks/);
    expect(() => byteLength(dtype('F32'), 2 ** 52)).toThrow(/countable/);
  });
  it('counts a ragged last block as a whole one in totals', () => {
    const q4 = dtype('Q4_0');
    expect([[64], [2, 32], [33], [0, 32], []].map((shape) => tensorBytes(q4, shape))).toEqual([36, 36, 36, 0, 18]);
    expect(tensorBytes(dtype('F32'), [3, 5])).toBe(60);
  });
  it('gives a scalar one element and an empty dimension none', () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([4, 0, 2])).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { byteLength, dtype, elementCount } from './dtype.js';

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
  it('gives a scalar one element and an empty dimension none', () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([4, 0, 2])).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { layoutOf } from './layout.js';
import { groupScales, padRows, repackRows } from './repack.js';

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);
const range = (start: number, end: number): number[] => Array.from({ length: end - start }, (_, i) => start + i);
/** The same bytes where nothing is aligned. */
const misaligned = (bytes: Uint8Array): Uint8Array => {
  const file = new Uint8Array(bytes.length + 3);
  file.set(bytes, 3);
  return file.subarray(3);
};

describe('repackRows', () => {
  it('parts the fields of blocks, whose order is that of ggml-common.h', () => {
    const planesOf = (storage: string, bytes: number) => Object.fromEntries(Object.entries(repackRows(layoutOf(storage, 32), counting(2 * bytes), 2)).map(([name, plane]) => [name, [...plane]]));
    expect(planesOf('Q4_0', 18)).toEqual({ scales: [0, 1, 18, 19], values: [...range(2, 18), ...range(20, 36)] });
    expect(planesOf('Q4_1', 20)).toEqual({ scales: [0, 1, 2, 3, 20, 21, 22, 23], values: [...range(4, 20), ...range(24, 40)] });
    expect(planesOf('Q5_0', 22)).toEqual({ scales: [0, 1, 22, 23], high: [...range(2, 6), ...range(24, 28)], values: [...range(6, 22), ...range(28, 44)] });
    expect(planesOf('Q5_1', 24)).toEqual({ scales: [...range(0, 4), ...range(24, 28)], high: [...range(4, 8), ...range(28, 32)], values: [...range(8, 24), ...range(32, 48)] });
    expect(planesOf('Q8_0', 34)).toEqual({ scales: [0, 1, 34, 35], values: [...range(2, 34), ...range(36, 68)] });
  });
  it.each(['Q4_0', 'Q5_1', 'Q8_0', 'F16'])('gives the same for %s bytes that start anywhere', (storage) => {
    const layout = layoutOf(storage, 64);
    const bytes = counting(({ Q4_0: 36, Q5_1: 48, Q8_0: 68 }[storage] ?? 128) * 3);
    expect(repackRows(layout, misaligned(bytes), 3)).toEqual(repackRows(layout, bytes, 3));
  });
  it('fills planes up to whole words: writes to the device have no fewer', () => {
    expect([...repackRows(layoutOf('Q4_0', 32), counting(18 * 3), 3).scales!]).toEqual([0, 1, 18, 19, 36, 37, 0, 0]);
  });
});

describe('padRows', () => {
  it('fills each row up with zeros', () => {
    expect([...padRows(Uint8Array.of(1, 2, 3, 4, 5, 6), 2, 4)]).toEqual([1, 2, 3, 0, 4, 5, 6, 0]);
  });
  it('leaves whole rows where they are', () => {
    const rows = counting(8);
    expect(padRows(rows, 2, 4)).toBe(rows);
  });
});

describe('groupScales', () => {
  it('divides those of llama2c-q8-wmax by 127 and leaves others alone', () => {
    const bytes = misaligned(new Uint8Array(Float32Array.of(127, 1).buffer));
    expect([...groupScales('llama2c-q8', bytes)]).toEqual([127, 1]);
    expect([...groupScales('llama2c-q8-wmax', bytes)]).toEqual([1, Math.fround(1 / 127)]);
  });
});

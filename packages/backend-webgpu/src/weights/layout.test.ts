import { describe, expect, it } from 'vitest';
import { layoutOf, storages, unitElements } from './layout.js';

describe('layoutOf', () => {
  it.each([
    ['F32', 5, [['values', 32]]],
    ['F16', 9, [['values', 32]]],
    ['BF16', 8, [['values', 16]]],
    ['Q4_0', 64, [['values', 32], ['scales', 4]]],
    ['Q4_1', 64, [['values', 32], ['scales', 8]]],
    ['Q5_0', 64, [['values', 32], ['scales', 4], ['high', 8]]],
    ['Q5_1', 64, [['values', 32], ['scales', 8], ['high', 8]]],
    ['Q8_0', 64, [['values', 64], ['scales', 4]]],
  ] as const)('%s, %i columns', (storage, columns, planes) => {
    const layout = layoutOf(storage, columns);
    expect(layout.kind).toBe(storage);
    expect(layout.planes.map(({ name, bytesPerRow }) => [name, bytesPerRow])).toEqual(planes);
    expect(layout.unitsPerRow * unitElements[layout.kind]).toBeGreaterThanOrEqual(columns);
  });
  it('takes no more bytes than the file where rows are whole words', () => {
    const bytes = (storage: string): number => layoutOf(storage, 4096).planes.reduce((sum, { bytesPerRow }) => sum + bytesPerRow, 0);
    expect([bytes('Q4_0'), bytes('Q4_1'), bytes('Q5_0'), bytes('Q5_1'), bytes('Q8_0'), bytes('F16')]).toEqual([128 * 18, 128 * 20, 128 * 22, 128 * 24, 128 * 34, 8192]);
  });
  it.each([
    // w2 of stories42M: groups of 64 in rows of 1376 cross them, but never a word of 16.
    ['llama2c-q8', 1376, 64, 'INT8_BY_16'],
    // w2 of stories260K.
    ['llama2c-q8', 172, 64, 'INT8_BY_4'],
    ['llama2c-q8-wmax', 288, 8, 'INT8_BY_4'],
    ['lmdeploy-int8', 288, 288, 'INT8_BY_16'],
    ['lmdeploy-int8', 6, 6, 'F32'],
    ['llama2c-q8', 6, 8, 'F32'],
  ] as const)('%s with rows of %i in groups of %i is %s', (storage, columns, groupSize, kind) => {
    expect(layoutOf(storage, columns, groupSize).kind).toBe(kind);
  });
  it('decodes blocks that cross rows to f32', () => {
    expect(layoutOf('Q4_0', 48).kind).toBe('F32');
  });
  it('knows every storage that shaders unpack', () => {
    expect(storages).toEqual(['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'llama2c-q8', 'llama2c-q8-wmax', 'lmdeploy-int8']);
  });
});

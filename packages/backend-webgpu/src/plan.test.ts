import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gridOf, grown, rowRanges, strideOf } from './plan.js';

describe('strideOf', () => {
  it('fills rows up to whole units of 32 elements', () => {
    expect([1, 31, 32, 33, 4096].map(strideOf)).toEqual([32, 32, 32, 64, 4096]);
  });
});

describe('gridOf', () => {
  it('uses one dimension as far as it goes', () => {
    expect(gridOf(1)).toEqual([1, 1]);
    expect(gridOf(65535)).toEqual([65535, 1]);
  });
  it('covers any count within the limits of two dimensions, with less than a row to spare', () => {
    expect(gridOf(65536)).toEqual([32768, 2]);
    fc.assert(fc.property(fc.integer({ min: 1, max: 65535 ** 2 }), (count) => {
      const [x, y] = gridOf(count);
      expect(x).toBeLessThanOrEqual(65535);
      expect(y).toBeLessThanOrEqual(65535);
      expect(x * y).toBeGreaterThanOrEqual(count);
      expect(x * y - count).toBeLessThan(y);
    }));
  });
  it('refuses more than two dimensions hold', () => {
    expect(gridOf(65535 ** 2)).toEqual([65535, 65535]);
    expect(() => gridOf(65535 ** 2 + 1)).toThrow(RangeError);
  });
});

describe('rowRanges', () => {
  it('leaves a matrix whole that fits, and cuts one that is a byte too large', () => {
    expect(rowRanges(10, 100, 1000)).toEqual([{ firstRow: 0, rowCount: 10 }]);
    expect(rowRanges(10, 100, 999)).toEqual([{ firstRow: 0, rowCount: 8 }, { firstRow: 8, rowCount: 2 }]);
  });
  it('keeps a small matrix whole even where four of its rows would not fit twice', () => {
    expect(rowRanges(3, 100, 300)).toEqual([{ firstRow: 0, rowCount: 3 }]);
  });
  it('has no answer when four rows do not fit', () => {
    expect(rowRanges(5, 100, 399)).toBeUndefined();
    expect(rowRanges(5, 100, 400)).toEqual([{ firstRow: 0, rowCount: 4 }, { firstRow: 4, rowCount: 1 }]);
  });
  it('cuts 4 GiB of classifier to the 128 MiB that every device has', () => {
    const [rows, bytesPerRow, limit] = [128256, 8192 * 4, 2 ** 27];
    const ranges = rowRanges(rows, bytesPerRow, limit)!;
    expect(ranges).toHaveLength(Math.ceil(rows / 4096));
    expect(ranges.at(-1)).toEqual({ firstRow: 126976, rowCount: 1280 });
  });
  it('gives every row once, in order, within the limit, in multiples of four but for the last', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 1e6 }), (rows, bytesPerRow, limit) => {
      const ranges = rowRanges(rows, bytesPerRow, limit);
      fc.pre(ranges !== undefined);
      let next = 0;
      for (const { firstRow, rowCount } of ranges!) {
        expect(firstRow).toBe(next);
        expect(firstRow % 4).toBe(0);
        expect(rowCount * bytesPerRow).toBeLessThanOrEqual(limit);
        next += rowCount;
      }
      expect(next).toBe(rows);
    }));
  });
});

describe('grown', () => {
  it('doubles until what is needed fits, up to the most', () => {
    expect([grown(256, 257, 2048), grown(256, 1025, 2048), grown(256, 300, 400), grown(0, 1, 8)]).toEqual([512, 2048, 400, 1]);
  });
});

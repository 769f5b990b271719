import { describe, expect, it } from 'vitest';
import { ropeTable } from './rope-table.js';

describe('ropeTable', () => {
  it('is (1, 0) at position 0, and the angle itself for the first pair', () => {
    const table = ropeTable(4, 10000, 0, 3);
    expect([...table.subarray(0, 4)]).toEqual([1, 0, 1, 0]);
    expect([table[4], table[5], table[8], table[9]]).toEqual([Math.cos(1), Math.sin(1), Math.cos(2), Math.sin(2)].map(Math.fround));
  });
  it('starts at any position: rows of a later batch are those of an earlier one', () => {
    expect([...ropeTable(6, 500000, 7, 2)]).toEqual([...ropeTable(6, 500000, 0, 9).subarray(7 * 6)]);
  });
  it('stays within a rounding of the angle for positions where sin of WGSL has no bounds any more', () => {
    const position = 131071;
    const [, , cos, sin] = ropeTable(4, 10000, position, 1);
    const angle = position / 100;
    expect(Math.abs(cos! - Math.cos(angle))).toBeLessThan(3 * angle * 2 ** -24);
    expect(Math.abs(sin! - Math.sin(angle))).toBeLessThan(3 * angle * 2 ** -24);
  });
});

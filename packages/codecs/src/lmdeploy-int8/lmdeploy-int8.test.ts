import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lmdeployInt8, roundActivations } from './index.js';

describe('lmdeploy-int8', () => {
  it('has one scale a row, and rounds half to even', () => {
    const { values, scales } = lmdeployInt8.quantizeGroups(Float32Array.of(127, 0.5, 1.5, -2.5, 254, 1, 3, -127), 4);
    expect([...values]).toEqual([127, 0, 2, -2, 127, 0, 2, -64]);
    expect([...scales]).toEqual([1, 2]);
  });
  it('gives a row of zeros scale 0 and codes 0, where upstream has NaN', () => {
    const { values, scales } = lmdeployInt8.quantizeGroups(Float32Array.of(0, -0, 1, -1), 2);
    expect([[...values], [...scales]]).toEqual([[0, 0, 127, -127], [0, Math.fround(1 / 127)]]);
  });
  it('clamps at −128 and 127 where the scale is subnormal and was rounded down', () => {
    expect([...lmdeployInt8.quantizeGroups(Float32Array.of(190 * 2 ** -149, -190 * 2 ** -149), 2).values]).toEqual([127, -128]);
  });
  it.each([Number.NaN, Infinity, -Infinity])('refuses %d and names tensor and element (CODEC_NON_FINITE_INPUT)', (bad) => {
    expect(() => lmdeployInt8.quantizeGroups(Float32Array.of(1, 2, 3, bad), 2, { tensor: 'q_proj', firstElement: 100 })).toThrow(/CODEC_NON_FINITE_INPUT: q_proj: element 103 is/);
  });
  it('has 127 in every row and each weight within scale · (1/2 + 2^-15)', () => {
    const row = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 6, maxLength: 6 });
    let worst = 0;
    fc.assert(
      fc.property(row, fc.integer({ min: -100, max: 100 }), (numbers, exponent) => {
        const src = Float32Array.from(numbers, (value) => value * 2 ** exponent);
        const groups = lmdeployInt8.quantizeGroups(src, 6);
        const scale = groups.scales.at(0) ?? Number.NaN;
        if (scale < 2 ** -126) return;
        expect(Math.max(...groups.values.map(Math.abs))).toBe(127);
        lmdeployInt8.dequantizeGroups(groups, 6).forEach((value, i) => {
          worst = Math.max(worst, Math.abs(value - (src.at(i) ?? Number.NaN)) / scale);
        });
        expect(worst).toBeLessThanOrEqual(0.5 + 2 ** -15);
      }),
      { numRuns: 2000, seed: 5 },
    );
    expect(worst).toBeGreaterThan(0.49);
  });
});

describe('roundActivations', () => {
  const rounded = (numbers: readonly number[]): number[] => {
    const out = new Float64Array(numbers.length);
    roundActivations(Float32Array.from(numbers), 0, numbers.length, out);
    return [...out];
  };
  it('rounds half away from zero', () => {
    expect(rounded([127, 0.5, 1.5, -0.5, -2.5, 0.25])).toEqual([127, 1, 2, -1, -3, 0]);
  });
  it('keeps tokens apart: only [start, end) is looked at and written', () => {
    const out = new Float64Array(4).fill(7);
    roundActivations(Float32Array.of(1000, 127, 3.4, 1000), 1, 3, out);
    expect([...out]).toEqual([7, 127, 3, 7]);
  });
  it('has 1e-7 / 127 as its least scale, so that zeros stay zeros', () => {
    expect(rounded([0, 0])).toEqual([0, 0]);
    const scale = Math.fround(Math.fround(1e-7) / 127);
    expect(rounded([scale, scale * 0.4])).toEqual([scale, 0]);
  });
  it('spoils the whole token for one NaN or infinity', () => {
    expect(rounded([1, Number.NaN])).toEqual([Number.NaN, Number.NaN]);
    expect(rounded([0, Infinity]).at(1)).toBeNaN();
  });
});

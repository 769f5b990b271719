import { readFileSync } from 'node:fs';
import { sharedData } from '@weightspec/oracles';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeGroups, llama2cQ8, llama2cQ8Wmax, quantizeGroups } from './index.js';

const f32 = (bytes: Uint8Array, byteOffset: number, count: number) => new Float32Array(Uint8Array.from(bytes.subarray(byteOffset, byteOffset + count * 4)).buffer);
const bytesOf = (array: Float32Array | Int8Array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** stories260K: lengths in f32 of the tensors of a v0 file, in file order, without the frequency tables. */
const dim = 64, hidden = 172, layers = 5, kv = 32, vocab = 512;
const v0Order = { tok: vocab * dim, attNorm: layers * dim, wq: layers * dim * dim, wk: layers * kv * dim, wv: layers * kv * dim, wo: layers * dim * dim, ffnNorm: layers * dim, w1: layers * hidden * dim, w2: layers * hidden * dim, w3: layers * hidden * dim };

describe('llama2c-q8', () => {
  const source = sharedData('llama2c/stories260K.bin');
  const quantized = sharedData('llama2c/stories260K.v1_int8_gs64.bin');
  it.skipIf(!source || !quantized)('reproduces every code and scale of the exporter (stories260K, groups of 64)', () => {
    const v0 = readFileSync(source!);
    let byteOffset = 28;
    const weights: Float32Array[] = [];
    for (const [name, count] of Object.entries(v0Order)) {
      if (!name.endsWith('Norm')) weights.push(f32(v0, byteOffset, count));
      byteOffset += count * 4;
    }
    const groups = weights.map((weight) => quantizeGroups(weight, 64));
    const v1 = readFileSync(quantized!);
    const body = v1.subarray(256 + 4 * (2 * layers + 1) * dim);
    const ours = Buffer.concat([...groups.map((g) => bytesOf(g.values)), ...groups.map((g) => bytesOf(g.scales))]);
    expect(ours.length).toBe(body.length);
    expect(ours.equals(body)).toBe(true);
  });

  it('rounds half to even and keeps the largest weight at 127', () => {
    const { values, scales } = quantizeGroups(Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5), 8);
    expect([...values]).toEqual([127, 0, 2, 2, 0, -2, -2, 126]);
    expect([...scales]).toEqual([1]);
  });

  it('gives a group of zeros scale 0 and codes 0, and does not disturb its neighbour', () => {
    const { values, scales } = quantizeGroups(Float32Array.of(0, -0, 1, -1), 2);
    expect([...values]).toEqual([0, 0, 127, -127]);
    expect([...scales]).toEqual([0, Math.fround(1 / 127)]);
  });

  it.each([
    ['clamps when the subnormal scale is rounded down', 190, 1, 127],
    ['uses fewer codes when it is rounded up', 100, 1, 100],
    ['has codes 0 when it is rounded to zero', 63, 0, 0],
  ])('%s', (_, units, scaleUnits, code) => {
    const { values, scales } = quantizeGroups(Float32Array.of(units * 2 ** -149, -units * 2 ** -149), 2);
    expect(scales[0]).toBe(scaleUnits * 2 ** -149);
    expect([...values]).toEqual([code, 0 - code]);
  });

  it.each([Number.NaN, Infinity, -Infinity])('refuses %d and names tensor and element (CODEC_NON_FINITE_INPUT)', (bad) => {
    const src = new Float32Array(8).fill(1);
    src[5] = bad;
    const attempt = () => quantizeGroups(src, 4, { tensor: 'layers.0.attention.wq.weight', firstElement: 1000 });
    expect(attempt).toThrow(/CODEC_NON_FINITE_INPUT: layers\.0\.attention\.wq\.weight: element 1005 is (NaN|-?Infinity)/);
  });

  it('throws RangeError when lengths disagree or the group size is no positive integer', () => {
    const good = quantizeGroups(new Float32Array(8), 4);
    for (const size of [0, -4, 3, 1.5, 16, Number.NaN]) expect(() => quantizeGroups(new Float32Array(8), size)).toThrow(RangeError);
    expect(() => dequantizeGroups({ values: good.values, scales: new Float32Array(3) }, 4)).toThrow(RangeError);
    expect(() => dequantizeGroups(good, 4, new Float32Array(7))).toThrow(RangeError);
    expect(quantizeGroups(new Float32Array(0), 4).scales.length).toBe(0);
  });

  it.each([
    // The exponents keep every scale normal and, for wmax, 127 · max|w| finite.
    [llama2cQ8, (stored: number) => stored],
    [llama2cQ8Wmax, (stored: number) => stored / 127],
  ] as const)('$scheme keeps every element within scale · (1/2 + 2^-15)', (scheme, unit) => {
    let worst = 0;
    const weights = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(weights, fc.integer({ min: -110, max: 110 }), (row, exponent) => {
        const src = Float32Array.from(row, (value) => value * 2 ** exponent);
        const groups = scheme.quantizeGroups(src, 4);
        const back = scheme.dequantizeGroups(groups, 4);
        for (const [i, weight] of src.entries()) {
          const scale = unit(groups.scales.at(i >> 2) ?? Number.NaN);
          if (scale < 2 ** -126) continue;
          const ratio = Math.abs(weight - (back.at(i) ?? Number.NaN)) / (scale * (0.5 + 2 ** -15));
          expect(ratio).toBeLessThanOrEqual(1);
          worst = Math.max(worst, ratio);
        }
      }),
      { numRuns: 5000, seed: 260 },
    );
    expect(worst).toBeGreaterThan(0.99);
  });

  it('wmax stores max|w| and decodes as (code · max) / 127', () => {
    const groups = llama2cQ8Wmax.quantizeGroups(Float32Array.of(3, -1.5, 0.1, 0), 4);
    expect([...groups.values]).toEqual([127, -64, 4, 0]); // -63.5 is a tie and goes to even
    expect([...groups.scales]).toEqual([3]);
    expect([...llama2cQ8Wmax.dequantizeGroups(groups, 4)]).toEqual([3, Math.fround(-192 / 127), Math.fround(12 / 127), 0]);
  });
});

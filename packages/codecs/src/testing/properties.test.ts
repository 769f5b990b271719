/**
 * One suite for whatever is registered in `codecs`: error bounds and their tightness, idempotence, block independence, agreement
 * with the float64 reference, lengths. Numbers come from recipes, so that fast-check can shrink them to something readable.
 */
import { byteLength } from '@weightspec/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codecs } from '../index.js';
import { codesOf, decodeBlock, exactEncoding, halfValue, isStorable, roundPlain, roundToHalf, worstCaseErrors } from './reference.js';

const seed = 20260101;
const roundings = ['ggml', 'torch'] as const;

/** Scale steps of the five block codecs: adversarial blocks aim at one of these grids. */
const grids = [8, 16, 127, 15, 31];

const int = (min: number, max: number) => fc.integer({ min, max });
const elements = <T>(element: fc.Arbitrary<T>) => fc.array(element, { minLength: 32, maxLength: 32 });
const exponents = int(-40, 15);
/** Around the midpoints between f16 values, where rounding the scale costs most. */
const scales = fc.tuple(int(0, 40), int(-1, 1), exponents).map(([step, nudge, exponent]) => Math.fround((1 + (2 * step + 1) * 2 ** -11 + nudge * 2 ** -22) * 2 ** exponent));
/** Element k + half of a grid, give or take a few units in the last place. */
const nearTies = fc.tuple(int(-128, 127), fc.constantFrom(-0.5, -0.499, 0, 0.499, 0.5), int(-2, 2)).map(([code, half, ulps]) => (code + half) * (1 + ulps * 2 ** -23));

const arbitraries: Readonly<Record<string, fc.Arbitrary<number[]>>> = {
  gaussianLike: fc.tuple(elements(int(-1000, 1000)), elements(int(-1000, 1000)), exponents).map(([a, b, exponent]) => a.map((x, i) => (x + (b[i] ?? 0)) * 2 ** (exponent - 10))),
  ties: fc.tuple(elements(nearTies), scales, fc.constantFrom(...grids), fc.boolean(), int(0, 31)).map(([row, scale, steps, negative, at]) =>
    row.map((x, i) => (i === at ? (negative ? -steps : steps) : Math.max(-steps, Math.min(steps, x))) * scale),
  ),
  tiesAboveMinimum: fc.tuple(elements(nearTies), scales, fc.constantFrom(15, 31), scales, fc.constantFrom(-1, 0, 1)).map(([row, scale, steps, minimum, sign]) =>
    row.map((x, i) => sign * minimum + (i === 0 ? 0 : i === 1 ? steps : Math.abs(x) % steps) * scale),
  ),
  outlier: fc.tuple(elements(int(-9, 9)), int(0, 31), fc.constantFrom(-1, 1), int(4, 18), exponents).map(([row, at, sign, size, exponent]) => row.map((x, i) => (i === at ? sign * 2 ** size : x) * 2 ** (exponent - 9))),
  denormal: fc.tuple(elements(int(-300, 300)), int(0, 30)).map(([row, exponent]) => row.map((x) => x * 2 ** (exponent - 149))),
  scaleUnderflow: fc.tuple(elements(int(-255, 255)), int(-30, -10)).map(([row, exponent]) => row.map((x) => x * 2 ** exponent)),
  scaleOverflow: fc.tuple(elements(int(-4096, 4096)), int(2, 116)).map(([row, exponent]) => row.map((x) => x * 2 ** exponent)),
  zeros: elements(fc.constantFrom(0, -0)),
  allEqual: fc.tuple(int(-4096, 4096), exponents).map(([x, exponent]) => Array.from({ length: 32 }, () => x * 2 ** (exponent - 12))),
  oneSided: fc.tuple(elements(int(0, 4096)), fc.constantFrom(-1, 1), exponents, int(0, 60000)).map(([row, sign, exponent, offset]) => row.map((x) => sign * (offset + x * 2 ** (exponent - 12)))),
  anyFinite: elements(fc.float({ noNaN: true, noDefaultInfinity: true })),
};
const blocks: fc.Arbitrary<Float32Array> = fc.oneof(...Object.values(arbitraries)).map((row) => Float32Array.from(row));

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const fail = (what: string): never => {
  throw new Error(what);
};

describe.each(Object.entries(codecs))('%s', (key, codec) => {
  const { name, blockSize, bytesPerBlock } = codec.dtype;
  const isBlockType = blockSize > 1;
  /** Plain types see the 32 numbers as 32 blocks. */
  const cut = (row: Float32Array) => (isBlockType ? [row] : Array.from(row, (value) => Float32Array.of(value)));

  it('is registered under its own name', () => {
    expect(key).toBe(name.toLowerCase());
  });

  it('keeps every element within the bound, which is tight, and is idempotent (more than 10,000 blocks, both roundings)', () => {
    let tightest = 0;
    let storable = 0;
    let cameBack = 0;
    fc.assert(
      fc.property(blocks, (row) => {
        for (const block of cut(row)) {
          const bound = codec.errorBound(block);
          if (!isStorable(name, block)) {
            if (!bound.every((limit) => limit === Infinity)) fail(`a bound is promised for a block that cannot be stored: ${bound.join()}`);
            continue;
          }
          storable++;
          const worst = worstCaseErrors(name, block);
          for (const rounding of roundings) {
            const encoded = codec.quantize(block, { rounding });
            const decoded = codec.dequantize(encoded);
            for (const [i, value] of block.entries()) {
              const limit = bound.at(i) ?? fail('no bound');
              const error = Math.abs(value - (decoded.at(i) ?? Number.NaN));
              if (!(error <= limit)) fail(`${rounding}: element ${i} (${value}) is off by ${error}, more than ${limit}`);
              if (Math.abs(limit - (worst[i] ?? Number.NaN)) > 1e-9 * limit) fail(`errorBound says ${limit}, the reference ${worst[i]}`);
              if (error > 0) tightest = Math.max(tightest, error / limit);
            }
            if (checkIdempotent(encoded, decoded, rounding)) cameBack++;
          }
        }
      }),
      { numRuns: isBlockType ? 13_000 : 1000, seed },
    );
    expect(storable).toBeGreaterThan(10_000);
    // Of two attempts each; the rest have a scale of zero or a minimum far beyond their range.
    expect(cameBack).toBeGreaterThan(0.75 * storable);
    expect(tightest).toBeGreaterThanOrEqual(name === 'F32' ? 0 : 0.99);
  });

  /**
   * encode(decode(bytes)) = bytes, with three exceptions (clause C-5.1). A block whose stored scale is zero decodes to one number,
   * and only that number is kept. A minimum of −0 decodes to 0·d − 0 = +0. And where the minimum is more than 4092 times the range,
   * rounding the sum to f32 may move the range by more than half an f16 step. Returns whether the bytes had to come back.
   */
  function checkIdempotent(encoded: Uint8Array, decoded: Float32Array, rounding: (typeof roundings)[number]): boolean {
    const again = codec.quantize(decoded, { rounding });
    if (isBlockType && (encoded.at(0) ?? 0) === 0 && ((encoded.at(1) ?? 0) & 0x7f) === 0) {
      if (codec.dequantize(again).some((value, i) => value !== decoded[i])) fail('a block of scale zero changes when encoded again');
      return false;
    }
    if (!isGridKept(encoded)) return false;
    const minimumIsMinusZero = name.endsWith('1') && encoded.at(2) === 0 && encoded.at(3) === 0x80;
    const expected = minimumIsMinusZero ? encoded.with(3, 0) : encoded;
    if (hex(again) !== hex(expected)) fail(`${rounding}: ${hex(encoded)} becomes ${hex(again)} when decoded and encoded again`);
    return true;
  }

  /** Whether f32 can tell the values of the grid apart: |m| ≤ 4092 · (greatest code) · d. Always so where no minimum is stored. */
  function isGridKept(encoded: Uint8Array): boolean {
    if (!name.endsWith('1')) return true;
    const [scale, minimum] = [0, 2].map((at) => halfValue((encoded.at(at) ?? 0) + 256 * (encoded.at(at + 1) ?? 0)));
    return Math.abs(minimum ?? Number.NaN) <= 4092 * (name === 'Q4_1' ? 15 : 31) * (scale ?? Number.NaN);
  }

  it('gives each block the bytes that it has alone', () => {
    fc.assert(
      fc.property(fc.array(blocks, { minLength: 1, maxLength: 4 }), fc.constantFrom(...roundings), (rows, rounding) => {
        const together = codec.quantize(Float32Array.from(rows.flatMap((row) => [...row])), { rounding });
        const alone = rows.map((row) => hex(codec.quantize(row, { rounding }))).join('');
        expect(hex(together)).toBe(alone);
        const decodedAlone = rows.flatMap((row) => [...codec.dequantize(codec.quantize(row, { rounding }))]);
        expect([...codec.dequantize(together)]).toEqual(decodedAlone);
      }),
      { numRuns: 500, seed },
    );
  });

  it('decodes any bytes to the reference value rounded once to f32', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytesPerBlock, maxLength: bytesPerBlock }), (bytes) => {
        expect([...codec.dequantize(bytes)]).toEqual(decodeBlock(name, bytes).map(Math.fround));
      }),
      { numRuns: 2000, seed },
    );
  });

  it('stores what exact arithmetic gives, but within f32 rounding of a tie', () => {
    let compared = 0;
    fc.assert(
      fc.property(blocks, (row) => {
        for (const block of cut(row).filter((candidate) => isStorable(name, candidate))) {
          const encoded = codec.quantize(block);
          compared += isBlockType ? compareCodes(block, encoded) : comparePlain(block, encoded);
        }
      }),
      { numRuns: 2000, seed },
    );
    expect(compared).toBeGreaterThan(20_000);
  });

  function comparePlain(block: Float32Array, encoded: Uint8Array): number {
    const [value = Number.NaN] = block;
    const [stored] = codec.dequantize(encoded);
    if (!Object.is(stored, Math.fround(roundPlain(name, value)))) fail(`${value} is stored as ${stored}, not as ${roundPlain(name, value)}`);
    return 1;
  }

  function compareCodes(block: Float32Array, encoded: Uint8Array): number {
    const exact = exactEncoding(name, block);
    // A scale below f32's normal range is imprecise, and is stored as 0 in any case.
    if (Math.abs(exact.scale) < 2 ** -126) return 0;
    for (const [field, value] of [[0, exact.scale], ...(name.endsWith('1') ? [[2, exact.minimum]] : [])] as const) {
      const stored = halfValue((encoded.at(field) ?? 0) + 256 * (encoded.at(field + 1) ?? 0));
      const possible = [value * (1 - 2 ** -22), value * (1 + 2 ** -22)].map(roundToHalf);
      if (!possible.includes(stored)) fail(`${value} is stored as ${stored}, not as ${possible.join(' or ')}`);
    }
    let compared = 0;
    for (const [i, code] of codesOf(name, encoded).entries()) {
      const position = exact.positions[i] ?? Number.NaN;
      // Three roundings to f32 of numbers up to 127: below 127 · 2^-22.
      if (Math.abs(Math.abs(position % 1) - 0.5) < 2 ** -14) continue;
      if (code !== exact.codes[i]) fail(`element ${i} at ${position} has code ${code}`);
      compared++;
    }
    return compared;
  }

  it('throws RangeError when lengths disagree', () => {
    const src = new Float32Array(2 * blockSize);
    const bytes = byteLength(codec.dtype, src.length);
    for (const length of isBlockType ? [1, blockSize - 1, blockSize + 1] : []) expect(() => codec.quantize(new Float32Array(length))).toThrow(RangeError);
    for (const length of [bytes - 1, bytes + 1, 0]) expect(() => codec.quantize(src, { dst: new Uint8Array(length) })).toThrow(RangeError);
    expect(() => codec.dequantize(new Uint8Array(bytesPerBlock + 1))).toThrow(RangeError);
    for (const length of [src.length - 1, src.length + 1, 0]) expect(() => codec.dequantize(new Uint8Array(bytes), new Float32Array(length))).toThrow(RangeError);
    for (const length of [0, blockSize - 1, blockSize + 1]) expect(() => codec.errorBound(new Float32Array(length))).toThrow(RangeError);
    expect(codec.quantize(new Float32Array(0)).length).toBe(0);
    expect(codec.dequantize(new Uint8Array(0)).length).toBe(0);
  });

  it('fills a destination at any alignment, and only that', () => {
    const src = Float32Array.from({ length: 2 * blockSize }, (_, i) => i - 7.25);
    const expected = codec.quantize(src);
    for (const shift of [0, 1, 2, 3]) {
      const frame = new Uint8Array(expected.length + 8).fill(0xaa);
      const dst = frame.subarray(shift, shift + expected.length);
      expect(codec.quantize(src, { dst })).toBe(dst);
      expect(hex(frame)).toBe('aa'.repeat(shift) + hex(expected) + 'aa'.repeat(8 - shift));
      const values = new Float32Array(src.length + 2).fill(99);
      codec.dequantize(dst, values.subarray(1, 1 + src.length));
      expect([...values]).toEqual([99, ...codec.dequantize(expected), 99]);
    }
  });
});

it('more bits give a smaller error on Gaussian weights', () => {
  let state = 7;
  const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  // Box and Muller.
  const weights = Float32Array.from({ length: 1 << 16 }, () => 0.02 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  const meanSquare = (['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const).map((name) => {
    const decoded = codecs[name].dequantize(codecs[name].quantize(weights));
    return weights.reduce((sum, value, i) => sum + (value - (decoded.at(i) ?? Number.NaN)) ** 2, 0) / weights.length;
  });
  expect(meanSquare[0]).toBe(0);
  expect(meanSquare).toEqual(meanSquare.toSorted((a, b) => a - b));
  expect(new Set(meanSquare).size).toBe(meanSquare.length);
});

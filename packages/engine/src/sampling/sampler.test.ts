import { describe, expect, it } from 'vitest';
import { createSampler, greedySampler, XorShiftStar } from '../index.js';

/**
 * First outputs of Vigna's xorshift64* with run.c's shifts, state 1, computed with Python's integers:
 * s ^= s >> 12; s ^= (s << 25) mod 2^64; s ^= s >> 27; (s * 0x2545F4914F6CDD1D mod 2^64) >> 32.
 */
describe('xorshift*', () => {
  it('gives the sequence of its definition', () => {
    const one = new XorShiftStar(1);
    expect([one.nextU32(), one.nextU32(), one.nextU32()]).toEqual([1206177355, 2882512552, 3117485455]);
    const runC = new XorShiftStar(133742);
    expect([runC.nextU32(), runC.nextU32(), runC.nextU32()]).toEqual([3033531262, 2674377904, 2312864567]);
  });
  it('gives f32 in [0, 1)', () => {
    const random = new XorShiftStar(42n);
    for (let i = 0; i < 1000; i += 1) {
      const value = random.nextF32();
      expect(value >= 0 && value < 1 && Math.fround(value) === value).toBe(true);
    }
  });
  it('takes seeds modulo 2^64 and refuses 0', () => {
    expect(new XorShiftStar(-1).nextU32()).toBe(new XorShiftStar(2n ** 64n - 1n).nextU32());
    expect(() => new XorShiftStar(0)).toThrow(RangeError);
    expect(() => new XorShiftStar(2n ** 64n)).toThrow(RangeError);
  });
});

describe('greedy sampler', () => {
  it('takes the first of the largest', () => {
    expect(greedySampler().sample(Float32Array.of(1, 3, 2, 3))).toBe(1);
    expect(greedySampler().sample(Float32Array.of(-Infinity, -5))).toBe(1);
    expect(greedySampler().sample(Float32Array.of(-0, 0, -3))).toBe(0);
    expect(greedySampler().sample(Float32Array.of(1, Number.NaN, 7, Number.NaN, 7))).toBe(2);
    expect(greedySampler().sample(Float32Array.of(1, Infinity, 7, Infinity))).toBe(1);
  });
  it('finds it at the borders of its blocks, wherever the array begins', () => {
    for (const length of [1023, 1024, 1025, 2049, 4100]) {
      for (const at of [0, 1, 1022, 1023, 1024, 2047, 2048, length - 1].filter((place) => place < length)) {
        const values = new Float32Array(length + 1).fill(0.25).subarray(1);
        values[at] = 0.5;
        if (at + 1 < length) values[length - 1] = 0.5;
        expect(greedySampler().sample(values)).toBe(at);
        expect(greedySampler().sample(values.map((value) => value - 3))).toBe(at);
      }
    }
  });
  it('refuses logits that are no numbers (LOGITS_NOT_FINITE)', () => {
    expect(() => greedySampler().sample(Float32Array.of(Number.NaN, Number.NaN))).toThrow(/^LOGITS_NOT_FINITE/);
  });
  it('is what temperature 0 means', () => {
    expect(createSampler({ temperature: 0, topP: 0.5 }).sample(Float32Array.of(1, 3, 2))).toBe(1);
  });
});

describe('random sampler', () => {
  const logits = Float32Array.from([0.5, 0.25, 0.15, 0.1], Math.log);
  const draws = (options: Parameters<typeof createSampler>[0], row = logits, count = 4000): number[] => {
    const sampler = createSampler({ seed: 7, ...options });
    const counts = Array.from(row, () => 0);
    for (let i = 0; i < count; i += 1) {
      const id = sampler.sample(row);
      counts[id] = (counts[id] ?? 0) + 1;
    }
    return counts.map((n) => n / count);
  };
  /** Ids whose share of 4000 draws is more than five standard deviations away from their probability. */
  const unlikely = (shares: readonly number[], expected: readonly number[]): number[] =>
    Array.from(shares.keys()).filter((id) => {
      const p = expected[id] ?? 0;
      return !(Math.abs((shares[id] ?? Number.NaN) - p) <= 5 * Math.sqrt((p * (1 - p)) / 4000));
    });

  it('draws each token with its probability', () => {
    expect(unlikely(draws({}), [0.5, 0.25, 0.15, 0.1])).toEqual([]);
  });
  it('flattens with temperature: logits / 2 are square roots of the odds', () => {
    const roots = [0.5, 0.25, 0.15, 0.1].map(Math.sqrt);
    const total = roots.reduce((a, b) => a + b);
    expect(unlikely(draws({ temperature: 2 }), roots.map((root) => root / total))).toEqual([]);
  });
  it('top-p keeps the fewest tokens that together exceed it', () => {
    expect(unlikely(draws({ topP: 0.7 }), [2 / 3, 1 / 3, 0, 0])).toEqual([]);
    expect(unlikely(draws({ topP: 0.8 }), [5 / 9, 2.5 / 9, 1.5 / 9, 0])).toEqual([]);
    expect(unlikely(draws({ topP: 0.01 }), [1, 0, 0, 0])).toEqual([]);
  });
  it('top-p 0 and 1 keep everything, as in run.c', () => {
    expect(unlikely(draws({ topP: 0 }), [0.5, 0.25, 0.15, 0.1])).toEqual([]);
  });
  it('top-k keeps the likeliest, the lowest ids among equals', () => {
    expect(unlikely(draws({ topK: 2 }), [2 / 3, 1 / 3, 0, 0])).toEqual([]);
    expect(unlikely(draws({ topK: 1 }), [1, 0, 0, 0])).toEqual([]);
    expect(unlikely(draws({ topK: 3 }, Float32Array.of(1, 2, 1, 1, 1)), [1 / (2 + Math.E), Math.E / (2 + Math.E), 1 / (2 + Math.E), 0, 0])).toEqual([]);
    expect(unlikely(draws({ topK: 99 }), [0.5, 0.25, 0.15, 0.1])).toEqual([]);
  });
  it('top-k comes before top-p: of the three that are left, two exceed 0.8', () => {
    expect(unlikely(draws({ topK: 3, topP: 0.8 }), [2 / 3, 1 / 3, 0, 0])).toEqual([]);
  });
  it('goes on past a sum that only equals top-p, as run.c does', () => {
    const sampler = createSampler({ topP: 0.5, seed: 1 });
    const drawn = new Set(Array.from({ length: 50 }, () => sampler.sample(Float32Array.of(0, 0))));
    expect(drawn).toEqual(new Set([0, 1]));
  });
  it('leaves the logits alone and repeats itself with the same seed', () => {
    const row = Float32Array.from(logits);
    const [a, b] = [createSampler({ seed: 5 }), createSampler({ seed: 5 })];
    for (let i = 0; i < 50; i += 1) expect(a.sample(row)).toBe(b.sample(row));
    expect(row).toEqual(logits);
  });
  it.each([{ temperature: -1 }, { temperature: Number.NaN }, { topP: 1.1 }, { topP: -0.1 }, { topK: 0 }, { topK: 1.5 }, { seed: undefined }, { seed: 0 }])('refuses %o', (options) => {
    expect(() => createSampler({ seed: 1, ...options })).toThrow(RangeError);
  });
  it('refuses logits of which one is not finite (LOGITS_NOT_FINITE)', () => {
    expect(() => createSampler({ seed: 1 }).sample(Float32Array.of(1, Number.NaN))).toThrow(/^LOGITS_NOT_FINITE/);
    expect(() => createSampler({ seed: 1 }).sample(Float32Array.of(1, Infinity))).toThrow(/^LOGITS_NOT_FINITE/);
  });
});

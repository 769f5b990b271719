/** Whole random numbers for mutations, from Marsaglia's xorshift32 (Journal of Statistical Software 8(14), 2003): fast, and the same on every machine. */
export interface Dice {
  /** Uniform in 0 … count − 1. */
  below(count: number): number;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
  pick<T>(list: readonly T[]): T;
}

export function dice(seed: number): Dice {
  // A state of zero stays zero; the multiplication spreads neighbouring seeds.
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1;
  const below = (count: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
  for (let i = 0; i < 8; i++) below(1);
  return { below, oneIn: (n) => below(n) === 0, pick: (list) => list[below(list.length)]! };
}

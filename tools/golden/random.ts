/**
 * Marsaglia's xorshift128 (Journal of Statistical Software 8(14), 2003, section 4), 32-bit outputs.
 * Chosen because it is a few lines in any language, so that the weights can be made again elsewhere.
 */
export interface Random {
  /** Uniform in [0, 1), a multiple of 2^-24: exact in f32. */
  unit(): number;
  /** Uniform in [low, high), rounded to f32. */
  between(low: number, high: number): number;
  /** `count` values uniform with mean 0 and the given standard deviation, rounded to f32. */
  centred(count: number, standardDeviation: number): Float32Array;
}

/** Starts from Marsaglia's state with the seed added to its first word; the first 16 outputs are dropped. */
export function xorshift128(seed: number): Random {
  let [x, y, z, w] = [(123456789 + seed) | 0, 362436069, 521288629, 88675123];
  const next = (): number => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
    return w >>> 0;
  };
  for (let i = 0; i < 16; i++) next();
  const unit = () => (next() >>> 8) / 0x1000000;
  const between = (low: number, high: number) => Math.fround(low + (high - low) * unit());
  return {
    unit,
    between,
    centred: (count, standardDeviation) => {
      const limit = standardDeviation * Math.sqrt(3);
      return Float32Array.from({ length: count }, () => between(-limit, limit));
    },
  };
}

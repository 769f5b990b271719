/**
 * Worst-case errors of the block codecs, in f64. Derivations: specs/codecs/README.md, section 4.
 * They hold for both roundings. Infinity: the block is outside of what the codec can store.
 */
import { f16Overflow, f16RoundingError } from './float16.js';

const representable = (scaleOrMinimum: number) => Math.abs(Math.fround(scaleOrMinimum)) < f16Overflow;

/**
 * Q4_0 (levels = 8) and Q5_0 (levels = 16), codes −levels … levels − 1 of a scale d whose sign is opposite to the extremum's.
 * The end of the range that has no code of its own may be a whole step off.
 */
export function signedBound(block: Float32Array, levels: number, bound: Float64Array): void {
  let extreme = 0;
  for (const value of block) if (!(Math.abs(value) <= Math.abs(extreme))) extreme = value;
  const d = Math.abs(extreme) / levels;
  if (!representable(d)) return void bound.fill(Infinity);
  const inside = d * (0.5 + 2 ** -18) + levels * f16RoundingError(d);
  const clamped = Math.max(inside, d * (1 + 2 ** -18) + (levels - 1) * f16RoundingError(d));
  const sign = Math.sign(extreme);
  for (let i = 0; i < block.length; i++) bound[i] = block[i]! * sign >= -(levels - 0.5) * d ? inside : clamped;
}

/** Q4_1 (steps = 15) and Q5_1 (steps = 31): codes 0 … steps above a minimum. */
export function rangeBound(block: Float32Array, steps: number, bound: Float64Array): void {
  const min = Math.min(...block);
  const d = (Math.max(...block) - min) / steps;
  if (!representable(d) || !representable(min)) return void bound.fill(Infinity);
  const sumRounding = 2 ** -24 * (Math.abs(min) * (1 + 2 ** -11) + steps * (d + f16RoundingError(d)));
  bound.fill(d * (0.5 + 2 ** -17) + steps * f16RoundingError(d) + f16RoundingError(min) + sumRounding);
}

/** Q8_0: codes −127 … 127. */
export function symmetricBound(block: Float32Array, bound: Float64Array): void {
  let greatest = 0;
  for (const value of block) if (!(Math.abs(value) <= greatest)) greatest = Math.abs(value);
  const d = greatest / 127;
  if (!representable(d)) return void bound.fill(Infinity);
  bound.fill(d * (0.5 + 2 ** -15) + 127 * f16RoundingError(d));
}

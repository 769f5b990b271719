/**
 * How far an op that computes in f32, in any order of summation, with or without fused multiply-add, may be from float64.
 * u = 2^−24 is the relative error of one f32 rounding; a sum of n products has at most n roundings in the way of each product,
 * so its error is at most n·u·Σ|a·b| (Higham, Accuracy and Stability, 3.1; second-order terms are covered by one extra u).
 * exp, division and inverse square root may have the errors that WGSL allows: exp (3 + 2|x|) ulp, the others 2.5 ulp, 1 ulp ≤ 2u.
 */
import { dotProduct, ropePair, type Row } from './float64.js';

const u = 2 ** -24;
/** Below this f32 has no full precision, and a backend may flush to zero. */
const SMALLEST_NORMAL = 2 ** -126;

const absolute = (values: Row): number[] => values.map(Math.abs);

/** A copy. */
export const embedBound = (row: Row): number[] => row.map(() => 0);

/** One addition. */
export const addBound = (expected: Row): number[] => expected.map((value) => Math.abs(value) * u + SMALLEST_NORMAL);

/**
 * n products and, with a bias, one more addition; decoding a stored weight takes up to 2 roundings.
 * `magnitudes`: |weight|, or for weights stored as scale · q + min the sum |scale · q| + |min|.
 */
export function matmulBound(magnitudes: readonly Row[], x: Row, bias?: Row): number[] {
  return magnitudes.map((row, i) => (x.length + 4) * u * (dotProduct(row, absolute(x)) + Math.abs(bias?.[i] ?? 0)) + SMALLEST_NORMAL);
}

/**
 * What rounding x to int8 adds, where a backend multiplies integers: blocks of `blockElements` of x share a scale d = max|x| / 127,
 * so each element moves by d/2 at most; a scale kept as f16 moves it by another 2^−11 |x|. The factor 1 + 2^−8 covers the
 * roundings of 1/d and of the product before they are rounded to an integer.
 */
export function activationRoundingBound(weights: readonly Row[], x: Row, blockElements: number): number[] {
  const moved = x.map((value, i) => {
    const start = i - (i % blockElements);
    const largest = Math.max(...absolute(x.slice(start, start + blockElements)));
    return (largest / 254) * (1 + 2 ** -8) + Math.abs(value) * 2 ** -11;
  });
  return weights.map((row) => dotProduct(absolute(row), moved));
}

/** The sum of n squares has relative error (n + 1)u, halved by the root; then mean, eps, root (5u) and two products. */
export function rmsnormBound(expected: Row): number[] {
  return expected.map((value) => Math.abs(value) * ((expected.length + 1) / 2 + 10) * u + SMALLEST_NORMAL);
}

/**
 * The frequency theta^−e has the relative error of its f32 exponent e ≤ 1 times ln theta, plus 3 roundings; the angle one more.
 * A wrong angle moves each of the pair by at most (|a| + |b|) · angle · that; cos, sin, two products and a sum add 5u.
 */
export function ropeBound(x: Row, position: number, heads: number, headDim: number, theta: number, style: 'interleaved' | 'halves'): number[] {
  const bound = x.map(() => 0);
  for (let head = 0; head < heads; head += 1) {
    for (let i = 0; i < headDim / 2; i += 1) {
      const angle = position / Math.pow(theta, (2 * i) / headDim);
      const pair = ropePair(head, i, headDim, style);
      const size = Math.abs(x[pair[0]]!) + Math.abs(x[pair[1]]!);
      for (const at of pair) bound[at] = size * (angle * (Math.log(theta) + 4) + 5) * u + SMALLEST_NORMAL;
    }
  }
  return bound;
}

/**
 * A score s = q·k/sqrt(headDim) has error at most δ = (headDim + 4)·u·Σ|q·k|/sqrt(headDim). With r the range of the scores, each
 * softmax weight is off by at most 2δ + 2(3 + 2r)u + (n + 6)u relatively, and the weighted sum of n values by n·u more.
 */
export function attendHeadBound(query: Row, keys: readonly Row[], values: readonly Row[], weights: Row): number[] {
  const root = Math.sqrt(query.length);
  const scores = keys.map((key) => dotProduct(query, key) / root);
  const worst = Math.max(...keys.map((key) => ((query.length + 4) * u * dotProduct(absolute(query), absolute(key))) / root));
  const range = Math.max(...scores) - Math.min(...scores);
  const relative = 2 * worst + 2 * (3 + 2 * range) * u + (2 * keys.length + 6) * u;
  return query.map((_, d) => relative * dotProduct(weights, values.map((value) => Math.abs(value[d]!))) + SMALLEST_NORMAL);
}

/** exp's error reaches the result undiminished at worst; then a sum, a division and two products. */
export function swigluBound(gate: Row, expected: Row): number[] {
  return expected.map((value, i) => Math.abs(value) * (2 * (3 + 2 * Math.abs(gate[i]!)) + 10) * u + SMALLEST_NORMAL * (1 + Math.abs(value)));
}

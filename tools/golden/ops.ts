/**
 * The operations of a Llama-style decoder as float64 mathematics, written from their formulas and apart from the
 * production kernels. Every function takes `round`, applied after each arithmetic step: `exact` for goldens,
 * `Math.fround` to see what plain f32 arithmetic makes of the same formula.
 */
import { cos, exp, power, sin } from './elementary.js';

export type Row = Float32Array | Float64Array;
export type Rounding = (value: number) => number;
export const exact: Rounding = (value) => value;

/** Σ a[i]·b[bOffset + i], in index order. */
function dot(a: Row, b: Row, aOffset: number, bOffset: number, length: number, round: Rounding): number {
  let sum = 0;
  if (round === exact) {
    // The same sum without 2 calls a step: a quarter of the time of a forward.
    for (let i = 0; i < length; i++) sum += a[aOffset + i]! * b[bOffset + i]!;
    return sum;
  }
  for (let i = 0; i < length; i++) sum = round(sum + round(a[aOffset + i]! * b[bOffset + i]!));
  return sum;
}

/** y = W x (+ bias). weight: [out, in] row-major; x: [in] → [out]. */
export function matmul(weight: Row, x: Row, round: Rounding, bias?: Row): Float64Array {
  const columns = x.length;
  return Float64Array.from({ length: weight.length / columns }, (_, row) => {
    const sum = dot(x, weight, 0, row * columns, columns, round);
    return bias === undefined ? sum : round(sum + bias[row]!);
  });
}

/** x / sqrt(mean(x²) + eps) · weight. */
export function rmsnorm(x: Row, weight: Row, eps: number, round: Rounding): Float64Array {
  const meanSquare = round(dot(x, x, 0, 0, x.length, round) / x.length);
  const inverse = round(1 / round(Math.sqrt(round(meanSquare + round(eps)))));
  return Float64Array.from(x, (value, i) => round(round(value * inverse) * weight[i]!));
}

/** `interleaved` rotates (2i, 2i+1), as Meta and llama2.c do; `halves` rotates (i, i + headDim/2), as HF does. */
export type RopeStyle = 'interleaved' | 'halves';

/** Rotates pair i of each head by position · theta^(−2i/headDim). x: [heads · headDim] → the same shape. */
export function rope(x: Row, position: number, headDim: number, theta: number, style: RopeStyle, round: Rounding): Float64Array {
  const out = Float64Array.from(x);
  for (let head = 0; head < x.length; head += headDim) {
    for (let i = 0; i < headDim / 2; i++) {
      const first = head + (style === 'interleaved' ? 2 * i : i);
      const second = style === 'interleaved' ? first + 1 : first + headDim / 2;
      const angle = round(position * round(power(theta, (-2 * i) / headDim)));
      const [c, s] = [round(cos(angle)), round(sin(angle))];
      const [a, b] = [x[first]!, x[second]!];
      out[first] = round(round(a * c) - round(b * s));
      out[second] = round(round(a * s) + round(b * c));
    }
  }
  return out;
}

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The kv head that a query head reads: consecutive query heads share one. */
export const groupedKvHead = (head: number, { heads, kvHeads }: AttentionShape): number => Math.floor((head * kvHeads) / heads);

/** softmax(q kᵀ · scale) v over the rows given. q: [heads · headDim]; keys, values: rows of [kvHeads · headDim]. */
export function attention(
  q: Row,
  keys: readonly Row[],
  values: readonly Row[],
  shape: AttentionShape,
  round: Rounding,
  scale = 1 / Math.sqrt(shape.headDim),
  kvHeadOf = groupedKvHead,
): Float64Array {
  const { heads, headDim } = shape;
  const out = new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const kvOffset = kvHeadOf(head, shape) * headDim;
    const scores = keys.map((key) => round(dot(q, key, head * headDim, kvOffset, headDim, round) * round(scale)));
    const largest = Math.max(...scores);
    const exponentials = scores.map((score) => round(exp(round(score - largest))));
    const total = exponentials.reduce((sum, value) => round(sum + value), 0);
    for (const [t, value] of values.entries()) {
      const probability = round(exponentials[t]! / total);
      for (let i = 0; i < headDim; i++) {
        const at = head * headDim + i;
        out[at] = round(out[at]! + round(probability * value[kvOffset + i]!));
      }
    }
  }
  return out;
}

export const silu = (x: number, round: Rounding): number => round(x / round(1 + round(exp(-x))));

/** silu(gate) · up. */
export function swiglu(gate: Row, up: Row, round: Rounding, activation = silu): Float64Array {
  return Float64Array.from(gate, (value, i) => round(activation(value, round) * up[i]!));
}

export function add(a: Row, b: Row, round: Rounding): Float64Array {
  return Float64Array.from(a, (value, i) => round(value + b[i]!));
}

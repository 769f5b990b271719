/**
 * The ops as textbooks write them, in float64 and without a KV cache: what every backend is measured against.
 * Shares no code with src/ops. Rows are plain arrays; row r of a sequence stands at position r.
 */
export type Row = readonly number[];

const sum = (values: Row): number => values.reduce((total, value) => total + value, 0);
export const dotProduct = (a: Row, b: Row): number => sum(a.map((value, i) => value * b[i]!));

/** x / sqrt(mean(x²) + eps) · weight */
export function rmsnorm(x: Row, weight: Row, eps: number): number[] {
  const rootMeanSquare = Math.sqrt(sum(x.map((value) => value ** 2)) / x.length + eps);
  return x.map((value, i) => (value / rootMeanSquare) * weight[i]!);
}

/** W x + bias; weight as rows [out][in]. */
export function matmul(weight: readonly Row[], x: Row, bias?: Row): number[] {
  return weight.map((row, i) => dotProduct(row, x) + (bias?.[i] ?? 0));
}

/**
 * x as LMDeploy multiplies it by int8 weights: multiples of max(max|x|, 1e-7) / 127, half away from zero (specs/smoothquant#S-4.2).
 * A number within 2^−22 of the middle between two may go to either in f32; the random rows here have none.
 */
export function roundToInt8(x: Row): number[] {
  const step = Math.fround(Math.max(1e-7, ...x.map(Math.abs)) / 127);
  return x.map((value) => Math.sign(value) * Math.round(Math.abs(value / step)) * step);
}

/** The two elements that one rotation takes, for pair `i` of `head`. */
export function ropePair(head: number, i: number, headDim: number, style: 'interleaved' | 'halves'): [number, number] {
  const start = head * headDim;
  return style === 'interleaved' ? [start + 2 * i, start + 2 * i + 1] : [start + i, start + i + headDim / 2];
}

/** Multiplies each pair, as a complex number, by e^(i · position · theta^(−2i/headDim)). */
export function rope(x: Row, position: number, heads: number, headDim: number, theta: number, style: 'interleaved' | 'halves'): number[] {
  const rotated = [...x];
  for (let head = 0; head < heads; head += 1) {
    for (let i = 0; i < headDim / 2; i += 1) {
      const angle = position / Math.pow(theta, (2 * i) / headDim);
      const [real, imaginary] = ropePair(head, i, headDim, style);
      rotated[real] = x[real]! * Math.cos(angle) - x[imaginary]! * Math.sin(angle);
      rotated[imaginary] = x[real]! * Math.sin(angle) + x[imaginary]! * Math.cos(angle);
    }
  }
  return rotated;
}

export function softmax(scores: Row): number[] {
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = sum(exponentials);
  return exponentials.map((value) => value / total);
}

/** One head of one row: its part of the query, of each visible key and of each visible value. */
export function attendHead(query: Row, keys: readonly Row[], values: readonly Row[]): number[] {
  const weights = softmax(keys.map((key) => dotProduct(query, key) / Math.sqrt(query.length)));
  return query.map((_, d) => sum(values.map((value, position) => weights[position]! * value[d]!)));
}

/** Causal attention over a whole sequence; q [rows][heads · headDim], k and v [rows][kvHeads · headDim]. */
export function attention(q: readonly Row[], k: readonly Row[], v: readonly Row[], heads: number, kvHeads: number, headDim: number): number[][] {
  const part = (row: Row, head: number): Row => row.slice(head * headDim, (head + 1) * headDim);
  return q.map((query, position) =>
    Array.from({ length: heads }, (_, head) => {
      const kvHead = Math.floor((head * kvHeads) / heads);
      const seen = <T>(rows: readonly T[]): readonly T[] => rows.slice(0, position + 1);
      return attendHead(part(query, head), seen(k).map((row) => part(row, kvHead)), seen(v).map((row) => part(row, kvHead)));
    }).flat(),
  );
}

/** gate · sigmoid(gate) · up */
export function swiglu(gate: Row, up: Row): number[] {
  return gate.map((value, i) => value * (1 / (1 + Math.exp(-value))) * up[i]!);
}

export const add = (a: Row, b: Row): number[] => a.map((value, i) => value + b[i]!);

/**
 * fixtures/golden/ops: small cases of each operation of a decoder, as JSON that any engine can consume.
 * Inputs are exact in f32. Expected values are float64. Each element has its own bound, within which plain f32
 * arithmetic must fall; the bounds are first-order rounding analysis (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd ed., section 3.1) with u = 2^-24.
 */
import { power, powerOfTwo } from './elementary.js';
import { jsonFile, withManifest, type GoldenFiles } from './golden-files.js';
import { add, attention, exact, groupedKvHead, matmul, rmsnorm, rope, swiglu, type RopeStyle, type Rounding, type Row } from './ops.js';
import { xorshift128, type Random } from './random.js';
import { storedOps } from './stored-ops.js';

const u = powerOfTwo(-24);
/** Smallest normal f32: what is lost where a result underflows. */
const TINY = powerOfTwo(-126);

export const opsSeed = 11;

interface Input {
  readonly shape: readonly number[];
  readonly values: Row;
}

/** One case: what goes in, and how to compute it under a rounding. `bound` is per element of the output. */
export interface OpCase {
  readonly name: string;
  readonly attributes: Readonly<Record<string, number | string>>;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly outputShape: readonly number[];
  readonly compute: (round: Rounding) => Float64Array;
  readonly bound: (output: Float64Array) => Float64Array;
}

export interface OpGolden {
  readonly op: string;
  readonly formula: string;
  readonly bound: string;
  readonly cases: readonly OpCase[];
}

const rowsOf = ({ shape, values }: Input): Row[] => {
  const width = shape.at(-1)!;
  return Array.from({ length: values.length / width }, (_, row) => values.subarray(row * width, (row + 1) * width));
};
const flat = (rows: readonly Row[]): Float64Array => Float64Array.from(rows.flatMap((row) => Array.from(row)));
const random2d = (random: Random, rows: number, columns: number, deviation: number): Input => ({ shape: [rows, columns], values: random.centred(rows * columns, deviation) });
const vectorOf = (values: Row): Input => ({ shape: [values.length], values });
const absolute = (values: Row): Float64Array => Float64Array.from(values, Math.abs);

function embedCase(random: Random): OpCase {
  const weight = random2d(random, 9, 8, 1);
  const tokens = [0, 8, 3, 3, 7];
  return {
    name: 'first row, last row, a row twice',
    attributes: {},
    inputs: { tokens: vectorOf(Float64Array.from(tokens)), weight },
    outputShape: [tokens.length, 8],
    compute: () => flat(tokens.map((token) => rowsOf(weight)[token]!)),
    bound: (output) => output.map(() => 0),
  };
}

function rmsnormCase(name: string, x: Input, weight: Input, eps: number): OpCase {
  return {
    name,
    attributes: { eps },
    inputs: { x, weight },
    outputShape: x.shape,
    compute: (round) => flat(rowsOf(x).map((row) => rmsnorm(row, weight.values, eps, round))),
    bound: (output) => output.map((value) => (weight.values.length / 2 + 8) * u * Math.abs(value) + TINY),
  };
}

function rmsnormCases(random: Random): OpCase[] {
  const weight = vectorOf(Float32Array.from({ length: 24 }, () => random.between(0.5, 1.5)));
  return [
    rmsnormCase('ordinary rows, eps 1e-5', random2d(random, 3, 24, 1), weight, 1e-5),
    rmsnormCase('mean square of the order of eps', random2d(random, 2, 24, 0.003), weight, 1e-5),
    rmsnormCase('mean square of the order of eps 1e-6', random2d(random, 2, 24, 0.001), weight, 1e-6),
    rmsnormCase('a row of zeros', { shape: [1, 24], values: new Float32Array(24) }, weight, 1e-5),
    rmsnormCase('one element', { shape: [1, 1], values: Float32Array.of(-3) }, vectorOf(Float32Array.of(0.5)), 1e-5),
  ];
}

function matmulCase(name: string, x: Input, weight: Input, bias?: Input): OpCase {
  const [out = 0, columns = 0] = weight.shape;
  const magnitudes = flat(rowsOf(x).map((row) => matmul(absolute(weight.values), absolute(row), exact, bias && absolute(bias.values))));
  return {
    name,
    attributes: {},
    inputs: { x, weight, ...(bias && { bias }) },
    outputShape: [x.shape[0]!, out],
    compute: (round) => flat(rowsOf(x).map((row) => matmul(weight.values, row, round, bias?.values))),
    bound: () => magnitudes.map((magnitude) => (columns + 2) * u * magnitude),
  };
}

function matmulCases(random: Random): OpCase[] {
  const cancelling = Float32Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (1 + Math.floor(i / 2) / 32));
  return [
    matmulCase('one row, neither length a multiple of 4', random2d(random, 1, 13, 1), random2d(random, 7, 13, 0.3)),
    matmulCase('three rows', random2d(random, 3, 32, 1), random2d(random, 10, 32, 0.2)),
    matmulCase('with bias', random2d(random, 2, 16, 1), random2d(random, 5, 16, 0.3), vectorOf(random.centred(5, 1))),
    matmulCase('sums that cancel', { shape: [1, 64], values: cancelling }, { shape: [2, 64], values: Float32Array.from({ length: 128 }, (_, i) => (i < 64 ? 1 : (i % 2 === 0 ? 3 : 3.5))) }),
    matmulCase('one by one', { shape: [1, 1], values: Float32Array.of(1.5) }, { shape: [1, 1], values: Float32Array.of(-2.25) }),
  ];
}

/** `position` is that of the first row; the others follow. */
function ropeCase(name: string, x: Input, position: number, heads: number, theta: number, style: RopeStyle): OpCase {
  const width = x.shape[1]!;
  const headDim = width / heads;
  return {
    name,
    attributes: { position, heads, headDim, theta, style },
    inputs: { x },
    outputShape: x.shape,
    compute: (round) => flat(rowsOf(x).map((row, t) => rope(row, position + t, headDim, theta, style, round))),
    bound: () =>
      flat(
        rowsOf(x).map((row, t) =>
          Float64Array.from(row, (_, at) => {
            const inHead = at % headDim;
            const pair = style === 'interleaved' ? Math.floor(inHead / 2) : inHead % (headDim / 2);
            const partner = style === 'interleaved' ? at + 1 - 2 * (inHead % 2) : at + (inHead < headDim / 2 ? headDim / 2 : -headDim / 2);
            const angle = (position + t) * power(theta, (-2 * pair) / headDim);
            return (Math.abs(row[at]!) + Math.abs(row[partner]!)) * (4 * angle + 4) * u;
          }),
        ),
      ),
  };
}

function ropeCases(random: Random): OpCase[] {
  const styles: readonly RopeStyle[] = ['interleaved', 'halves'];
  const x = random2d(random, 4, 24, 1);
  const late = random2d(random, 2, 16, 1);
  return styles.flatMap((style) => [
    ropeCase(`${style}, three heads, from position 0`, x, 0, 3, 10_000, style),
    ropeCase(`${style}, one head, from position 1000`, late, 1000, 1, 10_000, style),
    ropeCase(`${style}, theta 500000, from position 17`, late, 17, 2, 500_000, style),
  ]);
}

/** Rows of q, k and v are consecutive positions from 0; each sees itself and those before. Only rows from `history` on are expected. */
function attentionCase(name: string, random: Random, size: { rows: number; history: number; heads: number; kvHeads: number; headDim: number; deviation: number }): OpCase {
  const { rows, history, heads, kvHeads, headDim } = size;
  const shape = { heads, kvHeads, headDim };
  const q = random2d(random, rows, heads * headDim, size.deviation);
  const k = random2d(random, rows, kvHeads * headDim, size.deviation);
  const v = random2d(random, rows, kvHeads * headDim, 1);
  const [queries, keys, values] = [rowsOf(q), rowsOf(k), rowsOf(v)];
  const wanted = Array.from({ length: rows - history }, (_, i) => history + i);
  /** Error of a softmax argument, times 2 for numerator and sum, plus the roundings of the weighted sum. */
  const relativeBound = (t: number, head: number): number => {
    const kvOffset = groupedKvHead(head, shape) * headDim;
    const scoreErrors = keys.slice(0, t + 1).map((key) => {
      const products = Float64Array.from(key.subarray(kvOffset, kvOffset + headDim), (value, i) => Math.abs(value * queries[t]![head * headDim + i]!));
      const magnitude = products.reduce((sum, product) => sum + product, 0);
      return ((headDim + 7) * u * magnitude) / Math.sqrt(headDim);
    });
    return 2 * Math.max(...scoreErrors) + (2 * (t + 1) + 12) * u;
  };
  return {
    name,
    attributes: { heads, kvHeads, headDim, history },
    inputs: { q, k, v },
    outputShape: [wanted.length, heads * headDim],
    compute: (round) => flat(wanted.map((t) => attention(queries[t]!, keys.slice(0, t + 1), values.slice(0, t + 1), shape, round))),
    bound: () =>
      flat(
        wanted.map((t) => {
          const magnitudes = attention(queries[t]!, keys.slice(0, t + 1), values.slice(0, t + 1).map(absolute), shape, exact);
          return magnitudes.map((magnitude, at) => magnitude * relativeBound(t, Math.floor(at / headDim)) + TINY);
        }),
      ),
  };
}

function attentionCases(random: Random): OpCase[] {
  return [
    attentionCase('grouped queries with history', random, { rows: 6, history: 4, heads: 4, kvHeads: 2, headDim: 6, deviation: 1 }),
    attentionCase('as many kv heads as heads, from an empty cache', random, { rows: 4, history: 0, heads: 3, kvHeads: 3, headDim: 4, deviation: 1 }),
    attentionCase('one kv head for all, long history', random, { rows: 20, history: 19, heads: 4, kvHeads: 1, headDim: 4, deviation: 1 }),
    attentionCase('scores beyond the range of f32 exp', random, { rows: 5, history: 3, heads: 2, kvHeads: 1, headDim: 8, deviation: 12 }),
  ];
}

function swigluCase(name: string, gate: Input, up: Input): OpCase {
  return {
    name,
    attributes: {},
    inputs: { gate, up },
    outputShape: gate.shape,
    compute: (round) => swiglu(gate.values, up.values, round),
    bound: (output) => output.map((value, i) => 8 * u * Math.abs(value) + TINY * (1 + Math.abs(up.values[i]!))),
  };
}

function swigluCases(random: Random): OpCase[] {
  const extremes = Float32Array.of(0, -0.5, 0.5, -20, 20, -100, 100, -1000, 1000);
  return [
    swigluCase('ordinary rows', random2d(random, 2, 20, 1.5), random2d(random, 2, 20, 1)),
    swigluCase('gates at which exp overflows or underflows f32', { shape: [1, 9], values: extremes }, { shape: [1, 9], values: extremes.map((_, i) => (i % 2 === 0 ? 1.5 : -2)) }),
  ];
}

function addCase(random: Random): OpCase {
  const [a, b] = [random2d(random, 2, 15, 1), random2d(random, 2, 15, 100)];
  return { name: 'two rows', attributes: {}, inputs: { a, b }, outputShape: a.shape, compute: (round) => add(a.values, b.values, round), bound: (output) => output.map((value) => u * Math.abs(value)) };
}

export function opGoldens(): OpGolden[] {
  const random = xorshift128(opsSeed);
  return [
    { op: 'embed', formula: 'out[t] = weight[tokens[t]]', bound: '0: a copy', cases: [embedCase(random)] },
    { op: 'rmsnorm', formula: 'out = x / sqrt(mean(x^2) + eps) * weight', bound: '(n/2 + 8) u |out| + 2^-126', cases: rmsnormCases(random) },
    { op: 'matmul', formula: 'out[t] = weight x[t] (+ bias), weight [out, in]', bound: '(n + 2) u (|weight| |x| + |bias|)', cases: matmulCases(random) },
    {
      op: 'rope',
      formula: 'each pair (a, b) of a head turns by angle = (position + t) * theta^(-2i/headDim) to (a cos - b sin, a sin + b cos); interleaved: pair i is (2i, 2i+1), halves: (i, i + headDim/2)',
      bound: '(|a| + |b|) (4 angle + 4) u',
      cases: ropeCases(random),
    },
    {
      op: 'attention',
      formula: 'rows t of q, k, v are positions 0, 1, ...; out[t - history] = softmax(q[t] k[0..t]^T / sqrt(headDim)) v[0..t] for t >= history; query head h reads kv head floor(h * kvHeads / heads)',
      bound: '(2 max_j (headDim + 7) u |q||k_j| / sqrt(headDim) + (2 (t + 1) + 12) u) softmax |v| + 2^-126',
      cases: attentionCases(random),
    },
    { op: 'swiglu', formula: 'out = gate / (1 + exp(-gate)) * up', bound: '8 u |out| + 2^-126 (1 + |up|)', cases: swigluCases(random) },
    { op: 'add', formula: 'out = a + b', bound: 'u |out|', cases: [addCase(random)] },
  ];
}

const asData = ({ shape, values }: Input) => ({ shape, data: Array.from(values) });

function caseData({ name, attributes, inputs, outputShape, compute, bound }: OpCase): unknown {
  const output = compute(exact);
  return {
    name,
    attributes,
    inputs: Object.fromEntries(Object.entries(inputs).map(([input, value]) => [input, asData(value)])),
    output: asData({ shape: outputShape, values: output }),
    // Seven digits are enough for a bound, and shorter to read.
    bound: asData({ shape: outputShape, values: bound(output).map((value) => Number(value.toPrecision(7))) }),
  };
}

export function opsGolden(): GoldenFiles {
  const files = Object.fromEntries(opGoldens().map(({ op, formula, bound, cases }) => [`${op}.json`, jsonFile({ op, formula, bound: `${bound}, with u = 2^-24`, cases: cases.map(caseData) })]));
  return withManifest('ops', { ...files, 'stored.json': jsonFile(storedOps()) }, {
    title: 'Small cases of each decoder operation, expected in float64',
    layout: 'tensors are {shape, data}, row-major, a matrix is [out, in]; data are exact in f32 for inputs, float64 for outputs',
    seed: opsSeed,
    tolerance: { derivation: 'Each output element has its own bound in the case: first-order rounding analysis of f32 arithmetic in any summation order, u = 2^-24.' },
  });
}

/**
 * One op alone: a program that embeds its inputs from tables of random numbers, runs the op and calls its output logits.
 * The vocabulary is as large as the op's output is wide, since logits are.
 */
import type { Op, Program, WeightHandle } from '@weightspec/core';
import * as bounds from './bounds.js';
import { f32Weight, isInt8Groups, randomFrom, randomWeight, storedWeight, type TestWeight } from './data.js';
import * as float64 from './float64.js';
import type { Row } from './float64.js';

/** What an op should give for one row, and how far off it may be, element by element. */
export interface Expected {
  readonly values: Row;
  readonly bound: Row;
}

export interface OpCase {
  readonly name: string;
  readonly program: Program;
  readonly weights: ReadonlyMap<string, WeightHandle>;
  readonly tokens: readonly number[];
  /** One a token. */
  readonly expected: readonly Expected[];
}

interface CaseSpec {
  readonly name: string;
  readonly op: Op;
  /** Tables [outWidth, width] by the buffer that they fill. */
  readonly inputs: Readonly<Record<string, TestWeight>>;
  readonly weights?: readonly TestWeight[];
  readonly outWidth: number;
  readonly tokenCount?: number;
  readonly kvWidth?: number;
  /** rows: by buffer, one a token. */
  readonly expect: (rows: Readonly<Record<string, readonly Row[]>>) => readonly Expected[];
}

function makeCase({ name, op, inputs, weights = [], outWidth, tokenCount = 7, kvWidth = 1, expect }: CaseSpec): OpCase {
  const random = randomFrom(name);
  const tokens = Array.from({ length: tokenCount }, () => Math.floor(random() * outWidth));
  const filled = Object.entries(inputs);
  const embeds = filled.map(([buffer, table]): Op => ({ op: 'embed', weight: table.handle.name, out: buffer }));
  const widths = new Map(filled.map(([buffer, table]) => [buffer, table.handle.shape[1]!]));
  const logits = op.op === 'rope' ? op.x : op.out;
  widths.set(logits, outWidth);
  const handles = [...Object.values(inputs), ...weights].map(({ handle }) => handle);
  const program: Program = {
    architecture: `${op.op} alone`,
    vocabSize: outWidth,
    maxSeqLen: tokenCount,
    layers: 1,
    kvWidth,
    buffers: Array.from(widths, ([buffer, width]) => ({ name: buffer, width })),
    weights: handles.map((handle) => ({ name: handle.name, shape: handle.shape })),
    // Where the op under test is embed, it is its own input.
    ops: op.op === 'embed' ? [op] : [...embeds, op],
    logits,
  };
  const rows = Object.fromEntries(filled.map(([buffer, table]) => [buffer, tokens.map((token) => table.rows[token]!)]));
  return { name, program, weights: new Map(handles.map((handle) => [handle.name, handle])), tokens, expected: expect(rows) };
}

const table = (name: string, rows: number, width: number): TestWeight => randomWeight(`table.${name}`, [rows, width]);

/**
 * Matrices [out, width] of the storages, and how many tokens multiply them: the smallest, sizes that fill no tile of 4, 8 or 16
 * rows or tokens exactly, and a batch as long as a prompt.
 */
const blockShapes: readonly (readonly [out: number, width: number, tokenCount: number])[] = [[5, 64, 7], [37, 288, 19], [16, 160, 1], [33, 128, 67]];
/** Groups of 8 straddle rows of 6; those of wider rows do not. */
const groupShapes: readonly (readonly [out: number, width: number, tokenCount: number])[] = [[12, 6, 7], [37, 288, 19], [33, 64, 67]];

/**
 * Embedding tables and matrices in one storage. LMDeploy's int8 rounds what it multiplies.
 * `activationBlock`: elements of x that the backend rounds to int8 with one scale, where it says that it does.
 */
export function storageCases(storage: string, activationBlock?: number): OpCase[] {
  const grouped = isInt8Groups(storage);
  const multiplied = (row: Row): Row => (storage === 'lmdeploy-int8' ? float64.roundToInt8(row) : row);
  const side = grouped ? 12 : 32;
  const embedTable = storedWeight('embedded', storage, [side, side]);
  return [
    makeCase({
      name: `embed from ${storage}`,
      op: { op: 'embed', weight: 'embedded', out: 'y' },
      inputs: { y: embedTable },
      outWidth: side,
      // Decoding may round twice; F32 is a copy.
      expect: ({ y }) => y!.map((values) => ({ values, bound: storage === 'F32' ? bounds.embedBound(values) : decodeBound(embedTable, values) })),
    }),
    ...(grouped ? groupShapes : blockShapes).map(([out, width, tokenCount]) => {
      const weight = storedWeight('weight', storage, [out, width]);
      return makeCase({
        name: `matmul by ${storage} [${out}, ${width}], ${tokenCount} tokens`,
        op: { op: 'matmul', x: 'x', weight: 'weight', out: 'y' },
        inputs: { x: table('x', out, width) },
        weights: [weight],
        outWidth: out,
        tokenCount,
        expect: ({ x }) => x!.map(multiplied).map((row) => {
          const exact = bounds.matmulBound(weight.magnitudes, row);
          const rounding = activationBlock === undefined ? undefined : bounds.activationRoundingBound(weight.rows, row, activationBlock);
          return { values: float64.matmul(weight.rows, row), bound: exact.map((bound, i) => bound + (rounding?.[i] ?? 0)) };
        }),
      });
    }),
  ];
}

/** Two roundings of magnitude·2^−24. */
function decodeBound(weight: TestWeight, row: Row): number[] {
  const magnitudes = weight.magnitudes[weight.rows.indexOf(row)]!;
  return magnitudes.map((magnitude) => 2 * magnitude * 2 ** -24);
}

const embedCases = (): OpCase[] =>
  [1, 2, 7, 65].map((width) =>
    makeCase({
      name: `embed ${width} wide`,
      op: { op: 'embed', weight: 'table.y', out: 'y' },
      inputs: { y: table('y', width, width) },
      outWidth: width,
      expect: ({ y }) => y!.map((values) => ({ values, bound: bounds.embedBound(values) })),
    }),
  );

const rmsnormCases = (): OpCase[] =>
  [[1, 1e-5], [3, 1e-5], [64, 1e-6], [129, 0], [8, 1]].flatMap(([width, eps]) =>
    (['y', 'x'] as const).map((out) => {
      const weight = randomWeight('weight', [width!]);
      return makeCase({
        name: `rmsnorm ${width} wide, eps ${eps}${out === 'x' ? ', in place' : ''}`,
        op: { op: 'rmsnorm', x: 'x', weight: 'weight', eps: eps!, out },
        inputs: { x: table('x', width!, width!) },
        weights: [weight],
        outWidth: width!,
        expect: ({ x }) => x!.map((row) => {
          const values = float64.rmsnorm(row, weight.rows[0]!, eps!);
          return { values, bound: bounds.rmsnormBound(values) };
        }),
      });
    }),
  );

/** A row of zeros has no direction: eps alone keeps the division sane. */
const zeroRowCase = (): OpCase => {
  const weight = randomWeight('weight', [5]);
  return makeCase({
    name: 'rmsnorm of zeros',
    op: { op: 'rmsnorm', x: 'x', weight: 'weight', eps: 1e-5, out: 'y' },
    inputs: { x: f32Weight('table.x', [5, 5], Array.from({ length: 25 }, () => 0)) },
    weights: [weight],
    outWidth: 5,
    expect: ({ x }) => x!.map((row) => ({ values: row.map(() => 0), bound: row.map(() => 0) })),
  });
};

const matmulCases = (): OpCase[] =>
  [[1, 1], [1, 7], [5, 3], [64, 64], [3, 130], [33, 17]].flatMap(([out, width]) =>
    [false, true].map((biased) => {
      const weight = randomWeight('weight', [out!, width!]);
      const bias = biased ? randomWeight('bias', [out!]) : undefined;
      return makeCase({
        name: `matmul [${out}, ${width}]${biased ? ' with bias' : ''}`,
        op: { op: 'matmul', x: 'x', weight: 'weight', bias: bias && 'bias', out: 'y' },
        inputs: { x: table('x', out!, width!) },
        weights: bias ? [weight, bias] : [weight],
        outWidth: out!,
        expect: ({ x }) => x!.map((row) => ({
          values: float64.matmul(weight.rows, row, bias?.rows[0]),
          bound: bounds.matmulBound(weight.magnitudes, row, bias?.rows[0]),
        })),
      });
    }),
  );

const ropeCases = (): OpCase[] =>
  [[1, 2, 10000], [3, 4, 10000], [2, 6, 500000], [1, 128, 1e6]].flatMap(([heads, headDim, theta]) =>
    (['interleaved', 'halves'] as const).map((style) =>
      makeCase({
        name: `rope ${heads} × ${headDim}, theta ${theta}, ${style}`,
        op: { op: 'rope', x: 'x', heads: heads!, headDim: headDim!, theta: theta!, style },
        inputs: { x: table('x', heads! * headDim!, heads! * headDim!) },
        outWidth: heads! * headDim!,
        tokenCount: 40,
        expect: ({ x }) => x!.map((row, position) => ({
          values: float64.rope(row, position, heads!, headDim!, theta!, style),
          bound: bounds.ropeBound(row, position, heads!, headDim!, theta!, style),
        })),
      }),
    ),
  );

/** The last has more positions than a block of the reference backend's KV cache. */
const attentionCases = (): OpCase[] =>
  [[1, 1, 1, 7], [1, 1, 2, 1], [2, 2, 3, 7], [4, 2, 4, 7], [6, 2, 5, 7], [8, 1, 4, 7], [2, 1, 2, 300]].map(([heads, kvHeads, headDim, tokenCount]) => {
    const [width, kvWidth] = [heads! * headDim!, kvHeads! * headDim!];
    return makeCase({
      name: `attention ${heads} heads, ${kvHeads} kv heads × ${headDim}, ${tokenCount} tokens`,
      op: { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'y', heads: heads!, kvHeads: kvHeads!, headDim: headDim!, layer: 0 },
      inputs: { q: table('q', width, width), k: table('k', width, kvWidth), v: table('v', width, kvWidth) },
      outWidth: width,
      tokenCount: tokenCount!,
      kvWidth,
      expect: ({ q, k, v }) => {
        const values = float64.attention(q!, k!, v!, heads!, kvHeads!, headDim!);
        return q!.map((query, position) => ({ values: values[position]!, bound: attentionBound(query, k!, v!, position, heads!, kvHeads!, headDim!) }));
      },
    });
  });

function attentionBound(query: Row, k: readonly Row[], v: readonly Row[], position: number, heads: number, kvHeads: number, headDim: number): number[] {
  return Array.from({ length: heads }, (_, head) => {
    const kvHead = Math.floor((head * kvHeads) / heads);
    const part = (row: Row, at: number): Row => row.slice(at * headDim, (at + 1) * headDim);
    const keys = k.slice(0, position + 1).map((row) => part(row, kvHead));
    const values = v.slice(0, position + 1).map((row) => part(row, kvHead));
    const own = part(query, head);
    const weights = float64.softmax(keys.map((key) => float64.dotProduct(own, key) / Math.sqrt(headDim)));
    return bounds.attendHeadBound(own, keys, values, weights);
  }).flat();
}

/** Gates up to ±100: e^100 is beyond f32, and the result must still be 0 or the gate itself. */
const swigluCases = (): OpCase[] =>
  [1, 5, 64].flatMap((width) =>
    (['y', 'gate'] as const).map((out) => {
      const gates = table('gate', width, width).rows.map((row, r) => row.map((value) => (r % 2 === 0 ? value : 50 * value)));
      return makeCase({
        name: `swiglu ${width} wide${out === 'gate' ? ', in place' : ''}`,
        op: { op: 'swiglu', gate: 'gate', up: 'up', out },
        inputs: { gate: f32Weight('table.gate', [width, width], gates.flat()), up: table('up', width, width) },
        outWidth: width,
        expect: ({ gate, up }) => gate!.map((row, i) => {
          const values = float64.swiglu(row, up![i]!);
          return { values, bound: bounds.swigluBound(row, values) };
        }),
      });
    }),
  );

const addCases = (): OpCase[] =>
  [1, 5, 64].flatMap((width) =>
    (['y', 'a'] as const).map((out) =>
      makeCase({
        name: `add ${width} wide${out === 'a' ? ', in place' : ''}`,
        op: { op: 'add', a: 'a', b: 'b', out },
        inputs: { a: table('a', width, width), b: table('b', width, width) },
        outWidth: width,
        expect: ({ a, b }) => a!.map((row, i) => {
          const values = float64.add(row, b![i]!);
          return { values, bound: bounds.addBound(values) };
        }),
      }),
    ),
  );

/** Every op alone over edge shapes. */
export const opCases = (): OpCase[] => [
  ...embedCases(), ...rmsnormCases(), zeroRowCase(), ...matmulCases(), ...ropeCases(), ...attentionCases(), ...swigluCases(), ...addCases(),
];

/**
 * Finds where a wrong forward goes wrong: runs a prompt and compares the activations on the way with a golden's, in order.
 * Names of activations: tracePoints of @weightspec/models.
 */
import type { Op } from '@weightspec/core';
import { hfRowOf, metaRowOf, tracePoints } from '@weightspec/models';
import type { LoadedModel } from './load.js';

export interface TraceOptions {
  /** How far a number may be off: bound · max(1, |expected|). Default 1e-4, four times what f32 and f64 forwards of small models differ by. */
  readonly bound?: number;
  /** Order of a head's elements in the golden's q, k, q_rope and k_rope. Default: the model's own. */
  readonly ropeOrder?: 'meta' | 'hf';
}

export interface Departure {
  /** Of the activation, e.g. `l1.attn_ctx`. */
  readonly name: string;
  readonly layer?: number;
  /** The op that made it, and its place in the program. */
  readonly op: Op;
  readonly opIndex: number;
  /** The last activation before it that agreed; the fault lies between the two. Absent when it is the first of all. */
  readonly lastAgreeing?: string;
  /** Position in the prompt, and element of the activation. */
  readonly row: number;
  readonly column: number;
  readonly actual: number;
  readonly expected: number;
}

export interface TraceComparison {
  /** Activations that were in both, in the order in which they are computed. Ends with the one that departs. */
  readonly compared: readonly string[];
  /** The first that departs. */
  readonly departure?: Departure;
}

/**
 * Runs `tokens` from position 0 and compares. `golden`: [tokens, width] f32 by name, row-major. Throws RangeError when it has no
 * activation that this model has, or one of another size: then nothing would be proven.
 */
export async function compareTrace(model: LoadedModel, tokens: readonly number[], golden: ReadonlyMap<string, Float32Array>, options: TraceOptions = {}): Promise<TraceComparison> {
  const { bound = 1e-4 } = options;
  const points = tracePoints(model.program);
  if (![...points.values()].some((name) => golden.has(name))) throw new RangeError(`the golden has none of this model's activations, such as ${[...points.values()].slice(0, 3).join(', ')}`);
  const compared: string[] = [];
  let departure: Departure | undefined;
  const release = model.claim();
  try {
    const trace = (op: Op, opIndex: number, rows: Float32Array): void => {
      const name = points.get(opIndex);
      const expected = name === undefined ? undefined : golden.get(name);
      if (departure || name === undefined || !expected) return;
      if (expected.length !== rows.length) throw new RangeError(`${name} has ${expected.length} numbers in the golden and ${rows.length} here`);
      const place = /\.[qk](_rope)?$/.test(name) ? headOrder(model, options.ropeOrder) : (i: number) => i;
      const wrong = rows.findIndex((value, i) => !(Math.abs(value - expected[place(i)]!) <= bound * Math.max(1, Math.abs(expected[place(i)]!))));
      if (wrong >= 0) {
        const width = rows.length / tokens.length;
        departure = { name, layer: op.layer, op, opIndex, lastAgreeing: compared.at(-1), row: Math.floor(wrong / width), column: wrong % width, actual: rows[wrong]!, expected: expected[place(wrong)]! };
      }
      compared.push(name);
    };
    await model.executable.run(tokens, 0, { all: true, trace });
  } finally {
    release();
  }
  return { compared, departure };
}

/** Place in the golden of element i of q and k, whose heads are in either order. Rows are whole heads, so that one formula does for all of them. */
function headOrder({ config }: LoadedModel, goldenOrder?: 'meta' | 'hf'): (i: number) => number {
  const { headDim } = config;
  const own = config.ropeStyle === 'interleaved' ? 'meta' : 'hf';
  if (goldenOrder === undefined || goldenOrder === own) return (i) => i;
  return own === 'hf' ? (i) => metaRowOf(i, headDim) : (i) => hfRowOf(i, headDim);
}

/** A departure in one line, for people. */
export function describeDeparture({ name, layer, op, opIndex, lastAgreeing, row, column, actual, expected }: Departure): string {
  const where = layer === undefined ? '' : ` of layer ${layer}`;
  const before = lastAgreeing === undefined ? 'nothing was compared before it' : `${lastAgreeing} still agrees`;
  return `${name} departs: op ${opIndex} (${op.op})${where}, token ${row}, element ${column} is ${actual}, not ${expected}; ${before}`;
}

/** Why a tensor differs badly: the mistakes that converters make, tried one after the other on a sample. */
import type { TensorInfo } from '@weightspec/core';
import { hfRowOf, metaRowOf, type RowOrder } from '@weightspec/models';
import { isRotated } from '../logical-model.js';
import { relativeDifference, samplePlan, sampleRows, sampleTransposed, type SamplePlan } from './sample.js';
import { matrixShape } from './side.js';

/** Relative differences above this are explained if they can be, and an explanation must get below it: 10 dB. */
export const BAD_RELATIVE = 0.3;

export type Explanation = {
  /** In words, about B's tensor. */
  readonly message: string;
  /** Relative difference of the sample once the mistake is undone. */
  readonly relative: number;
} & (
  | { readonly kind: 'rope-permutation'; readonly heads: number }
  | { readonly kind: 'transposed' }
  | { readonly kind: 'swapped'; readonly with: string }
);

/** A tensor of F32 in the row order of A. */
export interface NamedValues {
  readonly name: string;
  readonly values: TensorInfo;
}

export interface ExplainContext {
  /** Rows of one head, where the configuration is known. */
  readonly headDim?: number;
  /** Heads that a careless converter may have taken for this tensor. */
  readonly otherHeads: readonly number[];
  /** Whether B's rows were brought into A's order, and which that is. */
  readonly reordered: boolean;
  readonly order?: RowOrder;
  /** Other tensors of B of the same shape, likeliest first. */
  readonly others: () => Iterable<NamedValues>;
}

/** The best explanation of A's tensor by B's; undefined when none leaves at most 0.3 and less than half of the difference. */
export async function explain(a: NamedValues, b: NamedValues | undefined, context: ExplainContext): Promise<Explanation | undefined> {
  const plan = samplePlan(a.values.shape);
  const wanted = await sampleRows(a.values, plan);
  const sameShape = b?.values.shape.join() === a.values.shape.join();
  const before = b && sameShape ? relativeDifference(wanted, await sampleRows(b.values, plan)) : Infinity;
  const accepts = (relative: number): boolean => relative <= BAD_RELATIVE && relative < before / 2;

  const tried: Explanation[] = [];
  if (b && sameShape && isRotated(a.name)) tried.push(...(await ropeCandidates(b, plan, wanted, context)));
  if (b && isTransposable(a.values, b.values)) tried.push({ kind: 'transposed', relative: relativeDifference(wanted, await sampleTransposed(b.values, plan)), message: `${b.name} matches when transposed` });
  const best = tried.toSorted((x, y) => x.relative - y.relative)[0];
  if (best && accepts(best.relative)) return best;
  for (const other of context.others()) {
    const relative = relativeDifference(wanted, await sampleRows(other.values, plan));
    if (accepts(relative)) return { kind: 'swapped', with: other.name, relative, message: `${other.name} is what matches: the two are in each other’s place` };
  }
  return undefined;
}

function isTransposable(a: TensorInfo, b: TensorInfo): boolean {
  return a.shape.length === 2 && b.shape.length === 2 && a.shape[0] === b.shape[1] && a.shape[1] === b.shape[0] && a.shape[0]! > 1 && a.shape[1]! > 1;
}

const otherOrder: Readonly<Record<RowOrder, RowOrder>> = { meta: 'hf', hf: 'meta' };
const mapTo = (to: RowOrder, headDim: number) => (row: number): number => (to === 'hf' ? metaRowOf(row, headDim) : hfRowOf(row, headDim));
const orderNames: Readonly<Record<RowOrder, string>> = { meta: 'Meta’s', hf: 'Hugging Face’s' };

/** Rows moved once too often, once too seldom, or by another number of heads. */
async function ropeCandidates(b: NamedValues, plan: SamplePlan, wanted: Float32Array, { headDim, otherHeads, reordered, order }: ExplainContext): Promise<Explanation[]> {
  const [rows] = matrixShape(b.values.shape);
  const likely = [headDim, ...otherHeads.map((heads) => rows / heads)].filter((size): size is number => size !== undefined);
  const sizes = [...new Set([...likely, ...evenDivisors(rows)])].filter((size) => Number.isInteger(size) && size > 2 && size % 2 === 0 && rows % size === 0);
  const found: Explanation[] = [];
  for (const size of sizes) {
    const heads = rows / size;
    for (const to of ['hf', 'meta'] as const) {
      const relative = relativeDifference(wanted, await sampleRows(b.values, plan, mapTo(to, size)));
      const undone = reordered && size === headDim && order !== undefined && to === otherOrder[order];
      const message = undone ? `the rows of ${b.name} are in ${orderNames[order]} order already: it matches as it is stored` : `${b.name} matches after RoPE ${to === 'hf' ? 'permutation' : 'un-permutation'} with ${heads} heads`;
      found.push({ kind: 'rope-permutation', heads, relative, message });
      if (headDim === undefined || size === headDim || rows % headDim !== 0) continue;
      // Moved by the wrong number of heads: undo that, and move by the right one.
      const [right, wrong] = [mapTo(otherOrder[to], headDim), mapTo(to, size)];
      const twice = relativeDifference(wanted, await sampleRows(b.values, plan, (row) => wrong(right(row))));
      found.push({ kind: 'rope-permutation', heads, relative: twice, message: `${b.name} was moved into RoPE’s order with ${heads} heads, and matches when that is done with ${rows / headDim}` });
    }
  }
  return found;
}

function evenDivisors(rows: number): number[] {
  return Array.from({ length: Math.floor(Math.sqrt(rows)) }, (_, i) => i + 1).filter((n) => rows % n === 0).flatMap((n) => [n, rows / n]).filter((n) => n % 2 === 0);
}

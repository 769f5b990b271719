/** The memory that grows with the tokens that are worked on at once. */
import type { Program } from '@weightspec/core';
import type { Addresses } from './addresses.js';
import type { Heap } from './heap.js';
import type { Plan } from './lowering.js';
import { stagingBytes, type Matrix, type PlacedWeights } from './weights.js';

/** Where rows of an embedding that is left in its source go: by part, the address and the bytes that a row has there. */
export interface RowStaging {
  readonly addresses: readonly number[];
  readonly bytes: readonly number[];
}

export interface BatchArea extends Addresses {
  readonly rows: number;
  /** By the index of the embed op. */
  readonly embedStaging: ReadonlyMap<number, RowStaging>;
}

const EMBED_ENTRY_BYTES = 12;

export function makeArea(program: Program, plan: Plan, weights: PlacedWeights, heap: Heap, rows: number, threads: number): BatchArea {
  const what = `buffers for ${rows} tokens`;
  const take = (byteLength: number): number => heap.allocate(byteLength, what);
  const embeds = [...program.ops.entries()].flatMap(([index, op]) => (op.op === 'embed' ? [{ index, matrix: weights.matrices.get(op.weight)! }] : []));
  return {
    rows,
    threads,
    weights,
    lastOp: program.ops.length - 1,
    buffers: new Map(program.buffers.map(({ name, width }) => [name, { width, address: take(4 * width * rows) }])),
    roundings: new Map(Array.from(plan.roundings.values(), ({ key, strideBytes }) => [key, take(strideBytes * rows)])),
    ropeTables: new Map(Array.from(plan.ropeTables.values(), ({ key, headDim }) => [key, { address: take(4 * headDim * rows), sinBytes: 2 * headDim * rows }])),
    embedTables: new Map(embeds.map(({ index }) => [index, take(EMBED_ENTRY_BYTES * rows)])),
    embedStaging: new Map(embeds.filter(({ matrix }) => !matrix.resident).map(({ index, matrix }) => [index, rowStaging(matrix, rows, take)])),
  };
}

function rowStaging(matrix: Matrix, rows: number, take: (byteLength: number) => number): RowStaging {
  const bytes = stagingBytes(matrix, 1);
  return { bytes, addresses: bytes.map((byteLength) => take(byteLength * rows)) };
}

/** Bytes that makeArea takes, about. */
export function areaBytes(program: Program, rows: number): number {
  // Rounded rows are smaller than the f32 they are made of, and there are at most two kinds of them; the rest is small.
  return 12 * rows * program.buffers.reduce((sum, { width }) => sum + width + 64, 0);
}

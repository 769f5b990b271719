/**
 * A program as steps of the kernels: one or two an op, rounding of activations between them where a format multiplies integers,
 * and a mark on every step before which all threads have to meet.
 */
import { outputOf } from '@weightspec/kernels';
import type { Op, Program } from '@weightspec/core';
import { formats } from './formats.js';
import * as layout from './layout.js';
import type { Matrix } from './weights.js';

/** f32 rows that are rounded to integers: as the name of a buffer says, in an order, or whole rows with one scale. */
export interface Rounding {
  readonly key: string;
  readonly buffer: string;
  readonly columns: number;
  readonly order: number | 'rows';
  readonly strideBytes: number;
}

export interface RopeTableSpec {
  readonly key: string;
  readonly headDim: number;
  readonly theta: number;
}

/** One step, before addresses are known. */
export interface Step {
  readonly kind: number;
  readonly op: Op;
  readonly opIndex: number;
  readonly waits: boolean;
  /** Of matmul. */
  readonly rounding?: Rounding;
}

export interface Plan {
  readonly steps: readonly Step[];
  /** Steps of op i are [firstStep[i], firstStep[i + 1]). */
  readonly firstStep: readonly number[];
  readonly roundings: ReadonlyMap<string, Rounding>;
  readonly ropeTables: ReadonlyMap<string, RopeTableSpec>;
}

export const ropeKey = (headDim: number, theta: number): string => `${headDim} ${theta}`;

/** Steps that threads do not have to meet between share no memory that one of them writes. */
class Hazards {
  readonly #read = new Set<string>();
  readonly #written = new Set<string>();

  /** Whether a step that reads and writes these has to wait; if so, everything before it is done. */
  meets(reads: readonly string[], writes: readonly string[]): boolean {
    const waits = [...reads, ...writes].some((name) => this.#written.has(name)) || writes.some((name) => this.#read.has(name));
    if (waits) {
      this.#read.clear();
      this.#written.clear();
    }
    for (const name of reads) this.#read.add(name);
    for (const name of writes) this.#written.add(name);
    return waits;
  }
}

export function lower(program: Program, matrices: ReadonlyMap<string, Matrix>): Plan {
  const steps: Step[] = [];
  const firstStep: number[] = [];
  const roundings = new Map<string, Rounding>();
  const ropeTables = new Map<string, RopeTableSpec>();
  const hazards = new Hazards();
  /** Roundings of what their buffer now holds. */
  const current = new Set<string>();

  program.ops.forEach((op, opIndex) => {
    const push = (kind: number, reads: readonly string[], writes: readonly string[], rounding?: Rounding): void => {
      steps.push({ kind, op, opIndex, rounding, waits: hazards.meets(reads, writes) });
    };
    const out = outputOf(op);
    firstStep.push(steps.length);
    switch (op.op) {
      case 'embed':
        push(layout.KIND_EMBED, [], [out]);
        break;
      case 'rmsnorm':
        push(layout.KIND_RMSNORM, [op.x], [out]);
        break;
      case 'matmul': {
        const rounding = roundingFor(op.x, matrices.get(op.weight)!);
        if (rounding && !current.has(rounding.key)) {
          push(rounding.order === 'rows' ? layout.KIND_ROUND_ROWS : layout.KIND_ROUND_BLOCKS, [op.x], [rounding.key], rounding);
          roundings.set(rounding.key, rounding);
          current.add(rounding.key);
        }
        push(layout.KIND_MATMUL, [rounding?.key ?? op.x], [out], rounding);
        break;
      }
      case 'rope':
        ropeTables.set(ropeKey(op.headDim, op.theta), { key: ropeKey(op.headDim, op.theta), headDim: op.headDim, theta: op.theta });
        push(layout.KIND_ROPE, [op.x], [out]);
        break;
      case 'attention':
        push(layout.KIND_STORE_KV, [op.k, op.v], [`cache ${op.layer}`]);
        push(layout.KIND_ATTENTION, [op.q, `cache ${op.layer}`], [out]);
        break;
      case 'swiglu':
        push(layout.KIND_SWIGLU, [op.gate, op.up], [out]);
        break;
      case 'add':
        push(layout.KIND_ADD, [op.a, op.b], [out]);
    }
    for (const key of current) if (roundings.get(key)!.buffer === out) current.delete(key);
  });
  firstStep.push(steps.length);
  return { steps, firstStep, roundings, ropeTables };
}

/** How x is rounded before it is multiplied by `matrix`; undefined where it stays f32. */
function roundingFor(buffer: string, { handle, path, columns }: Matrix): Rounding | undefined {
  const codes = Math.ceil((2 * columns) / 16) * 16;
  if (path === layout.PATH_INT8_ROWS) return { key: `${buffer} in rows`, buffer, columns, order: 'rows', strideBytes: lines(codes + 4) };
  const order = formats.get(handle.storage)!.order;
  if (order === undefined || path === layout.PATH_DECODED) return undefined;
  return { key: `${buffer} in order ${order}`, buffer, columns, order, strideBytes: lines(codes + (columns / 32) * layout.BLOCK_INFO_BYTES) };
}

/** Whole cache lines, and an odd number of them: rows at a power of two would fall on each other in the cache. */
function lines(byteLength: number): number {
  return 64 * (Math.ceil(byteLength / 64) | 1);
}

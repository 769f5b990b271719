import type { Op } from '@weightspec/core';
import type { Expectations } from './check-program.js';
import type { KvCache } from './kv-cache.js';
import type { RopeTable } from './ops/rope.js';
import type { Weight } from './weights/weight.js';

/** The tokens that one run works on. Ops compute buffer rows [firstRow, endRow); row r stands at `position + r`. */
export interface Batch {
  tokens: readonly number[];
  position: number;
  firstRow: number;
  endRow: number;
}

/** Rows of f32, one a token, row-major. `values` is replaced when a larger batch comes, so look it up in each step. */
export interface Buffer {
  readonly width: number;
  values: Float32Array;
}

/** What an op is bound to when a program is compiled. */
export interface Machine {
  buffer(name: string): Buffer;
  weight(name: string): Weight;
  cache(layer: number): KvCache;
  ropeTable(headDim: number, theta: number): RopeTable;
}

/** Does one op for one batch. A promise only when weights must be read from their source, so that a resident model never waits. */
export type Step = (batch: Batch) => void | Promise<void>;

export interface OpKernel<O extends Op> {
  /** Notes everything about `op` that its program does not bear out. */
  check(op: O, expect: Expectations): void;
  bind(op: O, machine: Machine): Step;
}

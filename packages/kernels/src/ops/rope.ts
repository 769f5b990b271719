import type { Op, RopeStyle } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';

type Rope = Extract<Op, { op: 'rope' }>;

/**
 * cos and sin of position · theta^(−2i/headDim) for the rows of the current batch. Shared by all layers.
 * Frequency, angle, cos and sin are each rounded to f32, as torch and run.c round them: models were trained with these
 * very angles, and exact ones drift away from them by about position · 2^−24.
 */
export class RopeTable {
  /** [rows, headDim / 2] */
  cos = new Float32Array(0);
  sin = new Float32Array(0);
  readonly #frequencies: Float32Array;
  #position = -1;
  #rows = 0;

  constructor(
    readonly headDim: number,
    readonly theta: number,
  ) {
    this.#frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / Math.fround(theta ** Math.fround((2 * i) / headDim)));
  }

  /** Fills the tables for positions [position, position + rows). */
  moveTo(position: number, rows: number): void {
    if (position === this.#position && rows === this.#rows) return;
    const half = this.headDim / 2;
    if (this.cos.length < rows * half) {
      this.cos = new Float32Array(rows * half);
      this.sin = new Float32Array(rows * half);
    }
    for (let row = 0; row < rows; row += 1) {
      for (let i = 0; i < half; i += 1) {
        const angle = Math.fround((position + row) * this.#frequencies[i]!);
        this.cos[row * half + i] = Math.cos(angle);
        this.sin[row * half + i] = Math.sin(angle);
      }
    }
    this.#position = position;
    this.#rows = rows;
  }
}

/**
 * Rotates the pair i of every head in row `row` of x [rows, heads · headDim] by the table's angle:
 * (a, b) → (a cos − b sin, a sin + b cos). `interleaved` pairs (2i, 2i + 1), `halves` pairs (i, i + headDim/2).
 */
export function rotateRow(x: Float32Array, row: number, heads: number, table: RopeTable, style: RopeStyle): void {
  const { headDim, cos, sin } = table;
  const half = headDim / 2;
  const [step, apart] = style === 'interleaved' ? [2, 1] : [1, half];
  for (let head = 0; head < heads; head += 1) {
    const at = (row * heads + head) * headDim;
    for (let i = 0; i < half; i += 1) {
      const first = at + i * step;
      const second = first + apart;
      const a = x[first]!;
      const b = x[second]!;
      const c = cos[row * half + i]!;
      const s = sin[row * half + i]!;
      x[first] = a * c - b * s;
      x[second] = a * s + b * c;
    }
  }
}

export const rope: OpKernel<Rope> = {
  check(op, expect) {
    expect.that(op.headDim % 2 === 0, `headDim ${op.headDim} is odd`);
    expect.that(op.theta > 0, `theta is ${op.theta}`);
    expect.that(expect.width(op.x) === op.heads * op.headDim, `the buffer is not ${op.heads} heads · ${op.headDim} wide`);
  },
  bind(op, machine) {
    const x = machine.buffer(op.x);
    const table = machine.ropeTable(op.headDim, op.theta);
    return ({ position, firstRow, endRow }) => {
      table.moveTo(position, endRow);
      for (let row = firstRow; row < endRow; row += 1) rotateRow(x.values, row, op.heads, table, op.style);
    };
  },
};

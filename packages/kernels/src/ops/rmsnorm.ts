import type { Op } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';

type RmsNorm = Extract<Op, { op: 'rmsnorm' }>;

/**
 * out = x / sqrt(mean(x²) + eps) · weight; x and out [rows, width], weight [width]. May work in place.
 * The sum of squares and the products are f64, each result is rounded to f32 once.
 */
export function rmsnormRows(out: Float32Array, x: Float32Array, weight: Float32Array, weightAt: number, width: number, eps: number, firstRow: number, endRow: number): void {
  for (let row = firstRow; row < endRow; row += 1) {
    const at = row * width;
    let squares = 0;
    for (let i = 0; i < width; i += 1) squares += x[at + i]! * x[at + i]!;
    const inverse = 1 / Math.sqrt(squares / width + eps);
    for (let i = 0; i < width; i += 1) out[at + i] = x[at + i]! * inverse * weight[weightAt + i]!;
  }
}

export const rmsnorm: OpKernel<RmsNorm> = {
  check(op, expect) {
    const width = expect.width(op.x);
    expect.shape(op.weight, [width]);
    expect.that(expect.width(op.out) === width, 'x and out differ in width');
    expect.that(op.eps >= 0, `eps is ${op.eps}`);
  },
  bind(op, machine) {
    const x = machine.buffer(op.x);
    const out = machine.buffer(op.out);
    const weight = machine.weight(op.weight);
    let firstRow = 0;
    let endRow = 0;
    const work = (values: Float32Array, at: number): void => rmsnormRows(out.values, x.values, values, at, x.width, op.eps, firstRow, endRow);
    return (batch) => {
      ({ firstRow, endRow } = batch);
      return weight.eachChunk(0, 1, work);
    };
  },
};

import type { Op } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';

type SwiGlu = Extract<Op, { op: 'swiglu' }>;

/** out = silu(gate) · up with silu(x) = x / (1 + e^−x); all [rows, width]. May work in place. f64, one rounding to f32. */
export const swiglu: OpKernel<SwiGlu> = {
  check(op, expect) {
    const width = expect.width(op.out);
    expect.that(expect.width(op.gate) === width && expect.width(op.up) === width, 'gate, up and out differ in width');
  },
  bind(op, machine) {
    const gate = machine.buffer(op.gate);
    const up = machine.buffer(op.up);
    const out = machine.buffer(op.out);
    return ({ firstRow, endRow }) => {
      const { values: gates } = gate;
      const { values: ups } = up;
      const { values: outs, width } = out;
      for (let i = firstRow * width; i < endRow * width; i += 1) {
        const x = gates[i]!;
        outs[i] = (x / (1 + Math.exp(-x))) * ups[i]!;
      }
    };
  },
};

import type { Op } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';

type Add = Extract<Op, { op: 'add' }>;

/** out = a + b; all [rows, width]. May work in place. */
export const add: OpKernel<Add> = {
  check(op, expect) {
    const width = expect.width(op.out);
    expect.that(expect.width(op.a) === width && expect.width(op.b) === width, 'a, b and out differ in width');
  },
  bind(op, machine) {
    const a = machine.buffer(op.a);
    const b = machine.buffer(op.b);
    const out = machine.buffer(op.out);
    return ({ firstRow, endRow }) => {
      const { values: as } = a;
      const { values: bs } = b;
      const { values: outs, width } = out;
      for (let i = firstRow * width; i < endRow * width; i += 1) outs[i] = as[i]! + bs[i]!;
    };
  },
};

import type { Op } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';

type Embed = Extract<Op, { op: 'embed' }>;

/** out[t] = weight[token[t]]; weight [vocabSize, width], out [rows, width]. Reads only the rows of the given tokens. */
export const embed: OpKernel<Embed> = {
  check(op, expect) {
    expect.shape(op.weight, [expect.program.vocabSize, expect.width(op.out)]);
  },
  bind(op, machine) {
    const out = machine.buffer(op.out);
    const weight = machine.weight(op.weight);
    let row = 0;
    const copyRow = (values: Float32Array, at: number): void => {
      const { width } = out;
      for (let i = 0; i < width; i += 1) out.values[row * width + i] = values[at + i]!;
    };
    return ({ tokens, firstRow, endRow }) => {
      let reading: Promise<void> | undefined;
      for (let r = firstRow; r < endRow; r += 1) {
        const token = tokens[r]!;
        const lookUp = (): void | Promise<void> => {
          row = r;
          return weight.eachChunk(token, token + 1, copyRow);
        };
        if (reading) reading = reading.then(lookUp);
        else reading = lookUp() ?? undefined;
      }
      return reading;
    };
  },
};

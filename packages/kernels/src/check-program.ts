import type { Op, Program } from '@weightspec/core';
import { BackendError } from './errors.js';
import type { OpKernel } from './op-kernel.js';
import { opKernels } from './ops/index.js';

/** What an op expects of the program around it. Everything that is not so is noted, nothing throws. */
export interface Expectations {
  readonly program: Program;
  /** Width of a buffer; NaN, and a note, when there is none of that name. */
  width(buffer: string): number;
  /** The weight is declared with exactly this shape. */
  shape(weight: string, shape: readonly number[]): void;
  /** Notes `message` unless `holds`. */
  that(holds: boolean, message: string): void;
}

/** What is wrong with `program`, in words; empty when it can run. Every backend may use this in `compile`. */
export function checkProgram(program: Program): string[] {
  const problems: string[] = [];
  const widths = new Map(program.buffers.map((buffer) => [buffer.name, buffer.width]));
  const shapes = new Map(program.weights.map((weight) => [weight.name, weight.shape]));
  const expectations = (where: string): Expectations => ({
    program,
    width(buffer) {
      const width = widths.get(buffer);
      if (width === undefined) problems.push(`${where}: there is no buffer ${JSON.stringify(buffer)}`);
      return width ?? Number.NaN;
    },
    shape(weight, shape) {
      const declared = shapes.get(weight);
      if (!declared) problems.push(`${where}: weight ${JSON.stringify(weight)} is not declared`);
      else if (!sameShape(declared, shape)) problems.push(`${where}: weight ${weight} is [${declared.join(', ')}], not [${shape.join(', ')}]`);
    },
    that(holds, message) {
      if (!holds) problems.push(`${where}: ${message}`);
    },
  });

  program.ops.forEach((op, index) => {
    const where = `op ${index} (${op.op})`;
    if (Object.hasOwn(opKernels, op.op)) kernelOf(op).check(op, expectations(where));
    else problems.push(`${where}: no such op`);
  });
  const end = expectations('program');
  end.that(end.width(program.logits) === program.vocabSize, `the logits buffer does not hold vocabSize = ${program.vocabSize} elements`);
  end.that(program.ops.length > 0 && outputOf(program.ops.at(-1)!) === program.logits, `the last op does not write the logits buffer ${JSON.stringify(program.logits)}`);
  return problems;
}

/** Throws BackendError (PROGRAM_INVALID) naming everything that is wrong. */
export function assertProgram(program: Program): void {
  const problems = checkProgram(program);
  if (problems.length > 0) throw new BackendError('PROGRAM_INVALID', problems.join('; '));
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dimension, index) => dimension === b[index]);
}

/** The buffer that an op writes. */
export function outputOf(op: Op): string {
  return op.op === 'rope' ? op.x : op.out;
}

/** The weights that an op reads. */
export function weightsOf(op: Op): string[] {
  if (!('weight' in op)) return [];
  return 'bias' in op && op.bias !== undefined ? [op.weight, op.bias] : [op.weight];
}

/** The kernel for an op. The table has lost which op each is for; it is only ever given its own. */
export function kernelOf(op: Op): OpKernel<Op> {
  return opKernels[op.op];
}

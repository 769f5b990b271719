/** One fault for each op of a decoder, put into its program; a trace against the golden of llama-tiny must name that op. Test code. */
import type { Backend, Op, Program } from '@weightspec/core';

export interface OpFault {
  readonly op: Op['op'];
  /** Place of the op that is changed. */
  readonly index: (program: Program) => number;
  readonly change: (op: Op) => Op;
  /** How the departure is told: activation, op, layer, and what agrees before it. */
  readonly named: RegExp;
}

const nthIn = (op: Op['op'], layer: number | undefined, nth = 0) => ({ ops }: Program): number => ops.flatMap((one, i) => (one.op === op && one.layer === layer ? [i] : []))[nth]!;

export const opFaults: readonly OpFault[] = [
  { op: 'embed', index: nthIn('embed', undefined), change: (op) => (op.op === 'embed' ? { ...op, weight: 'output.weight' } : op), named: /^embed departs: op 0 \(embed\), /m },
  { op: 'rmsnorm', index: nthIn('rmsnorm', 1, 1), change: (op) => (op.op === 'rmsnorm' ? { ...op, eps: 0.01 } : op), named: /^l1\.ffn_in departs: op \d+ \(rmsnorm\) of layer 1, .* l1\.resid_mid still agrees$/m },
  { op: 'matmul', index: nthIn('matmul', 1, 4), change: (op) => (op.op === 'matmul' ? { ...op, weight: 'layers.1.feed_forward.w3.weight' } : op), named: /^l1\.gate departs: op \d+ \(matmul\) of layer 1, .* l1\.ffn_in still agrees$/m },
  { op: 'rope', index: nthIn('rope', 0, 1), change: (op) => (op.op === 'rope' ? { ...op, style: 'halves' } : op), named: /^l0\.k_rope departs: op \d+ \(rope\) of layer 0, .* l0\.q_rope still agrees$/m },
  { op: 'attention', index: nthIn('attention', 0), change: (op) => (op.op === 'attention' ? { ...op, v: op.k } : op), named: /^l0\.attn_ctx departs: op \d+ \(attention\) of layer 0, .* l0\.k_rope still agrees$/m },
  { op: 'swiglu', index: nthIn('swiglu', 1), change: (op) => (op.op === 'swiglu' ? { ...op, gate: op.up, up: op.gate } : op), named: /^l1\.ffn_act departs: op \d+ \(swiglu\) of layer 1, .* l1\.up still agrees$/m },
  { op: 'add', index: nthIn('add', 0), change: (op) => (op.op === 'add' ? { ...op, b: op.a } : op), named: /^l0\.resid_mid departs: op \d+ \(add\) of layer 0, .* l0\.attn_out still agrees$/m },
];

/** `backend`, which compiles every program with the fault in it. Throws when the fault changes nothing. */
export function withOpFault(backend: Backend, { op, index, change }: OpFault): Backend {
  return {
    id: backend.id,
    supports: (...asked) => backend.supports(...asked),
    ...(backend.activationBlock && { activationBlock: (storage: string) => backend.activationBlock!(storage) }),
    compile: (program, weights, options) => {
      const at = index(program);
      const changed = change(program.ops[at]!);
      if (JSON.stringify(changed) === JSON.stringify(program.ops[at])) throw new Error(`the fault in ${op} changes nothing`);
      return backend.compile({ ...program, ops: program.ops.map((one, i) => (i === at ? changed : one)) }, weights, options);
    },
  };
}

import { describe, expect, it } from 'vitest';
import { backendContract } from '@weightspec/kernels/contract';
import type { Backend, Op } from '@weightspec/core';
import { referenceBackend } from './index.js';

backendContract({ describe, it, expect }, referenceBackend);
backendContract(
  { describe, it, expect },
  { ...referenceBackend, id: 'reference, matrices left in their sources', compile: (program, weights) => referenceBackend.compile(program, weights, { memoryBudgetBytes: 0 }) },
);

/** The contract run on a backend that is wrong in one way; returns the names of the tests that fail. */
async function failuresOf(backend: Backend): Promise<string[]> {
  const tests: (readonly [string, () => Promise<void>])[] = [];
  backendContract({ describe: (_, body) => body(), it: (name, body) => tests.push([name, body]), expect }, backend);
  const failed: string[] = [];
  for (const [name, body] of tests) {
    try {
      await body();
    } catch {
      failed.push(name);
    }
  }
  return failed;
}

/** The reference backend, but with each op changed before it is compiled. */
const sabotaged = (change: (op: Op) => Op): Backend => ({
  ...referenceBackend,
  compile: (program, weights, options) => referenceBackend.compile({ ...program, ops: program.ops.map(change) }, weights, options),
});

describe('the backend contract notices', () => {
  const faults: readonly (readonly [string, (op: Op) => Op])[] = [
    ['the other rope style', (op) => (op.op === 'rope' ? { ...op, style: op.style === 'halves' ? 'interleaved' : 'halves' } : op)],
    ['a theta that is off by 0.1 %', (op) => (op.op === 'rope' ? { ...op, theta: op.theta * 1.001 } : op)],
    ['a forgotten eps', (op) => (op.op === 'rmsnorm' ? { ...op, eps: 0 } : op)],
    ['a forgotten bias', (op) => (op.op === 'matmul' ? { ...op, bias: undefined } : op)],
    ['gate and up in each other’s place', (op) => (op.op === 'swiglu' ? { ...op, gate: op.up, up: op.gate } : op)],
    ['keys used as values', (op) => (op.op === 'attention' ? { ...op, v: op.k } : op)],
    ['a wrong summand', (op) => (op.op === 'add' ? { ...op, b: op.a } : op)],
  ];
  it.each(faults)('%s', async (_, change) => {
    expect(await failuresOf(sabotaged(change))).not.toEqual([]);
  });
  it('activations that are not rounded for LMDeploy’s int8, and nothing else', async () => {
    const weightOnly: Backend = {
      ...referenceBackend,
      compile: (program, weights, options) => referenceBackend.compile(program, new Map([...weights].map(([name, handle]) => [name, handle.storage === 'lmdeploy-int8' ? { ...handle, storage: 'llama2c-q8', groupSize: handle.shape.at(-1) } : handle])), options),
    };
    const failed = await failuresOf(weightOnly);
    expect(failed).toHaveLength(3);
    for (const name of failed) expect(name).toMatch(/^matmul by lmdeploy-int8 /);
  });
  it('positions that start at 1', async () => {
    const shifted: Backend = {
      ...referenceBackend,
      async compile(program, weights) {
        const inner = await referenceBackend.compile({ ...program, maxSeqLen: program.maxSeqLen + 1 }, weights);
        await inner.run([0], 0);
        return { ...inner, dispose: () => inner.dispose(), run: (tokens, position, options) => inner.run(tokens, position + 1, options) };
      },
    };
    const failed = await failuresOf(shifted);
    expect(failed.filter((name) => name.startsWith('rope'))).toHaveLength(8);
    expect(failed.filter((name) => name.startsWith('swiglu'))).toEqual([]);
  });
});

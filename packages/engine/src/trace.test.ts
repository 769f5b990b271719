/** That a wrong forward is found where it goes wrong: one op of a good program changed, and the golden traces of tiny models. */
import { describe, expect, it } from 'vitest';
import type { Op } from '@weightspec/core';
import { referenceBackend } from '@weightspec/kernels';
import { hfRowOf, modelOf } from '@weightspec/models';
import { compareTrace, describeDeparture, loadModel } from './index.js';
import { checkpointOf, goldenOf, llama, llamaConfig, llamaHf, qwen2, qwen2Variants } from './testing/models-goldens.js';

describe.skipIf(!qwen2)('compareTrace', () => {
  /** qwen2-tiny with one op changed. */
  async function sabotaged(change: (op: Op) => Op) {
    const [f32] = qwen2Variants;
    const checkpoint = checkpointOf(await f32!.tensors());
    expect(modelOf(checkpoint, f32!.beside()).program.ops.some((op) => change(op) !== op)).toBe(true);
    const backend = { ...referenceBackend, compile: (...[program, weights, options]: Parameters<typeof referenceBackend.compile>) => referenceBackend.compile({ ...program, ops: program.ops.map(change) }, weights, options) };
    const { trace, cases } = await goldenOf(qwen2);
    return compareTrace(await loadModel(checkpoint, { beside: f32!.beside(), backend }), cases[3]!.prompt, trace);
  }
  it.each<readonly [string, (op: Op) => Op, string, string, number | undefined]>([
    ['a wrong RoPE in layer 1', (op) => (op.op === 'rope' && op.layer === 1 && op.x === 'k' ? { ...op, theta: 1e4 } : op), 'l1.k_rope', 'l1.q_rope', 1],
    ['a forgotten bias of v in layer 2', (op) => (op.op === 'matmul' && op.layer === 2 && op.out === 'v' ? { ...op, bias: undefined } : op), 'l2.v', 'l2.attn_in', 2],
    ['gate and up in each other’s place in layer 0', (op) => (op.op === 'swiglu' && op.layer === 0 ? { ...op, gate: 'up', up: 'gate' } : op), 'l0.out', 'l0.resid_mid', 0],
    ['a wrong eps in the last norm', (op) => (op.op === 'rmsnorm' && op.layer === undefined ? { ...op, eps: 1 } : op), 'final_norm', 'l2.out', undefined],
  ])('names the first layer and op after %s', async (_, change, name, lastAgreeing, layer) => {
    const { departure, compared } = await sabotaged(change);
    expect(departure).toMatchObject({ name, lastAgreeing });
    expect(departure?.layer).toBe(layer);
    expect(compared.at(-1)).toBe(name);
    expect(describeDeparture(departure!)).toContain(`${name} departs: op `);
  });
  it('knows the two orders of a rotated head apart', async () => {
    const { trace, cases } = await goldenOf(llama);
    const model = await loadModel(checkpointOf(await llamaHf()), { beside: llamaConfig() });
    expect((await compareTrace(model, cases[3]!.prompt, trace)).departure?.name).toBe('l0.q_rope');
    expect(Array.from({ length: 4 }, (_, i) => hfRowOf(i, 4))).toEqual([0, 2, 1, 3]);
  });
  it('refuses a golden that has nothing to compare, or numbers of another count', async () => {
    const [f32] = qwen2Variants;
    const model = await loadModel(checkpointOf(await f32!.tensors()), { beside: f32!.beside() });
    await expect(compareTrace(model, [1, 2], new Map([['l9.out', new Float32Array(128)]]))).rejects.toThrow(RangeError);
    await expect(compareTrace(model, [1, 2], new Map([['l0.out', new Float32Array(127)]]))).rejects.toThrow(/127 numbers in the golden and 128/);
  });
});

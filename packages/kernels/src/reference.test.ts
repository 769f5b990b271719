import { describe, expect, it } from 'vitest';
import type { Op, Program } from '@weightspec/core';
import { randomWeight } from './contract/data.js';
import { checkProgram, referenceBackend } from './index.js';
import { KV_BLOCK_POSITIONS, KvCache } from './kv-cache.js';

const program: Program = {
  architecture: 'test', vocabSize: 4, maxSeqLen: 600, layers: 1, kvWidth: 4,
  buffers: [{ name: 'x', width: 4 }, { name: 'y', width: 4 }],
  weights: [{ name: 'table', shape: [4, 4] }, { name: 'norm', shape: [4] }],
  ops: [
    { op: 'embed', weight: 'table', out: 'x' },
    { op: 'attention', q: 'x', k: 'x', v: 'x', out: 'y', heads: 2, kvHeads: 2, headDim: 2, layer: 0 },
    { op: 'matmul', x: 'y', weight: 'table', out: 'x' },
  ],
  logits: 'x',
};
const weights = new Map(['table', 'norm'].map((name) => [name, randomWeight(name, name === 'table' ? [4, 4] : [4]).handle]));

describe('checkProgram', () => {
  const withOps = (...ops: readonly Op[]): string[] => checkProgram({ ...program, ops: [...ops, ...program.ops] });

  it('finds nothing wrong with a right program', () => {
    expect(checkProgram(program)).toEqual([]);
  });
  it.each<readonly [string, Op, RegExp]>([
    ['an unknown buffer', { op: 'add', a: 'x', b: 'z', out: 'x' }, /op 0 \(add\): there is no buffer "z"/],
    ['an unknown weight', { op: 'embed', weight: 'nothing', out: 'x' }, /weight "nothing" is not declared/],
    ['a weight of another shape', { op: 'matmul', x: 'x', weight: 'norm', out: 'y' }, /weight norm is \[4\], not \[4, 4\]/],
    ['a matmul onto its own input', { op: 'matmul', x: 'x', weight: 'table', out: 'x' }, /same buffer/],
    ['an odd head', { op: 'rope', x: 'x', heads: 4, headDim: 1, theta: 1e4, style: 'halves' }, /headDim 1 is odd/],
    ['kv heads that do not divide heads', { op: 'attention', q: 'x', k: 'x', v: 'x', out: 'y', heads: 2, kvHeads: 4, headDim: 2, layer: 0 }, /4 kv heads do not divide 2/],
    ['a layer without a cache', { op: 'attention', q: 'x', k: 'x', v: 'x', out: 'y', heads: 2, kvHeads: 2, headDim: 2, layer: 1 }, /layer 1 of 1/],
  ])('names %s', (_, op, message) => {
    expect(withOps(op).join('\n')).toMatch(message);
  });
  it('wants logits of the vocabulary’s width, written last', () => {
    expect(checkProgram({ ...program, vocabSize: 5 }).join('\n')).toMatch(/logits buffer does not hold vocabSize = 5/);
    expect(checkProgram({ ...program, logits: 'y' }).join('\n')).toMatch(/last op does not write the logits/);
  });
  it('stops a compilation (PROGRAM_INVALID)', async () => {
    await expect(referenceBackend.compile({ ...program, logits: 'z' }, weights)).rejects.toThrow(/^PROGRAM_INVALID: /);
  });
});

describe('reference backend', () => {
  it('refuses a second run before the first has ended, and any after dispose', async () => {
    const executable = await referenceBackend.compile(program, weights);
    const first = executable.run([1], 0);
    await expect(executable.run([1], 0)).rejects.toThrow(/already running/);
    await first;
    const last = executable.run([1], 0);
    await executable.dispose();
    expect(await last).toEqual(await first);
    await expect(executable.run([1], 0)).rejects.toThrow(/disposed/);
  });
  it('forgets the positions of a run that was cut off', async () => {
    const executable = await referenceBackend.compile(program, weights);
    await executable.run([1, 2, 3], 0);
    const controller = new AbortController();
    const cut = executable.run([2, 2], 1, { signal: controller.signal, trace: () => controller.abort() });
    await expect(cut).rejects.toThrow(/abort/i);
    await expect(executable.run([1], 2)).rejects.toThrow(RangeError);
    await executable.run([2], 1);
  });
  it('says what it supports', () => {
    for (const storage of ['F32', 'F16', 'BF16', 'Q4_0', 'Q8_0', 'llama2c-q8', 'llama2c-q8-wmax']) expect(referenceBackend.supports('matmul', storage)).toBe(true);
    for (const storage of ['I64', 'constructor', '__proto__', '']) expect(referenceBackend.supports('matmul', storage)).toBe(false);
  });
});

describe('KV cache', () => {
  it('grows by blocks as positions are used, not with the context', () => {
    const cache = new KvCache(2, 1_000_000);
    expect(cache.keys).toHaveLength(0);
    cache.store(0, Float32Array.of(1, 2), Float32Array.of(3, 4), 0);
    expect(cache.keys.map((block) => block.length)).toEqual([2 * KV_BLOCK_POSITIONS]);
    cache.store(KV_BLOCK_POSITIONS, Float32Array.of(0, 0, 5, 6), Float32Array.of(0, 0, 7, 8), 1);
    expect(cache.keys).toHaveLength(2);
    expect([...(cache.values[1] ?? [])].slice(0, 3)).toEqual([7, 8, 0]);
  });
});

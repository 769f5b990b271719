import { describe, expect, it } from 'vitest';
import type { Program, WeightHandle } from '@weightspec/core';
import { placementLines } from './placement.js';

const program: Program = {
  architecture: 'test', vocabSize: 4, maxSeqLen: 4, layers: 0, kvWidth: 1, buffers: [], weights: [], logits: 'y',
  ops: [
    { op: 'embed', weight: 'table', out: 'x' },
    { op: 'matmul', x: 'x', weight: 'w', out: 'y' },
    { op: 'matmul', x: 'y', weight: 'w', bias: 'b', out: 'x' },
    { op: 'matmul', x: 'x', weight: 'w', out: 'y' },
    { op: 'add', a: 'x', b: 'y', out: 'y' },
  ],
};
const handle = (name: string, storage: string): [string, WeightHandle] => [name, { name, shape: [1], storage, parts: {} }];
const weights = new Map([handle('table', 'F16'), handle('w', 'Q8_0'), handle('b', 'F32')]);
const executable = { run: async () => new Float32Array(0), dispose: async () => {} };

describe('placementLines', () => {
  it('counts ops by kind, storage and what computes them', () => {
    const placement = ['wasm, 2 threads', 'wasm, 2 threads', 'wasm, 2 threads', 'elsewhere', 'wasm, 2 threads'];
    expect(placementLines({ program, weights, backendId: 'wasm', executable: { ...executable, placement } })).toEqual([
      'embed by F16 × 1: wasm, 2 threads',
      'matmul by Q8_0 × 1: wasm, 2 threads',
      'matmul by Q8_0 with bias in F32 × 1: wasm, 2 threads',
      'matmul by Q8_0 × 1: elsewhere',
      'add × 1: wasm, 2 threads',
    ]);
  });
  it('names the backend where the executable does not say more', () => {
    expect(placementLines({ program, weights, backendId: 'reference', executable })).toContain('matmul by Q8_0 × 2: reference');
  });
});

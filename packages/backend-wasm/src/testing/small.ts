/** A program of every op, with weights of any storage, for tests. Its numbers mean nothing. */
import { dtype, type Program, type WeightHandle, type WeightMap } from '@weightspec/core';
import { codecs, llama2cQ8, lmdeployInt8 } from '@weightspec/codecs';

export interface SmallCase {
  readonly program: Program;
  readonly weights: WeightMap;
}

export interface SmallShape {
  readonly dim: number;
  readonly hidden: number;
  readonly vocab: number;
  readonly heads: number;
  readonly layers: number;
  readonly positions: number;
}

const SMALL: SmallShape = { dim: 64, hidden: 96, vocab: 70, heads: 4, layers: 2, positions: 128 };

/** Numbers in [−1, 1) that are the same on every run (a linear congruence, Numerical Recipes). */
export function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A Llama of `shape`, matrices stored as `storage`. */
export function smallCase(storage = 'F32', shape: SmallShape = SMALL): SmallCase {
  const { dim, hidden, vocab, heads, layers, positions } = shape;
  const weights = new Map<string, WeightHandle>();
  const vector = (name: string, width: number): string => {
    weights.set(name, handleOf(name, 'F32', [width], Float32Array.from(noise(width, weights.size + 1), (value) => 1 + value / 8)));
    return name;
  };
  const matrix = (name: string, out: number, width: number): string => {
    const spread = 1.5 / Math.sqrt(width);
    weights.set(name, handleOf(name, storage, [out, width], noise(out * width, weights.size + 1).map((value) => spread * value)));
    return name;
  };
  const headDim = dim / heads;
  const ops: Program['ops'][number][] = [{ op: 'embed', weight: matrix('embedding', vocab, dim), out: 'x' }];
  for (let layer = 0; layer < layers; layer += 1) {
    const eps = 1e-5;
    const rope = { op: 'rope', heads, headDim, theta: 10000, style: 'interleaved', layer } as const;
    ops.push(
      { op: 'rmsnorm', x: 'x', weight: vector(`${layer}.norm1`, dim), eps, out: 'n', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.q`, dim, dim), bias: vector(`${layer}.q.bias`, dim), out: 'q', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.k`, dim, dim), out: 'k', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.v`, dim, dim), out: 'v', layer },
      { ...rope, x: 'q' },
      { ...rope, x: 'k' },
      { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'a', heads, kvHeads: heads, headDim, layer },
      { op: 'matmul', x: 'a', weight: matrix(`${layer}.o`, dim, dim), out: 'n', layer },
      { op: 'add', a: 'x', b: 'n', out: 'x', layer },
      { op: 'rmsnorm', x: 'x', weight: vector(`${layer}.norm2`, dim), eps, out: 'n', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.gate`, hidden, dim), out: 'g', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.up`, hidden, dim), out: 'u', layer },
      { op: 'swiglu', gate: 'g', up: 'u', out: 'g', layer },
      { op: 'matmul', x: 'g', weight: matrix(`${layer}.down`, dim, hidden), out: 'n', layer },
      { op: 'add', a: 'x', b: 'n', out: 'x', layer },
    );
  }
  ops.push({ op: 'rmsnorm', x: 'x', weight: vector('norm', dim), eps: 1e-5, out: 'x' }, { op: 'matmul', x: 'x', weight: 'embedding', out: 'logits' });
  const widths = { x: dim, n: dim, q: dim, k: dim, v: dim, a: dim, g: hidden, u: hidden, logits: vocab };
  const program: Program = {
    architecture: 'llama', vocabSize: vocab, maxSeqLen: positions, layers, kvWidth: dim,
    buffers: Object.entries(widths).map(([name, width]) => ({ name, width })),
    weights: Array.from(weights, ([name, { shape: dims }]) => ({ name, shape: dims })),
    ops,
    logits: 'logits',
  };
  return { program, weights };
}

const schemes = { 'llama2c-q8': llama2cQ8, 'lmdeploy-int8': lmdeployInt8 };

function handleOf(name: string, storage: string, shape: readonly number[], values: Float32Array): WeightHandle {
  if (storage === 'llama2c-q8' || storage === 'lmdeploy-int8') {
    const groupSize = storage === 'llama2c-q8' ? 32 : shape.at(-1)!;
    const groups = schemes[storage].quantizeGroups(values, groupSize);
    const parts = { values: tensorOf(name, 'I8', shape, groups.values), scales: tensorOf(`${name}.scales`, 'F32', [groups.scales.length], groups.scales) };
    return { name, shape, storage, parts, ...(storage === 'llama2c-q8' ? { groupSize } : {}) };
  }
  const codec = Object.entries(codecs).find(([id]) => id === storage.toLowerCase())![1];
  return { name, shape, storage, parts: { values: tensorOf(name, storage, shape, codec.quantize(values)) } };
}

function tensorOf(name: string, type: string, shape: readonly number[], values: Float32Array | Int8Array | Uint8Array) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const source = { name, size: bytes.length, read: async (offset: number, length: number) => bytes.slice(offset, offset + length) };
  return { name, dtype: dtype(type), shape, location: { source, offset: 0, length: bytes.length } };
}

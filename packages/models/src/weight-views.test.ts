import * as fc from 'fast-check';
import { byteLength, dtype, elementCount, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { fuseStacked, joinMetaShards, joinTensors, metaShardAxis, sliceRows, splitStacked, stackedName } from './index.js';

/** A tensor with bytes of its own, somewhere within a source. */
function tensor(name: string, shape: readonly number[], first = 0, type = 'F16'): TensorInfo {
  const length = byteLength(dtype(type), elementCount(shape));
  const file = Uint8Array.from({ length: length + 10 }, (_, i) => (first + i) % 251);
  return { name, dtype: dtype(type), shape, location: { source: memorySource(file, `${name}.bin`), offset: 5, length } };
}
const read = ({ location: { source, offset, length } }: TensorInfo): Promise<Uint8Array> => source.read(offset, length);

describe('sliceRows', () => {
  it('is another place in the same source, for matrices, vectors and blocks', async () => {
    for (const [shape, rowBytes, type] of [[[6, 4], 8, 'F16'], [[6], 2, 'F16'], [[6, 64], 36, 'Q4_0']] as const) {
      const whole = tensor('w', shape, 0, type);
      const view = sliceRows(whole, 'v', 2, 3);
      expect(view).toMatchObject({ name: 'v', shape: [3, ...shape.slice(1)], location: { source: whole.location.source, offset: 5 + 2 * rowBytes, length: 3 * rowBytes } });
      expect(await read(view)).toEqual((await read(whole)).subarray(2 * rowBytes, 5 * rowBytes));
    }
  });
  it('refuses rows that are not there, strided tensors and rows that end within a block', () => {
    expect(() => sliceRows(tensor('w', [6, 4]), 'v', 4, 3)).toThrow(RangeError);
    expect(() => sliceRows({ ...tensor('w', [6, 4]), strides: [1, 6] }, 'v', 0, 1)).toThrow(/not contiguous/);
    expect(() => sliceRows(tensor('w', [4, 16], 0, 'Q4_0'), 'v', 0, 2)).toThrow(/blocks/);
  });
});

describe('joinTensors', () => {
  it('reads any range as if the parts had been copied together', async () => {
    const cases = fc.record({ rows: fc.integer({ min: 1, max: 6 }), widths: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }), axis: fc.constantFrom(0 as const, 1 as const), from: fc.nat(), length: fc.nat() });
    await fc.assert(fc.asyncProperty(cases, async ({ rows, widths, axis, from, length }) => {
      const parts = widths.map((width, i) => tensor(`p${i}`, axis === 0 ? [width, rows] : [rows, width], 40 * i));
      const joined = joinTensors('joined', parts, axis);
      const bytes = await Promise.all(parts.map(read));
      // Straight from the definition: along axis 0 the parts' bytes, along axis 1 each row of each part.
      const rowOf = (i: number, row: number) => bytes[i]!.subarray(2 * widths[i]! * row, 2 * widths[i]! * (row + 1));
      const copied = axis === 0 ? bytes.flatMap((part) => [...part]) : Array.from({ length: rows }, (_, row) => parts.flatMap((__, i) => [...rowOf(i, row)])).flat();
      expect(joined.shape).toEqual(axis === 0 ? [widths.reduce((a, b) => a + b), rows] : [rows, widths.reduce((a, b) => a + b)]);
      expect([...(await read(joined))]).toEqual(copied);
      const start = from % (copied.length + 1);
      const count = length % (copied.length - start + 1);
      const { source, offset } = joined.location;
      expect([...(await source.read(offset + start, count))]).toEqual(copied.slice(start, start + count));
    }));
  });
  it('reads only what is asked for, once a part', async () => {
    const reads: number[] = [];
    const counted = (part: TensorInfo): TensorInfo => {
      const { source } = part.location;
      return { ...part, location: { ...part.location, source: { ...source, name: source.name, size: source.size, read: (offset, length) => (reads.push(length), source.read(offset, length)) } } };
    };
    const joined = joinTensors('joined', [tensor('a', [100, 4]), tensor('b', [100, 6])].map(counted), 1);
    await joined.location.source.read(20 * 10, 20 * 3);
    expect(reads).toEqual([8 * 3, 12 * 3]);
    reads.length = 0;
    await joined.location.source.read(20 * 10 + 8, 12);
    expect(reads).toEqual([12]);
  });
  it('has the contract of a source at its ends', async () => {
    const { source } = joinTensors('joined', [tensor('a', [3]), tensor('b', [2])], 0).location;
    expect(source.size).toBe(10);
    expect(await source.read(10, 0)).toHaveLength(0);
    await expect(source.read(9, 2)).rejects.toThrow(RangeError);
    await expect(source.read(-1, 2)).rejects.toThrow(RangeError);
  });
  it('refuses parts that do not fit', () => {
    const whole = tensor('a', [4, 4]);
    for (const [other, axis] of [[tensor('b', [4, 3]), 0], [tensor('b', [3, 4]), 1], [tensor('b', [4, 4], 0, 'F32'), 0], [tensor('b', [4]), 0], [{ ...whole, strides: [1, 4] }, 0]] as const) {
      expect(() => joinTensors('joined', [whole, other], axis)).toThrow(RangeError);
    }
    expect(() => joinTensors('joined', [tensor('a', [4]), tensor('b', [4])], 1)).toThrow(RangeError);
    expect(() => joinTensors('joined', [], 0)).toThrow(RangeError);
  });
});

describe('Meta’s shards', () => {
  it('are split as fairscale splits them', () => {
    const axes = (names: readonly string[]) => names.map((name) => metaShardAxis(name));
    expect(axes(['layers.0.attention.wq.weight', 'layers.0.attention.wk.weight', 'layers.9.attention.wv.weight', 'layers.0.feed_forward.w1.weight', 'layers.0.feed_forward.w3.weight', 'output.weight'])).toEqual([0, 0, 0, 0, 0, 0]);
    expect(axes(['layers.0.attention.wo.weight', 'layers.31.feed_forward.w2.weight'])).toEqual([1, 1]);
    expect(axes(['norm.weight', 'layers.0.attention_norm.weight', 'layers.0.ffn_norm.weight', 'rope.freqs'])).toEqual(['whole', 'whole', 'whole', 'whole']);
    expect([metaShardAxis('tok_embeddings.weight'), metaShardAxis('tok_embeddings.weight', 'llama3'), metaShardAxis('tok_embeddings.weight', 'llama2')]).toEqual([0, 0, 1]);
    expect(() => metaShardAxis('optimizer.state')).toThrow(RangeError);
  });
  const shard = (first: number, embedding: readonly number[]): Checkpoint => ({
    format: 'torch-checkpoint', variant: 'zip', metadata: {},
    tensors: [tensor('tok_embeddings.weight', embedding, first), tensor('norm.weight', [4]), tensor('layers.0.attention.wo.weight', [4, 2], first)],
  });
  it('join by rows for Llama 3’s embedding and by columns for Llama 2’s, told by its width', () => {
    const shapes = (...shards: Checkpoint[]) => joinMetaShards(shards).tensors.map(({ shape }) => shape);
    expect(shapes(shard(0, [5, 4]), shard(50, [5, 4]))).toEqual([[10, 4], [4], [4, 4]]);
    expect(shapes(shard(0, [5, 2]), shard(50, [5, 2]))).toEqual([[5, 4], [4], [4, 4]]);
    const single = shard(0, [5, 4]);
    expect(joinMetaShards([single])).toBe(single);
  });
  it('name every tensor that is missing or does not fit (MODEL_WEIGHTS)', () => {
    const odd = { ...shard(0, [5, 4]), tensors: [tensor('tok_embeddings.weight', [5, 3]), tensor('norm.weight', [4])] };
    expect(() => joinMetaShards([shard(0, [5, 4]), odd])).toThrow(/^MODEL_WEIGHTS: tok_embeddings.weight: .*; layers.0.attention.wo.weight is not in shard 1 of 2/);
  });
});

describe('vLLM’s stacked modules', () => {
  const layer = (): TensorInfo[] => [
    tensor('model.layers.0.self_attn.q_proj.weight', [8, 4], 0), tensor('model.layers.0.self_attn.k_proj.weight', [4, 4], 70), tensor('model.layers.0.self_attn.v_proj.weight', [4, 4], 110),
    tensor('model.layers.0.self_attn.q_proj.bias', [8], 150), tensor('model.layers.0.self_attn.k_proj.bias', [4], 170), tensor('model.layers.0.self_attn.v_proj.bias', [4], 180),
    tensor('model.layers.0.self_attn.o_proj.weight', [4, 8], 190), tensor('model.layers.0.mlp.up_proj.weight', [6, 4], 30), tensor('model.layers.0.mlp.gate_proj.weight', [6, 4], 90),
  ];
  it('know which part of which module a tensor is', () => {
    expect(stackedName('model.layers.3.self_attn.v_proj.bias')).toEqual({ name: 'model.layers.3.self_attn.qkv_proj.bias', part: 2 });
    expect(stackedName('model.layers.3.mlp.gate_proj.weight')).toEqual({ name: 'model.layers.3.mlp.gate_up_proj.weight', part: 0 });
    expect(stackedName('model.layers.3.mlp.down_proj.weight')).toBeUndefined();
  });
  it('fuse q over k over v, gate over up, whatever their order in the file, and split again', async () => {
    const fused = fuseStacked(layer());
    expect(fused.map(({ name, shape }) => [name.replace('model.layers.0.', ''), shape])).toEqual([
      ['self_attn.qkv_proj.weight', [16, 4]], ['self_attn.qkv_proj.bias', [16]], ['self_attn.o_proj.weight', [4, 8]], ['mlp.gate_up_proj.weight', [12, 4]],
    ]);
    const parts = await Promise.all(['gate_proj', 'up_proj'].map((module) => read(layer().find(({ name }) => name.includes(module))!)));
    expect([...(await read(fused[3]!))]).toEqual(parts.flatMap((part) => [...part]));
    const split = splitStacked(fused, { q: 8, kv: 4 });
    const contents = async (tensors: readonly TensorInfo[]) => new Map(await Promise.all(tensors.map(async (each) => [each.name, [each.shape, [...(await read(each))]]] as const)));
    expect(await contents(split)).toEqual(await contents(layer()));
  });
  it('refuse a part without its fellows, and rows that do not add up', () => {
    for (const missing of ['q_proj.weight', 'v_proj.bias', 'gate_proj.weight']) expect(() => fuseStacked(layer().filter(({ name }) => !name.endsWith(missing)))).toThrow(RangeError);
    expect(() => splitStacked(fuseStacked(layer()), { q: 8, kv: 8 })).toThrow(/16 rows, not 8 \+ 8 \+ 8/);
  });
});

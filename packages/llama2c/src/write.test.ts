/** What the writer chooses and refuses, on the project's own fixtures: dim 8, hidden_dim 9, so that only groups of 1 divide both. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { llama2cQ8Wmax } from '@weightspec/codecs';
import { dtype, type ByteSource, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { llama2c, writeLlama2c } from './index.js';
import type { WriteOptions } from './write.js';

async function written(fixture: string, options: WriteOptions, sink = memorySink()): Promise<{ groupSize: number; codes: string[]; bytes: Uint8Array }> {
  const bytes = readFileSync(fileURLToPath(new URL(`../../../fixtures/llama2c/valid/${fixture}.bin`, import.meta.url)));
  const { checkpoint } = await llama2c.read(memorySource(bytes, fixture));
  const diagnostics = await writeLlama2c(checkpoint!, sink, options);
  const out = sink.bytes();
  return { groupSize: new DataView(out.buffer, out.byteOffset).getInt32(37, true), codes: diagnostics.map(({ code }) => code), bytes: out };
}

describe('the group size', () => {
  it.each(['v1-int8', 'v2', 'v2-contiguous'] as const)('divides dim and hidden_dim (%s)', async (variant) => {
    expect(await written('v1-fp32-shared', { variant })).toMatchObject({ groupSize: 1, codes: [] });
  });
  it('divides dim alone with compat upstream, which warns of the straddling groups (LLAMA2C_GROUPS_RAGGED)', async () => {
    const { groupSize, codes, bytes } = await written('v1-fp32-shared', { variant: 'v2', compat: 'upstream' });
    expect({ groupSize, codes }).toEqual({ groupSize: 8, codes: ['LLAMA2C_GROUPS_RAGGED'] });
    const { diagnostics } = await llama2c.read(memorySource(bytes, 'ours'));
    expect(diagnostics.filter(({ severity }) => severity !== 'info').map(({ code }) => code)).toEqual(['LLAMA2C_GROUPS_RAGGED']);
  });
  it.each([8, 3, 16])('of %i is refused, before the first byte (LLAMA2C_WRITE_GROUP_SIZE)', async (groupSize) => {
    const sink = memorySink();
    await expect(written('v1-fp32-shared', { variant: 'v2', groupSize }, sink)).rejects.toThrow(/LLAMA2C_WRITE_GROUP_SIZE/);
    expect(sink.position).toBe(0);
  });
});

describe('a separate classifier', () => {
  it.each(['v1-int8', 'v1-experimental'] as const)('is refused as %s (LLAMA2C_WRITE_UNTIED) and dropped where loss is allowed', async (variant) => {
    await expect(written('v1-fp32-unshared', { variant })).rejects.toThrow(/LLAMA2C_WRITE_UNTIED/);
    const { bytes } = await written('v1-fp32-unshared', { variant, allowLoss: true });
    const { checkpoint } = await llama2c.read(memorySource(bytes, 'ours'));
    expect(checkpoint?.variant).toBe(variant);
    expect(checkpoint?.tensors.some(({ name }) => name === 'output.weight')).toBe(false);
  });
  it('stays in v2', async () => {
    const { bytes } = await written('v1-fp32-unshared', { variant: 'v2' });
    expect((await llama2c.read(memorySource(bytes, 'ours'))).checkpoint?.tensors.some(({ name }) => name === 'output.weight')).toBe(true);
  });
});

describe('int8 sources with groups of their own', () => {
  const config = { dim: 512, hidden_dim: 1024, n_layers: 1, n_heads: 8, n_kv_heads: 8, vocab_size: 1030, max_seq_len: 4 };
  /** A v1-experimental model whose embedding has groups of `groupSize`; the rest is zeros. Lengths of reads of its codes are recorded. */
  function model(groupSize: number) {
    const reads: number[] = [];
    const recorded = (bytes: Uint8Array): ByteSource => {
      const memory = memorySource(bytes);
      return { name: 'x', size: memory.size, read(offset, length) { reads.push(length); return memory.read(offset, length); } };
    };
    const tensor = (name: string, type: string, shape: readonly number[], bytes: Uint8Array): TensorInfo => ({ name, dtype: dtype(type), shape, location: { source: type === 'I8' ? recorded(bytes) : memorySource(bytes), offset: 0, length: bytes.length } });
    const { dim, hidden_dim: hidden, vocab_size: vocab } = config;
    const zeros = (name: string, shape: readonly number[]) => tensor(name, 'F32', shape, new Uint8Array(4 * shape.reduce((product, n) => product * n, 1)));
    const codes = Int8Array.from({ length: vocab * dim }, (_, i) => ((i * 31) % 255) - 127);
    const scales = Float32Array.from({ length: codes.length / groupSize }, (_, i) => 1 + (i % 100) / 128);
    const matrices = { wq: [dim, dim], wk: [dim, dim], wv: [dim, dim], wo: [dim, dim] } as const;
    const layer = 'layers.0.';
    const checkpoint: Checkpoint = {
      format: 'llama2c', variant: 'v1-experimental', metadata: { ...config, shared_classifier: true },
      tensors: [
        tensor('tok_embeddings.weight', 'I8', [vocab, dim], new Uint8Array(codes.buffer)),
        tensor('tok_embeddings.weight.scales', 'F32', [scales.length], new Uint8Array(scales.buffer)),
        ...Object.entries(matrices).map(([name, shape]) => zeros(`${layer}attention.${name}.weight`, shape)),
        zeros(`${layer}feed_forward.w1.weight`, [hidden, dim]), zeros(`${layer}feed_forward.w2.weight`, [dim, hidden]), zeros(`${layer}feed_forward.w3.weight`, [hidden, dim]),
        zeros(`${layer}attention_norm.weight`, [dim]), zeros(`${layer}ffn_norm.weight`, [dim]), zeros('norm.weight', [dim]),
      ],
      packed: [{ name: 'tok_embeddings.weight', scheme: llama2cQ8Wmax.scheme, shape: [vocab, dim], groupSize, parts: { values: 'tok_embeddings.weight', scales: 'tok_embeddings.weight.scales' } }],
    };
    return { checkpoint, reads, codes, scales };
  }
  // Groups that do not divide a chunk of 2^18, one that holds everything, and small ones; 527,360 elements are two chunks and a rest.
  it.each([1, 64, 1030, 65_920, 527_360])('are read in bounded chunks and give code · scale / 127, in groups of %i', async (groupSize) => {
    const { checkpoint, reads, codes, scales } = model(groupSize);
    const sink = memorySink();
    await writeLlama2c(checkpoint, sink, { variant: 'v1-fp32' });
    const { tensors } = (await llama2c.read(memorySource(sink.bytes(), 'ours'))).checkpoint!;
    const { source, offset, length } = tensors.find(({ name }) => name === 'tok_embeddings.weight')!.location;
    const floats = new Float32Array((await source.read(offset, length)).slice().buffer);
    // In f32, as upstream computes it: the product is rounded, then the quotient.
    const expected = Float32Array.from(codes, (code, i) => Math.fround(code * scales[Math.floor(i / groupSize)]!) / 127);
    expect(floats.findIndex((value, i) => value !== expected[i])).toBe(-1);
    expect(floats).toHaveLength(codes.length);
    expect(reads.reduce((sum, read) => sum + read, 0)).toBe(codes.length);
    expect(Math.max(...reads)).toBeLessThanOrEqual(1 << 18);
  });
});

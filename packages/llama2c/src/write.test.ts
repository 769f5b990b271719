/** What the writer chooses and refuses, on the project's own fixtures: dim 8, hidden_dim 9, so that only groups of 1 divide both. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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

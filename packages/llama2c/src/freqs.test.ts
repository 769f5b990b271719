import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { findTensor, readTensor } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { describe, expect, it } from 'vitest';
import { frequencyTable } from './freqs.js';
import { llama2c } from './index.js';
import { float32s } from './views.js';

// Both have heads of 8: 10000^(2i/8) is exact in f32. What that power is rounded to elsewhere no file at hand shows.
describe.each(['stories260K.bin', 'llama2xs_model.bin'])('frequencyTable', (file) => {
  const path = sharedData(`llama2c/${file}`);
  it.skipIf(path === undefined).each(['cos', 'sin'] as const)(`is torch's own table of %s in ${file}, within 6e-8`, async (part) => {
    const { checkpoint } = await llama2c.read(memorySource(readFileSync(path!), file));
    const { dim, n_heads: heads, max_seq_len: positions } = checkpoint!.metadata;
    const stored = float32s(await readTensor(findTensor(checkpoint!, `freqs_${part}`)));
    const computed = [...frequencyTable(part, Number(positions), Number(dim) / Number(heads))].flatMap((rows) => [...rows]);
    expect(computed.length).toBe(stored.length);
    expect(Math.max(...computed.map((value, i) => Math.abs(value - stored[i]!)))).toBeLessThanOrEqual(6e-8);
  });
});

describe('the deep check of frequency tables', () => {
  const valid = readFileSync(fileURLToPath(new URL('../../../fixtures/llama2c/valid/v0-shared.bin', import.meta.url)));

  /** Codes of a deep check with `difference` added to the first cosine of `position`. */
  async function codesWith(position: number, difference: number): Promise<string[]> {
    const bytes = Uint8Array.from(valid);
    const { checkpoint } = await llama2c.read(memorySource(bytes, 'v0'));
    const { shape, location } = findTensor(checkpoint!, 'freqs_cos');
    const view = new DataView(bytes.buffer, location.offset + position * shape[1]! * 4, 4);
    view.setFloat32(0, view.getFloat32(0, true) + difference, true);
    return (await llama2c.validate(checkpoint!, { deep: true })).diagnostics.map(({ code }) => code);
  }

  // cos(0) = 1 has an ulp of 2^-23; the table may be 2^-22 off there, and 2^-23 more for each position.
  it.each([[0, 2 ** -23], [1, 2 ** -23]])('takes what rounding leaves at position %i', async (position, difference) => {
    expect(await codesWith(position, difference)).toEqual([]);
  });
  it.each([[0, 2 ** -20], [1, 2 ** -20], [2, 2 ** -20]])('finds an entry that is off by more at position %i (LLAMA2C_FREQ_TABLE)', async (position, difference) => {
    expect(await codesWith(position, difference)).toEqual(['LLAMA2C_FREQ_TABLE']);
  });
});

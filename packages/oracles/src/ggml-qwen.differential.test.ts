/**
 * Three readings of the same bytes: the production reader, which derives every place from the header; the parser generated
 * from specs/ggml-qwen/ggml_qwen.ksy; and binary-parser, which follows the records as qwen.cpp does. They must agree on
 * acceptance, header and every tensor.
 */
import type { ByteSource } from '@weightspec/core';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { memorySource } from '@weightspec/io';
import { fileSource } from '@weightspec/io/node';
import * as fc from 'fast-check';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateGgmlQwen, mutateGgmlQwen, planGgmlQwen, writeSparseGgmlQwen, type GgmlQwenRecipe } from './generate-ggml-qwen.js';
import { seededRandom } from './generate-llama2c.js';
import { readGgmlQwenWithBinaryParser } from './ggml-qwen.binary-parser.js';
import { readGgmlQwenWithKaitai } from './ggml-qwen.kaitai.js';
import { ggmlQwenFields, type GgmlQwenHeader, type GgmlQwenReading } from './ggml-qwen.reading.js';
import { sharedData } from './shared-data.js';

const typeIds = [0, 1, 2, 3, 6, 7, 8];

/** Head counts that divide `hidden` and leave an even head size. */
const headCounts = (hidden: number) => Array.from({ length: hidden / 2 }, (_, i) => i + 1).filter((heads) => hidden % (2 * heads) === 0);

const recipes: fc.Arbitrary<GgmlQwenRecipe> = fc
  .record({
    typeId: fc.constantFrom(...typeIds), vocabSize: fc.integer({ min: 1, max: 40 }), hiddenUnits: fc.integer({ min: 1, max: 6 }), headChoice: fc.nat(),
    // Eleven layers, and with them longer names, only in small files.
    layers: fc.constantFrom(1, 2, 3, 11), ffnUnits: fc.integer({ min: 1, max: 6 }), maxLength: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    tokenIds: fc.tuple(fc.nat({ max: 50 }), fc.nat({ max: 50 }), fc.integer(), fc.nat({ max: 50 })),
    undoubled: fc.boolean(), noisyPadding: fc.boolean(), seed: fc.nat(),
  })
  .map(({ hiddenUnits, headChoice, ffnUnits, undoubled, ...recipe }) => {
    const quantized = recipe.typeId > 1;
    const hiddenSize = quantized ? 32 * Math.min(hiddenUnits, 2) : 2 * hiddenUnits;
    const choices = headCounts(hiddenSize);
    // An undoubled width must look like a doubled one: even, and whole blocks when halved.
    const ffn = (quantized ? 32 * Math.min(ffnUnits, 2) : ffnUnits) * (undoubled ? 2 : 1);
    return { ...recipe, layers: quantized ? Math.min(recipe.layers, 2) : recipe.layers, hiddenSize, heads: choices[headChoice % choices.length]!, ffn, undoubled };
  });

/** The production reading in the oracles' terms. An error among the diagnostics is a refusal. */
async function readWithProduction(source: ByteSource): Promise<GgmlQwenReading> {
  const { checkpoint, diagnostics } = await ggmlQwen.read(source);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || !checkpoint) return { accepted: false, reason: errors.map(({ code, message }) => `${code}: ${message}`).join('; ') };
  return {
    accepted: true,
    header: Object.fromEntries(ggmlQwenFields.map((field) => [field, checkpoint.metadata[field]])) as unknown as GgmlQwenHeader,
    doubled: !diagnostics.some(({ code }) => code === 'GGML_QWEN_INTERMEDIATE_NOT_DOUBLED'),
    directory: checkpoint.tensors.map(({ name, dtype, shape, location }) => ({ name, dtype: dtype.name, shape, offset: location.offset, length: location.length })),
  };
}

/** Everything but the words of a refusal, which are each reader's own. */
const comparable = (reading: GgmlQwenReading) => (reading.accepted ? reading : { accepted: false });

async function expectAgreement(bytes: Uint8Array): Promise<GgmlQwenReading> {
  const production = await readWithProduction(memorySource(bytes, 'generated'));
  const kaitai = readGgmlQwenWithKaitai(bytes);
  const binaryParser = readGgmlQwenWithBinaryParser(bytes);
  const reasons = [production, kaitai, binaryParser].map((reading) => (reading.accepted ? 'accepted' : reading.reason)).join(' | ');
  // The reasons stand on both sides only to be printed when the rest differs.
  expect({ ...comparable(kaitai), reasons }).toEqual({ ...comparable(production), reasons });
  expect({ ...comparable(binaryParser), reasons }).toEqual({ ...comparable(production), reasons });
  return production;
}

describe('three independent readings of qwen.cpp\'s container', () => {
  it('agree on header and directory of generated files, accept them all, and find what was put there', async () => {
    const seen = new Set<number>();
    await fc.assert(fc.asyncProperty(recipes, async (recipe) => {
      const reading = await expectAgreement(generateGgmlQwen(recipe));
      if (!reading.accepted) throw new Error(`refused: ${reading.reason}`);
      const plan = planGgmlQwen(recipe);
      expect(reading.header).toEqual(plan.header);
      expect(reading.doubled).toBe(!recipe.undoubled);
      expect(reading.directory.map(({ name, shape, offset, length }) => ({ name, shape, offset, length }))).toEqual(
        plan.records.map(({ name, shape, dataOffset, dataLength }) => ({ name, shape, offset: dataOffset, length: dataLength })));
      seen.add(recipe.typeId);
    }), { numRuns: 200 });
    expect([...seen].toSorted((a, b) => a - b)).toEqual(typeIds);
  });

  it('agree on which mutated files to refuse, and on what is in the others', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(recipes, fc.nat(), fc.integer({ min: 1, max: 2 }), async (recipe, seed, times) => {
      const random = seededRandom(seed);
      const plan = planGgmlQwen(recipe);
      let bytes = generateGgmlQwen(recipe);
      for (let i = 0; i < times; i++) bytes = mutateGgmlQwen(bytes, plan, random);
      const reading = await expectAgreement(bytes);
      counts[reading.accepted ? 'accepted' : 'refused']++;
    }), { numRuns: 1000 });
    expect(counts.accepted).toBeGreaterThan(50);
    expect(counts.refused).toBeGreaterThan(300);
  });

  it('all refuse files whose header, or whose every number, is big-endian', async () => {
    await fc.assert(fc.asyncProperty(recipes, fc.boolean(), async (recipe, everywhere) => {
      const bytes = generateGgmlQwen(recipe);
      const swap = (offset: number) => {
        bytes.subarray(offset, offset + 4).reverse();
      };
      for (let offset = 4; offset < 52; offset += 4) swap(offset);
      for (const { name, shape, offset } of everywhere ? planGgmlQwen(recipe).records : []) {
        swap(offset);
        for (let i = 0; i < shape.length + 2; i++) swap(offset + 4 + name.length + 4 * i);
      }
      expect((await expectAgreement(bytes)).accepted).toBe(false);
    }), { numRuns: 60 });
  });

  const real = ['tiny-f32.bin', 'tiny-q4_0.bin', 'tiny-q5_1.bin', 'tiny-q8_0.bin'].map((name) => ({ name, path: sharedData(`ggml-qwen/${name}`)! }));
  it.skipIf(real.some(({ path }) => !path)).each(real)('agree on $name, which another writer made', async ({ path }) => {
    const source = await fileSource(path);
    const production = await readWithProduction(source);
    await source.close?.();
    expect(production.accepted).toBe(true);
    expect(readGgmlQwenWithKaitai(path)).toEqual(production);
    expect(readGgmlQwenWithBinaryParser(path)).toEqual(production);
  });

  it('agree on a sparse q4_0 file of 7B shape, more than 4 GiB', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weightspec-'));
    try {
      const path = join(folder, 'sparse.bin');
      const plan = writeSparseGgmlQwen(path, { typeId: 2, vocabSize: 151936, hiddenSize: 4096, heads: 32, layers: 32, ffn: 11008, maxLength: 8192, tokenIds: [151643, 151643, 151644, 151645], seed: 1 });
      expect(plan.byteLength).toBeGreaterThan(2 ** 32);
      const source = await fileSource(path);
      const production = await readWithProduction(source);
      await source.close?.();
      if (!production.accepted) throw new Error(production.reason);
      expect(production.directory.at(-1)).toEqual({ name: 'lm_head.weight', dtype: 'Q4_0', shape: [151936, 4096], offset: plan.byteLength - 151936 * 4096 / 32 * 18, length: 151936 * 4096 / 32 * 18 });
      expect(readGgmlQwenWithKaitai(path)).toEqual(production);
      expect(readGgmlQwenWithBinaryParser(path)).toEqual(production);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

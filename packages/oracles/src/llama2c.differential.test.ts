/**
 * Three readings of the same bytes: the production reader, the parser generated from specs/llama2c/*.ksy, and binary-parser
 * with the formulas. They must agree on acceptance, layout, header and every tensor's place.
 */
import type { ByteSource } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { fileSource } from '@weightspec/io/node';
import { llama2c } from '@weightspec/llama2c';
import * as fc from 'fast-check';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateLlama2c, mutate, seededRandom, type Llama2cRecipe } from './generate-llama2c.js';
import { llama2cFixtures } from './llama2c-fixtures.js';
import { readWithBinaryParser } from './llama2c.binary-parser.js';
import { readWithKaitai } from './llama2c.kaitai.js';
import { llama2cVariants, type Llama2cHeader, type Llama2cReading } from './reading.js';
import { sharedData } from './shared-data.js';

const recipes: fc.Arbitrary<Llama2cRecipe> = fc.record({
  variant: fc.constantFrom(...llama2cVariants),
  headSize: fc.constantFrom(2, 4, 6, 8),
  nKvHeads: fc.integer({ min: 1, max: 3 }),
  queriesPerKv: fc.integer({ min: 1, max: 3 }),
  hiddenDim: fc.integer({ min: 1, max: 24 }),
  // Up to three layers and 512 groups a matrix, the production reader samples every group for C-5.5.
  nLayers: fc.integer({ min: 1, max: 3 }),
  vocabSize: fc.integer({ min: 1, max: 40 }),
  maxSeqLen: fc.integer({ min: 1, max: 16 }),
  shared: fc.boolean(),
  groupChoice: fc.nat({ max: 1000 }),
  headerBytes: fc.constantFrom(128 as const, 256 as const),
  seed: fc.nat(),
});

/** The production reading in the oracles' terms. An error among the diagnostics is a refusal. */
async function readWithProduction(source: ByteSource): Promise<Llama2cReading> {
  const { checkpoint, variant, diagnostics } = await llama2c.read(source);
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || !checkpoint) return { accepted: false, reason: errors.map(({ code, message }) => `${code}: ${message}`).join('; ') };
  const { metadata } = checkpoint;
  const keys = ['version', 'dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'vocab_size', 'max_seq_len', 'shared_classifier', 'group_size', 'header_bytes'];
  return {
    accepted: true,
    variant: variant as (typeof llama2cVariants)[number],
    header: Object.fromEntries(keys.filter((key) => metadata[key] !== undefined).map((key) => [key, metadata[key]])) as unknown as Llama2cHeader,
    directory: checkpoint.tensors.map(({ name, dtype, shape, location }) => ({ name, dtype: dtype.name as 'F32' | 'I8', shape, offset: location.offset, length: location.length })),
  };
}

/** Everything but the words of a refusal, which are each reader's own. */
const comparable = (reading: Llama2cReading) => (reading.accepted ? reading : { accepted: false });

async function expectAgreement(bytes: Uint8Array): Promise<Llama2cReading> {
  const production = await readWithProduction(memorySource(bytes, 'generated'));
  const kaitai = readWithKaitai(bytes);
  const binaryParser = readWithBinaryParser(bytes);
  const reasons = [production, kaitai, binaryParser].map((reading) => (reading.accepted ? `accepted as ${reading.variant}` : reading.reason)).join(' | ');
  // The reasons stand on both sides only to be printed when the rest differs.
  expect({ ...comparable(kaitai), reasons }).toEqual({ ...comparable(production), reasons });
  expect({ ...comparable(binaryParser), reasons }).toEqual({ ...comparable(production), reasons });
  return production;
}

describe('three independent readings of llama2.c files', () => {
  it('agree on header and directory of generated files, and accept them all', async () => {
    const seen = new Set<string>();
    await fc.assert(fc.asyncProperty(recipes, async (recipe) => {
      const reading = await expectAgreement(generateLlama2c(recipe));
      if (!reading.accepted) throw new Error(`refused: ${reading.reason}`);
      expect(reading.header.n_layers).toBe(recipe.nLayers);
      seen.add(reading.variant);
    }), { numRuns: 200 });
    expect([...seen].toSorted()).toEqual([...llama2cVariants].toSorted());
  });

  it('agree on which mutated files to refuse, and on what is in the others', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(recipes, fc.nat(), fc.integer({ min: 1, max: 3 }), async (recipe, seed, times) => {
      const random = seededRandom(seed);
      let bytes = generateLlama2c(recipe);
      for (let i = 0; i < times; i++) bytes = mutate(bytes, random);
      const reading = await expectAgreement(bytes);
      counts[reading.accepted ? 'accepted' : 'refused']++;
    }), { numRuns: 800 });
    expect(counts.accepted).toBeGreaterThan(40);
    expect(counts.refused).toBeGreaterThan(150);
  });

  it('agree on files that break a rule though their size is right', async () => {
    const counts = { accepted: 0, refused: 0 };
    const replaced = fc.record({ nHeads: fc.integer({ min: 1, max: 6 }), dim: fc.integer({ min: 6, max: 24 }), groupSize: fc.constantFrom(undefined, 2, 3, 4, 6) });
    await fc.assert(fc.asyncProperty(recipes, replaced, async (recipe, unsound) => {
      const bytes = generateLlama2c({ ...recipe, ...unsound });
      const reading = await expectAgreement(bytes);
      // The rules of the .ksy decide alone here, without the test of C-5.5 that follows them.
      expect(readWithKaitai(bytes, recipe.variant).accepted).toBe(reading.accepted);
      counts[reading.accepted ? 'accepted' : 'refused']++;
    }), { numRuns: 500 });
    expect(counts.accepted).toBeGreaterThan(10);
    expect(counts.refused).toBeGreaterThan(100);
  });

  it('all refuse big-endian files', async () => {
    await fc.assert(fc.asyncProperty(recipes, async (recipe) => {
      expect((await expectAgreement(generateLlama2c({ ...recipe, byteOrder: 'big' }))).accepted).toBe(false);
    }), { numRuns: 60 });
  });

  it.each(llama2cFixtures('llama2c'))('agree on fixtures/llama2c/$name, which is $verdict', async ({ path, variant, verdict }) => {
    const reading = await expectAgreement(readFileSync(path));
    expect(reading).toMatchObject(verdict === 'invalid' ? { accepted: false } : { accepted: true, variant });
  });

  const real = ['stories260K.bin', 'stories260K.unshared.v0.bin', 'stories260K.v1_fp32.bin', 'stories260K.v1_int8_gs64.bin', 'stories260K.v2_gs64.bin', 'stories260K.v2_contig_gs64.bin', 'llama2xs_model.bin'].map((name) => ({ name, path: sharedData(`llama2c/${name}`)! }));
  it.skipIf(real.some(({ path }) => !path)).each(real)('agree on $name', async ({ path }) => {
    const source = await fileSource(path);
    const production = await readWithProduction(source);
    await source.close?.();
    expect(production.accepted).toBe(true);
    expect(readWithKaitai(path)).toEqual(production);
    expect(readWithBinaryParser(path)).toEqual(production);
  });

  it('agree on a sparse v0 file of more than 4 GiB', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weightspec-'));
    try {
      const path = join(folder, 'sparse.bin');
      const [dim, hidden, layers, heads, vocab, positions] = [4096, 11008, 8, 32, 32000, 2048];
      const fd = openSync(path, 'w');
      writeSync(fd, new Uint8Array(Int32Array.of(dim, hidden, layers, heads, heads, vocab, positions).buffer));
      const size = 28 + 4 * ((2 * layers + 1) * dim + vocab * dim + layers * (4 * dim * dim + 3 * dim * hidden) + positions * (dim / heads));
      expect(size).toBeGreaterThan(2 ** 32);
      ftruncateSync(fd, size);
      closeSync(fd);
      const source = await fileSource(path);
      const production = await readWithProduction(source);
      await source.close?.();
      expect(production.accepted).toBe(true);
      expect(readWithKaitai(path)).toEqual(production);
      expect(readWithBinaryParser(path)).toEqual(production);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

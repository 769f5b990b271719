/** Two readings of tokenizer.bin: the production reader, and the parsers generated from specs/llama2c/llama2c_tokenizer_gen*.ksy. */
import { memorySource } from '@weightspec/io';
import { readTokenizerBin, llama2cTokenizer } from '@weightspec/llama2c';
import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generateLlama2cTokenizer } from './generate-llama2c-tokenizer.js';
import { llama2cFixtures } from './llama2c-fixtures.js';
import { seededRandom } from './generate-llama2c.js';
import { readTokenizerWithKaitai, tokenizerGenerations, type Llama2cTokenizerGeneration, type TokenizerReading } from './llama2c-tokenizer.kaitai.js';
import { sharedData } from './shared-data.js';

interface ProductionReading {
  /** The production reader's choice, also for files that it refuses. */
  readonly generation: Llama2cTokenizerGeneration;
  /** Absent when a diagnostic is an error. */
  readonly reading?: TokenizerReading;
}

async function readWithProduction(bytes: Uint8Array): Promise<ProductionReading> {
  const source = memorySource(bytes);
  const { variant } = await llama2cTokenizer.read(source);
  const { tokenizer, diagnostics } = await readTokenizerBin(source);
  const generation = variant as Llama2cTokenizerGeneration;
  if (!tokenizer || diagnostics.some(({ severity }) => severity === 'error')) return { generation };
  const { pieces, scores, maxTokenLength } = tokenizer;
  return { generation, reading: { pieces, ...(scores ? { scores: [...scores] } : {}), ...(maxTokenLength === undefined ? {} : { maxTokenLength }) } };
}

/** Bytes as plain arrays: a view and a copy of the same bytes are equal. */
const comparable = (reading: TokenizerReading | undefined) => reading && { ...reading, pieces: reading.pieces.map((piece) => [...piece]) };

const generations = fc.constantFrom(...tokenizerGenerations);

describe('two independent readings of tokenizer.bin', () => {
  it('agree on generated files, and accept them all as what they are', async () => {
    await fc.assert(fc.asyncProperty(generations, fc.nat({ max: 20 }), fc.nat(), async (generation, extraPieces, seed) => {
      const bytes = generateLlama2cTokenizer(generation, extraPieces, seed);
      const production = await readWithProduction(bytes);
      expect(production.generation).toBe(generation);
      expect(production.reading?.pieces).toHaveLength(259 + extraPieces);
      expect(comparable(readTokenizerWithKaitai(bytes, generation))).toEqual(comparable(production.reading));
    }), { numRuns: 60 });
  });

  it('agree on which mutated files to refuse, and on what is in the others', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(generations, fc.nat(), async (generation, seed) => {
      const bytes = damage(generateLlama2cTokenizer(generation, 4, seed), seededRandom(seed));
      const production = await readWithProduction(bytes);
      expect(comparable(readTokenizerWithKaitai(bytes, production.generation))).toEqual(comparable(production.reading));
      counts[production.reading ? 'accepted' : 'refused']++;
    }), { numRuns: 300 });
    expect(counts.accepted).toBeGreaterThan(20);
    expect(counts.refused).toBeGreaterThan(100);
  });

  it.each(llama2cFixtures('llama2c-tokenizer'))('agree on fixtures/llama2c/$name, which is $verdict', async ({ path, variant, verdict }) => {
    const production = await readWithProduction(readFileSync(path));
    const kaitai = readTokenizerWithKaitai(path, variant as Llama2cTokenizerGeneration);
    expect(kaitai !== undefined).toBe(verdict !== 'invalid');
    expect(comparable(kaitai)).toEqual(comparable(production.reading));
  });

  const real = ([['tok512.bin', 'gen5', 512], ['tokenizer.bin', 'gen5', 32000], ['tokenizer.gen3_scores.bin', 'gen3', 32000], ['tokenizer.gen4_20230728.bin', 'gen4', 32000]] as const)
    .map(([name, generation, vocabSize]) => ({ name, generation, vocabSize, path: sharedData(`llama2c/${name}`)! }));
  it.skipIf(real.some(({ path }) => !path)).each(real)('agree on $name', async ({ path, generation, vocabSize }) => {
    const production = await readWithProduction(readFileSync(path));
    expect(production.generation).toBe(generation);
    expect(production.reading?.pieces).toHaveLength(vocabSize);
    expect(comparable(readTokenizerWithKaitai(path, generation))).toEqual(comparable(production.reading));
  });
});

/** Cuts, lengthens or changes bytes, mostly near the front where the counts and offsets are. */
function damage(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const copy = bytes.slice();
  switch (below(5)) {
    case 0: return copy.slice(0, below(copy.length));
    case 1: return Uint8Array.from([...copy, ...Array.from({ length: 1 + below(12) }, () => below(256))]);
    case 2: copy[below(64)]! ^= 1 << below(8); return copy;
    case 3: copy[0] = below(256); return copy;
    default: copy[below(copy.length)]! ^= 1 << below(8); return copy;
  }
}

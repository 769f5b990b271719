/**
 * Whole forwards against outputs that run.c and torch computed (see the shared data's facts on llama2.c).
 * Bound for logits: 1e-4. Both sides round to f32 in other places; run.c itself differs by 5.3e-5 between -O3 and fast-math
 * builds on the same rows, and the smallest gap between the two likeliest tokens is 0.0042.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend, Checkpoint } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { llama2c, readTokenizerBin } from '@weightspec/llama2c';
import { sharedData } from '@weightspec/oracles';
import { createScoreBpeTokenizer, createTextStream, type Tokenizer } from '@weightspec/tokenizers';
import { createSampler, generate, loadModel, logits, type GenerateOptions, type LoadedModel, type LoadOptions } from '../index.js';
import type { GoldenOptions } from './options.js';

const LOGIT_BOUND = 1e-4;
/**
 * For activations rounded to int8. These logits have a standard deviation of 6.75: 0.5 is 7 % of it, where the 0.2 that qwen.cpp's
 * tiny models are held to is 17 % of theirs.
 */
const INT8_LOGIT_BOUND = 0.5;
const BOS = 1;

const folder = sharedData('llama2c/golden/tokens.json') && sharedData('llama2c');
const inFolder = (name: string): string => `${folder}/${name}`;
const source = (name: string) => memorySource(readFileSync(inFolder(name)), name);
const floats = (name: string): Float32Array => {
  const bytes = readFileSync(inFolder(`golden/${name}`));
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
};
const text = (name: string): string => readFileSync(inFolder(`golden/${name}`), 'utf8');
const tokens = (key: string): number[] => {
  const all: unknown = JSON.parse(text('tokens.json'));
  const ids: unknown = all !== null && typeof all === 'object' ? Reflect.get(all, key) : undefined;
  if (!Array.isArray(ids)) throw new Error(`tokens.json has no ${key}`);
  return ids.map(Number);
};

async function open(name: string): Promise<Checkpoint> {
  const { checkpoint, diagnostics } = await llama2c.read(source(name));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint;
}

async function tokenizer(name: string): Promise<Tokenizer> {
  const { tokenizer: read, diagnostics } = await readTokenizerBin(source(name));
  if (!read) throw new Error(JSON.stringify(diagnostics));
  return createScoreBpeTokenizer(read);
}

/** Generates as run.c does: stops at BOS, counts the prompt into `steps`. Returns the ids after the prompt and their text. */
async function runAsRunC(model: LoadedModel, steps: number, sampler?: GenerateOptions['sampler']) {
  const stream = createTextStream(await tokenizer('tok512.bin'), { previous: BOS, filter: 'run.c' });
  const ids: number[] = [];
  let out = '';
  for await (const { id } of generate(model, { promptTokens: [BOS], maxNewTokens: steps, sampler, stopTokens: [BOS] })) {
    ids.push(id);
    out += stream.push(id);
  }
  return { ids, text: out + stream.end() };
}

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
}

export function llama2cGoldens(backend: Backend, { streams = false, int8Activations = () => false }: GoldenOptions = {}): void {
  const load = async (name: string, options?: LoadOptions): Promise<LoadedModel> => loadModel(await open(name), { backend, ...options });

  describe.skipIf(!folder)(`${backend.id}: stories260K against run.c`, () => {
    it('generates the 346 greedy ids and their text', async () => {
      const golden = tokens('stories260K.v0 greedy (346 forwards; ends in 1)');
      expect(golden.length).toBe(347);
      const { ids, text: story } = await runAsRunC(await load('stories260K.bin'), 512);
      expect([BOS, ...ids, BOS]).toEqual(golden);
      expect(`${story}\n`).toBe(text('stories260K.v0.greedy512.txt'));
    });
    it.each(['stories260K.bin', 'stories260K.v1_fp32.bin'])('%s: has all 346 rows of logits within 1e-4, one token at a time and in batches', async (name) => {
      const golden = floats('stories260K.v0.logits346x512.f32');
      const ids = tokens('stories260K.v0 greedy (346 forwards; ends in 1)').slice(0, 346);
      const model = await load(name);
      expect(largestDifference(await logits(model, ids, { all: true }), golden)).toBeLessThan(LOGIT_BOUND);
      const single: number[] = [];
      for (const [position, id] of ids.entries()) single.push(...(await model.executable.run([id], position)));
      expect(largestDifference(Float32Array.from(single), golden)).toBeLessThan(LOGIT_BOUND);
    });
    it.skipIf(!streams)('gives the same logits when no matrix is held in memory', async () => {
      const ids = tokens('stories260K.v0 greedy (346 forwards; ends in 1)').slice(0, 12);
      for (const name of ['stories260K.bin', 'stories260K.v2_gs64.bin']) {
        const resident = await logits(await load(name), ids, { all: true });
        expect(await logits(await load(name, { memoryBudgetBytes: 0 }), ids, { all: true })).toEqual(resident);
      }
    });
    it('draws the sampled text of -t 1 -p 0.9 -s 133742 -n 256', async () => {
      const { text: story } = await runAsRunC(await load('stories260K.bin'), 256, createSampler({ temperature: 1, topP: 0.9, seed: 133742 }));
      expect(`${story}\n`).toBe(text('stories260K.v0.t1.p0.9.s133742.n256.txt'));
    });
    it('takes the unshared classifier', async () => {
      const golden: unknown = JSON.parse(text('unshared.tokens64.json'));
      const { ids } = await runAsRunC(await load('stories260K.unshared.v0.bin'), 64);
      expect([BOS, ...ids]).toEqual(golden);
    });
    it.each(['stories260K.v1_int8_gs64.bin', 'stories260K.v2_contig_gs64.bin', 'stories260K.v2_gs64.bin'])('%s: dequantised logits within 1e-4, and the ids of 200 steps', async (name) => {
      const ids = tokens('stories260K int8 gs64: weights dequantised to f32, f32 forward, 200');
      const model = await load(name);
      expect(largestDifference(await logits(model, ids.slice(0, 16), { all: true }), floats('stories260K.deq_gs64.logits16x512.f32'))).toBeLessThan(int8Activations('llama2c-q8') ? INT8_LOGIT_BOUND : LOGIT_BOUND);
      if (int8Activations('llama2c-q8')) return;
      const { ids: generated } = await runAsRunC(model, 200);
      expect([BOS, ...generated]).toEqual(ids);
    });
  });

  describe.skipIf(!folder)(`${backend.id}: llama2xs against run.c`, () => {
    it('has all 256 rows of logits within 1e-4, and the greedy ids', async () => {
      const ids = tokens('llama2xs.v0 greedy 256');
      const model = await load('llama2xs_model.bin');
      expect(largestDifference(await logits(model, ids.slice(0, 256), { all: true }), floats('llama2xs.v0.logits256x512.f32'))).toBeLessThan(LOGIT_BOUND);
      const generated: number[] = [BOS];
      for await (const { id } of generate(model, { promptTokens: [BOS], maxNewTokens: 256 })) generated.push(id);
      expect(generated).toEqual(ids);
    });
  });
}

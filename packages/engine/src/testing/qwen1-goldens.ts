/**
 * qwen.cpp's tiny Qwen-1 in all seven types. `.ideal.f64` are float64 forwards over the dequantised weights, `.cpp.f32` the logits of
 * qwen.cpp itself. Bounds: 5e-5 against float64 (a float32 forward differs by less than 3e-6); against the C++ 0.01, or 0.2 where it
 * quantizes activations to 8 bits (it differs from float64 by up to 0.0051 and 0.128).
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dtype, type Backend, type Checkpoint } from '@weightspec/core';
import { ggmlQwen, writeGgmlQwen } from '@weightspec/ggml-qwen';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { generate, loadModel, logits, type LoadedModel } from '../index.js';
import { INT8_LOGIT_BOUND, type GoldenOptions } from './options.js';

const folder = sharedData('ggml-qwen/logits.json') && sharedData('ggml-qwen');
const pathOf = (name: string): string => `${folder}/${name}`;

interface Golden {
  readonly prompts: Readonly<Record<string, readonly number[]>>;
  readonly results: Readonly<Record<string, Readonly<Record<string, { readonly greedy: readonly number[]; readonly greedy_ideal_same: boolean; readonly greedy_min_margin_ideal: number }>>>>;
}
const golden = folder ? (JSON.parse(readFileSync(pathOf('logits.json'), 'utf8')) as Golden) : undefined;
const prompts = Object.entries(golden?.prompts ?? {});

const numbers = (name: string): number[] => {
  const bytes = readFileSync(pathOf(name));
  const wide = name.endsWith('.f64');
  return Array.from({ length: bytes.length / (wide ? 8 : 4) }, (_, i) => (wide ? bytes.readDoubleLE(8 * i) : bytes.readFloatLE(4 * i)));
};
const largestDifference = (actual: Float32Array, expected: readonly number[]): number => {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
};

async function read(bytes: Uint8Array): Promise<Checkpoint> {
  const { checkpoint, diagnostics } = await ggmlQwen.read(memorySource(bytes));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint;
}
async function greedyIds(model: LoadedModel, promptTokens: readonly number[], count: number): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of generate(model, { promptTokens, maxNewTokens: count })) ids.push(id);
  return ids;
}

export function qwen1Goldens(backend: Backend, { streams = false, int8Activations = () => false }: GoldenOptions = {}): void {
  /** Types by their names in files: `q4_0`. */
  const rounds = (type: string): boolean => int8Activations(type.toUpperCase());
  /** The file of the collection, or the f32 one quantized: its bytes are those of an independent writer (ggml-qwen's tests). */
  async function load(type: string, memoryBudgetBytes?: number): Promise<LoadedModel> {
    const path = pathOf(`tiny-${type}.bin`);
    if (existsSync(path)) return loadModel(await read(readFileSync(path)), { backend, memoryBudgetBytes });
    const sink = memorySink();
    await writeGgmlQwen(await read(readFileSync(pathOf('tiny-f32.bin'))), sink, { dtype: dtype(type) });
    return loadModel(await read(sink.bytes()), { backend, memoryBudgetBytes });
  }
  describe.skipIf(!folder).each(['f32', 'q4_0', 'q5_1', 'q8_0'])(`${backend.id}: tiny Qwen-1 in %s`, (type) => {
    it.each(prompts)('%s: every row within 5e-5 of float64, and near qwen.cpp', async (name, tokens) => {
      const model = await load(type);
      const rows = await logits(model, tokens, { all: true });
      expect(largestDifference(rows, numbers(`logits-${type}-${name}.ideal.f64`))).toBeLessThan(rounds(type) ? INT8_LOGIT_BOUND : 5e-5);
      expect(largestDifference(rows, numbers(`logits-${type}-${name}.cpp.f32`))).toBeLessThan(type === 'f32' ? 0.01 : rounds(type) ? 2 * INT8_LOGIT_BOUND : 0.2);
    });
    it.skipIf(!streams)('gives the same when no matrix is held in memory: views of c_attn are read in their place', async () => {
      const tokens = golden!.prompts.p17!;
      expect(await logits(await load(type, 0), tokens, { all: true })).toEqual(await logits(await load(type), tokens, { all: true }));
    });
  });

  describe.skipIf(!folder)(`${backend.id}: tiny Qwen-1, greedy`, () => {
    it.each(prompts)('%s: the ids of qwen.cpp in f32, and its logits along the way', async (name, tokens) => {
      const { greedy } = golden!.results.f32![name]!;
      const model = await load('f32');
      expect(await greedyIds(model, tokens, greedy.length)).toEqual(greedy);
      const rows = await logits(model, [...tokens, ...greedy], { all: true });
      expect(largestDifference(rows.subarray((tokens.length - 1) * 512), numbers(`greedy-f32-${name}.cpp.f32`))).toBeLessThan(0.01);
    });
    /** Where the C++'s 8-bit activations lead it to other ids than float64 goes, its ids are no measure. */
    const agreeing = Object.entries(golden?.results ?? {}).flatMap(([type, byPrompt]) =>
      Object.entries(byPrompt).flatMap(([name, { greedy_ideal_same: same, greedy_min_margin_ideal: margin }]) => (same && margin > 1e-4 && !rounds(type) ? [[type, name] as const] : [])));
    it.each(agreeing)('%s, %s: the ids on which qwen.cpp and float64 agree', async (type, name) => {
      const { greedy } = golden!.results[type]![name]!;
      expect(await greedyIds(await load(type), golden!.prompts[name]!, greedy.length)).toEqual(greedy);
    });
    it.skipIf(rounds('q8_0'))('covers every type in that comparison', () => {
      expect(new Set(agreeing.map(([type]) => type)).size).toBe(7);
    });
    it('knows the ids that end a text from the header', async () => {
      expect((await load('q4_0')).stopTokens).toEqual([304, 305, 306]);
    });
  });
}

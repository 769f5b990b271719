/**
 * The models in fixtures/golden, whose ids and logits are float64 mathematics written apart from the engine.
 * Bound for logits: the manifests', which derive it from the same forward with every operation rounded to f32.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { llama2c, readTokenizerBin } from '@weightspec/llama2c';
import { createScoreBpeTokenizer } from '@weightspec/tokenizers';
import { generate, loadModel, logits, type GenerateOptions, type LoadedModel } from '../index.js';

interface Expected {
  readonly prompts: readonly { readonly tokens: readonly number[]; readonly greedyIds: readonly number[]; readonly text?: string; readonly prompt?: string; readonly firstLogitsRow: number }[];
  readonly logits: { readonly shape: readonly [rows: number, vocabSize: number] };
}

const file = (name: string): Buffer => readFileSync(new URL(`../../../../fixtures/golden/${name}`, import.meta.url));
const expectedOf = (model: string): Expected => JSON.parse(file(`${model}/expected.json`).toString());
const toleranceOf = (model: string): number => {
  const manifest: { readonly tolerance: { readonly absolute: number } } = JSON.parse(file(`${model}/manifest.json`).toString());
  return manifest.tolerance.absolute;
};

async function idsOf(model: LoadedModel, options: GenerateOptions): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of generate(model, options)) ids.push(id);
  return ids;
}

export function ownGoldens(backend: Backend): void {
  async function load(name: string): Promise<LoadedModel> {
    const { checkpoint, diagnostics } = await llama2c.read(memorySource(file(`${name}/model.bin`)));
    if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
    return loadModel(checkpoint, { backend });
  }
  describe(`${backend.id}: the goldens of this project`, () => {
    it.each(['recite', 'tiny-shared'])('%s: logits of every row, and greedy ids', async (name) => {
      const { prompts, logits: { shape: [, vocabSize] } } = expectedOf(name);
      const golden = file(`${name}/logits.f64`);
      const tolerance = toleranceOf(name);
      const model = await load(name);
      expect(prompts.length).toBeGreaterThan(0);
      for (const { tokens, greedyIds, firstLogitsRow } of prompts) {
        const sequence = [...tokens, ...greedyIds.slice(0, -1)];
        const rows = await logits(model, sequence, { all: true });
        expect(rows.length).toBe(sequence.length * vocabSize);
        const worst = rows.reduce((max, value, i) => Math.max(max, Math.abs(value - golden.readDoubleLE(8 * (firstLogitsRow * vocabSize + i)))), 0);
        expect(worst).toBeLessThanOrEqual(tolerance);
        expect(await idsOf(model, { promptTokens: tokens, maxNewTokens: greedyIds.length })).toEqual(greedyIds);
      }
    });
    it('recite: the paragraph, through its tokenizer', async () => {
      const { tokenizer: vocabulary } = await readTokenizerBin(memorySource(file('recite/tokenizer.bin')));
      if (!vocabulary) throw new Error('no tokenizer');
      const tokenizer = createScoreBpeTokenizer(vocabulary);
      const model = await load('recite');
      for (const { prompt = '', tokens, text } of expectedOf('recite').prompts) {
        const promptTokens = tokenizer.encode(prompt, { bos: true });
        expect(promptTokens).toEqual(tokens);
        const ids = await idsOf(model, { promptTokens, stopTokens: [1] });
        expect(tokenizer.decode([...promptTokens, ...ids])).toBe(text);
      }
    });
  });
}

/**
 * The same models as PyTorch files: Meta's consolidated shards and Hugging Face's .bin, whole, sharded and with a storage shared by
 * the tied matrices. Goldens and bound as in models-goldens.ts.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend, Checkpoint } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { joinMetaShards, type BesideModel } from '@weightspec/models';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { generate, loadModel, logits } from '../index.js';

const models = sharedData('models');
const at = (path: string): string => `${models}/${path}`;
const json = (path: string): unknown => JSON.parse(readFileSync(at(path), 'utf8'));

async function read(path: string): Promise<Checkpoint> {
  const format = path.endsWith('.safetensors') ? safetensors : torchCheckpoint;
  const { checkpoint, diagnostics } = await format.read(memorySource(readFileSync(at(path)), path));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint;
}
const files = (pattern: string, count: number) => Array.from({ length: count }, (_, i) => pattern.replace('K', String(i + 1).padStart(5, '0')).replace('N', String(count).padStart(5, '0')));
async function merged(paths: readonly string[]): Promise<Checkpoint> {
  const shards = await Promise.all(paths.map(read));
  return { ...shards[0]!, tensors: shards.flatMap(({ tensors }) => tensors) };
}

const meta = (): BesideModel => ({ params: json('llama3-tiny/meta-1/params.json'), maxSeqLen: 128 });
const config = (path: string) => (): BesideModel => ({ config: json(path) });
const cases: readonly (readonly [folder: string, name: string, load: () => Promise<Checkpoint>, beside: () => BesideModel])[] = [
  ['llama3-tiny', 'consolidated.00.pth', () => read('llama3-tiny/meta-1/consolidated.00.pth'), meta],
  ['llama3-tiny', 'two consolidated shards', async () => joinMetaShards(await Promise.all([0, 1].map((i) => read(`llama3-tiny/meta-2/consolidated.0${i}.pth`)))), meta],
  ['qwen2-tiny', 'f16 .bin with a shared storage', () => read('qwen2-tiny/f16-bin-tied-shared-storage/pytorch_model.bin'), config('qwen2-tiny/f16-bin-tied-shared-storage/config.json')],
  ['qwen2-tiny', 'three bf16 .bin files', () => merged(files('qwen2-tiny/bf16-sharded-bin/pytorch_model-K-of-N.bin', 3)), config('qwen2-tiny/bf16-sharded-bin/config.json')],
  ['qwen1-tiny', 'four bf16 .bin files', () => merged(files('qwen1-tiny/bf16-sharded-bin/pytorch_model-K-of-N.bin', 4)), config('qwen1-tiny/bf16-sharded-bin/config.json')],
];
const llama2c = sharedData('llama2c');

export function torchGoldens(backend: Backend): void {
  describe.skipIf(!models).each(cases)(`${backend.id}: %s as %s`, (folder, _, load, beside) => {
    it('has the golden logits of all prompts within 1e-4, and the greedy ids', async () => {
      const golden = new Map((await read(`${folder}/golden_logits.safetensors`)).tensors.map(({ name, location: { source, offset, length } }) => [name, source.read(offset, length)]));
      const model = await loadModel(await load(), { backend, beside: beside() });
      const { cases: prompts } = json(`${folder}/golden.json`) as { cases: { prompt: number[]; greedy: number[] }[] };
      expect(prompts).toHaveLength(5);
      for (const [i, { prompt, greedy }] of prompts.entries()) {
        const expected = new Float32Array((await golden.get(`prompt${i}.logits`)!).slice().buffer);
        const rows = await logits(model, prompt, { all: true });
        expect(rows.length).toBe(expected.length);
        expect(rows.reduce((worst, value, k) => Math.max(worst, Math.abs(value - expected[k]!)), 0)).toBeLessThan(1e-4);
        const ids: number[] = [];
        for await (const { id } of generate(model, { promptTokens: prompt, maxNewTokens: greedy.length })) ids.push(id);
        expect(ids).toEqual(greedy);
      }
    });
  });

  describe.skipIf(!llama2c)(`${backend.id}: llama2.c’s training checkpoint`, () => {
    it('has the logits of the exported file that run.c computed', async () => {
      const { checkpoint } = await torchCheckpoint.read(memorySource(readFileSync(`${llama2c}/llama2xs_ckpt.pt`)));
      const tokens = (JSON.parse(readFileSync(`${llama2c}/golden/tokens.json`, 'utf8')) as Record<string, number[]>)['llama2xs.v0 greedy 256']!.slice(0, 256);
      const bytes = readFileSync(`${llama2c}/golden/llama2xs.v0.logits256x512.f32`);
      const rows = await logits(await loadModel(checkpoint!, { backend }), tokens, { all: true });
      expect(rows.length * 4).toBe(bytes.length);
      expect(rows.reduce((worst, value, i) => Math.max(worst, Math.abs(value - bytes.readFloatLE(4 * i))), 0)).toBeLessThan(1e-4);
    });
  });
}

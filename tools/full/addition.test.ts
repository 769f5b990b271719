/** All 10,000 sums of the model that adds, against the accuracies that its training measured with other software; and some sums on WebGPU in every format. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Backend, Checkpoint } from '@weightspec/core';
import { loadModel } from '@weightspec/engine';
import { memorySink, memorySource } from '@weightspec/io';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import { llama2c } from '@weightspec/llama2c';
import { planConversion, runConversion } from '@weightspec/convert';
import { safetensors } from '@weightspec/safetensors';
import { afterAll, describe, expect, it } from 'vitest';
import { additionPieces, sumOf } from '../golden/addition.js';
import { variants, wrongSums } from '../train/addition-variants.js';
import { webGpuOr } from './swiftshader.js';

const bytesOf = (name: string): Buffer => readFileSync(fileURLToPath(new URL(`../../fixtures/golden/addition/${name}`, import.meta.url)));
const { accuracy } = JSON.parse(bytesOf('manifest.json').toString()) as { accuracy: Record<string, { rightOfAll: number }> };
const beside = { config: JSON.parse(bytesOf('config.json').toString()) as unknown };

/** The fastest that opens here. */
async function fastestBackend(): Promise<Backend> {
  for (const open of [async () => (await import('@weightspec/backend-native')).openBackend({ threads: 1 }), async () => (await import('@weightspec/backend-wasm')).openBackend({ threads: 1 })]) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
    }
  }
  return referenceBackend;
}

const trained = async (): Promise<Checkpoint> => (await safetensors.read(memorySource(bytesOf('model.safetensors')))).checkpoint!;

async function asInt8(): Promise<Checkpoint> {
  const sink = memorySink();
  const plan = await planConversion({ checkpoint: await trained(), beside }, 'llama2c-v2', { groupSize: 64 });
  await runConversion(plan, { open: async () => sink, commit: async () => undefined, abort: async () => undefined });
  return (await llama2c.read(memorySource(sink.bytes()))).checkpoint!;
}

it.each([['f32', trained, { beside }], ['int8, group size 64', asInt8, {}]] as const)('%s: as many sums are right as the manifest says', async (storage, open, options) => {
  const model = await loadModel(await open(), { ...options, backend: await fastestBackend() });
  const { executable } = model;
  const pieces = additionPieces();
  let right = 0;
  for (let pair = 0; pair < 10_000; pair++) {
    const { tokens, rightIds } = sumOf(pieces, Math.floor(pair / 100), pair % 100);
    // Greedy decoding says the right answer exactly where each of its tokens is the likeliest after those before it.
    let position = tokens.length;
    let logits = await executable.run(tokens, 0);
    let good = true;
    for (const id of rightIds) {
      good = logits.indexOf(Math.max(...logits)) === id;
      if (!good || id === rightIds.at(-1)) break;
      logits = await executable.run([id], position++);
    }
    if (good) right++;
  }
  await model.dispose();
  // Other orders of summation may turn a sum or two that hang in the balance.
  expect(Math.abs(right - accuracy[storage]!.rightOfAll)).toBeLessThanOrEqual(5);
  expect(right).toBeGreaterThan(9900);
}, 400_000);

const webGpu = await webGpuOr();
/** SwiftShader takes about a tenth of a second a token. */
const SUMS = 4;

describe.skipIf(typeof webGpu === 'string')('on WebGPU', () => {
  if (typeof webGpu === 'string') return;
  afterAll(() => webGpu.close());
  it.each(variants)(`$name: the first ${SUMS} sums are right`, async ({ open }) => {
    const { checkpoint, beside: config } = await open();
    const model = await loadModel(checkpoint, { backend: webGpu, ...(config ? { beside: config } : {}) });
    expect(await wrongSums(model, SUMS)).toEqual([]);
    await model.dispose();
  });
});

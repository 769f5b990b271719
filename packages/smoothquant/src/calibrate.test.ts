import { readFileSync } from 'node:fs';
import { loadModel } from '@weightspec/engine';
import { memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { describe, expect, it } from 'vitest';
import { calibrate, readStatistics, smoothQuant, smoothingGroups } from './index.js';
import { llamaShapes, qwen1Shapes, tensorOf, tinyModel } from './testing/tiny-model.js';

const shape = { dim: 8, hidden: 12, kv: 4, vocab: 6, layers: 2 };
const qwen2 = { model_type: 'qwen2', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: 6, rms_norm_eps: 1e-6, max_position_embeddings: 64 };
const qwen1 = { model_type: 'qwen', hidden_size: 8, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2, kv_channels: 4, vocab_size: 6, layer_norm_epsilon: 1e-6, seq_length: 64 };

describe('calibrate', () => {
  it('gives what smoothing needs, for Qwen2 and the first Qwen', async () => {
    for (const [shapes, config] of [[llamaShapes(shape), qwen2], [qwen1Shapes({ ...shape, kv: 8 }), qwen1]] as const) {
      const { checkpoint } = tinyModel(shapes);
      const statistics = await calibrate(await loadModel(checkpoint, { beside: { config } }), [[1, 2, 3, 4, 5]]);
      const layers = smoothingGroups(checkpoint.tensors.map(({ name }) => name)).flatMap((group) => group.layers);
      expect([...statistics.keys()].toSorted()).toEqual(layers.toSorted());
      await expect(smoothQuant(checkpoint, statistics)).resolves.toBeDefined();
    }
  });
  it('sees every token of every sequence, across batches, and grows with more of them', async () => {
    const { checkpoint } = tinyModel(llamaShapes(shape));
    const model = await loadModel(checkpoint, { beside: { config: qwen2 } });
    const long = Array.from({ length: 40 }, (_, i) => (i * 7) % 6);
    const seen: number[] = [];
    const [one, both] = [await calibrate(model, [long], { progress: (done, total) => seen.push(done, total) }), await calibrate(model, [[5, 0, 1], long])];
    expect(seen).toEqual([32, 40, 40, 40]);
    for (const [layer, absmax] of one) absmax.forEach((value, j) => expect(both.get(layer)![j]).toBeGreaterThanOrEqual(value));
    const parts = [await calibrate(await loadModel(checkpoint, { beside: { config: qwen2 } }), [[5, 0, 1]]), one];
    for (const [layer, absmax] of both) expect([...absmax]).toEqual([...absmax].map((_, j) => Math.max(...parts.map((part) => part.get(layer)![j]!))));
  });
  it('keeps a NaN', async () => {
    const model = tinyModel(llamaShapes(shape));
    const checkpoint = { ...model.checkpoint, tensors: model.checkpoint.tensors.map((tensor) => (tensor.name === 'model.embed_tokens.weight' ? tensorOf(tensor.name, tensor.shape, model.values.get(tensor.name)!.map((value, i) => (i < 8 ? Number.NaN : value))) : tensor)) };
    const statistics = await calibrate(await loadModel(checkpoint, { beside: { config: qwen2 } }), [[0, 1, 2]]);
    expect(statistics.get('model.layers.0.self_attn.q_proj')!.every(Number.isNaN)).toBe(true);
  });
  it('gives the cache back when it fails', async () => {
    const model = await loadModel(tinyModel(llamaShapes(shape)).checkpoint, { beside: { config: qwen2 } });
    await expect(calibrate(model, [[99]])).rejects.toThrow(RangeError);
    await expect(calibrate(model, [[1]])).resolves.toBeDefined();
  });

  const folder = sharedData('smoothquant/golden.json') && sharedData('smoothquant');
  it.skipIf(!folder)('has the collection’s statistics, within one step of f16', async () => {
    const read = async (name: string) => (await safetensors.read(memorySource(readFileSync(`${folder}/${name}`)))).checkpoint!;
    const { calibration_prompts: prompts } = JSON.parse(readFileSync(`${folder}/golden.json`, 'utf8')) as { calibration_prompts: number[][] };
    const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as unknown;
    const own = await calibrate(await loadModel(await read('original_f32.safetensors'), { beside: { config } }), prompts);
    const theirs = await readStatistics(await read('act_absmax_f16.safetensors'));
    expect([...own.keys()].toSorted()).toEqual([...theirs.keys()].toSorted());
    for (const [layer, absmax] of theirs) {
      // Half a step by rounding to f16, and 1e-6 by which two forwards in f32 differ.
      own.get(layer)!.forEach((value, j) => expect(Math.abs(value / absmax[j]! - 1)).toBeLessThan(2 ** -11 + 1e-5));
    }
  });
});

/** Sources that are not f32: what is written is what their values in f32 give. */
import { codecs } from '@weightspec/codecs';
import { findTensor, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { llama2cVariants, planLlama2c, writeLlama2c, type Llama2cVariant } from './index.js';

const shape = { dim: 64, hidden_dim: 96, n_layers: 1, n_heads: 4, n_kv_heads: 2, vocab_size: 32, max_seq_len: 8 };
const shapes: readonly (readonly [name: string, shape: readonly number[]])[] = [
  ['tok_embeddings.weight', [32, 64]], ['layers.0.attention_norm.weight', [64]], ['layers.0.attention.wq.weight', [64, 64]],
  ['layers.0.attention.wk.weight', [32, 64]], ['layers.0.attention.wv.weight', [32, 64]], ['layers.0.attention.wo.weight', [64, 64]],
  ['layers.0.ffn_norm.weight', [64]], ['layers.0.feed_forward.w1.weight', [96, 64]], ['layers.0.feed_forward.w2.weight', [64, 96]],
  ['layers.0.feed_forward.w3.weight', [96, 64]], ['norm.weight', [64]],
];

/** A model whose weights are stored as `type`, or as the f32 that this stores, at an odd offset. */
function model(type: 'f16' | 'bf16' | 'q8_0' | 'q4_1', asF32: boolean): Checkpoint {
  const tensors = shapes.map(([name, dimensions], t): TensorInfo => {
    const values = Float32Array.from({ length: dimensions.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 0.7 + t) * 0.1);
    const encoded = codecs[type].quantize(values);
    const stored = asF32 ? codecs.f32.quantize(codecs[type].dequantize(encoded)) : encoded;
    return { name, dtype: (asF32 ? codecs.f32 : codecs[type]).dtype, shape: dimensions, location: { source: memorySource(Buffer.concat([Buffer.alloc(3), stored]), name), offset: 3, length: stored.length } };
  });
  return { format: 'test', variant: 'test', metadata: { ...shape, shared_classifier: true }, tensors };
}
async function written(checkpoint: Checkpoint, variant: Llama2cVariant): Promise<Uint8Array> {
  const sink = memorySink();
  await writeLlama2c(checkpoint, sink, { variant });
  return sink.bytes();
}

describe('writeLlama2c', () => {
  it.each(['f16', 'bf16', 'q8_0', 'q4_1'] as const)('writes from %s what it writes from the same values in f32, in every variant', async (type) => {
    for (const variant of llama2cVariants) expect(Buffer.compare(await written(model(type, false), variant), await written(model(type, true), variant)), `as ${variant}`).toBe(0);
  });
  it('says beforehand how long the file will be', async () => {
    for (const variant of llama2cVariants.filter((name) => name !== 'v1-experimental')) {
      expect(planLlama2c(model('f16', false), { variant }).byteLength, `as ${variant}`).toBe((await written(model('f16', false), variant)).length);
    }
  });
  it('refuses integers and views with strides (LLAMA2C_WRITE_TENSOR)', async () => {
    const good = model('f16', false);
    const norm = findTensor(good, 'norm.weight');
    for (const bad of [{ ...norm, dtype: { name: 'I16', blockSize: 1, bytesPerBlock: 2 } }, { ...norm, strides: [2] }]) {
      await expect(written({ ...good, tensors: good.tensors.map((tensor) => (tensor === norm ? bad : tensor)) }, 'v0')).rejects.toThrow(/LLAMA2C_WRITE_TENSOR: norm.weight is/);
    }
  });
});

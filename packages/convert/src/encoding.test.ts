/** Encoding elsewhere gives the bytes of encoding here, in every target that uses it, whatever the order in which chunks are done. */
import { codecs } from '@weightspec/codecs';
import { DiagnosticError, dtype, elementCount, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { memoryOutputs, onlyFileOf } from './testing/memory-outputs.js';
import { encodeChunk, planConversion, runConversion, type ConvertInput, type ConvertOptions, type Encoder, type Target } from './index.js';

const config = { model_type: 'llama', hidden_size: 96, intermediate_size: 160, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 4, vocab_size: 1500, rms_norm_eps: 1e-5, max_position_embeddings: 16, tie_word_embeddings: true };
const layer = { 'self_attn.q_proj': [96, 96], 'self_attn.k_proj': [96, 96], 'self_attn.v_proj': [96, 96], 'self_attn.o_proj': [96, 96], 'mlp.gate_proj': [160, 96], 'mlp.up_proj': [160, 96], 'mlp.down_proj': [96, 160], input_layernorm: [96], post_attention_layernorm: [96] };
const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [1500, 96]], ['model.norm.weight', [96]], ...[0, 1].flatMap((n) => Object.entries(layer).map(([name, shape]) => [`model.layers.${n}.${name}.weight`, shape] as const))]);

const weights = new Map([...shapes].map(([name, shape], t) => [name, Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i * i * 0.013 + t))]));

/** The embedding takes three chunks of 2^16 elements. */
function model(type: 'f32' | 'bf16' | 'q8_0', change: (values: Float32Array) => void = () => undefined): ConvertInput {
  const tensors = [...shapes].map(([name, shape]): TensorInfo => {
    const values = weights.get(name)!.slice();
    if (name === 'model.embed_tokens.weight') change(values);
    const codec = shape.length === 1 ? codecs.f32 : codecs[type];
    const bytes = codec.quantize(values);
    return { name, dtype: codec.dtype, shape, location: { source: memorySource(bytes, 'model'), offset: 0, length: bytes.length } };
  });
  return { checkpoint: { format: 'safetensors', variant: 'test', metadata: {}, tensors }, beside: { config } };
}
/** Finishes later requests first, and counts them. */
function scramblingEncoder(): Encoder & { readonly requests: () => number; readonly most: () => number } {
  let requests = 0;
  let underWay = 0;
  let most = 0;
  return {
    parallel: 3,
    async encode(request) {
      requests += 1;
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, (97 - requests) % 7));
      underWay -= 1;
      return encodeChunk(request);
    },
    requests: () => requests,
    most: () => most,
  };
}
async function written(input: ConvertInput, target: Target, options: ConvertOptions): Promise<Uint8Array> {
  const plan = await planConversion(input, target, { allowLoss: true, tokenIds: { eos: 1, pad: 1, imStart: 2, imEnd: 3 }, ...options });
  const outputs = memoryOutputs();
  await runConversion(plan, outputs);
  return onlyFileOf(outputs);
}

describe('an encoder', () => {
  it.each<readonly [Target, ConvertOptions]>([
    ['llama2c-v2', {}], ['llama2c-v1-int8', {}], ['llama2c-v2', { groupSize: 4 }], ['ggml-qwen', { dtype: dtype('Q4_0') }], ['ggml-qwen', { dtype: dtype('Q8_0'), rounding: 'torch' }], ['ggml-qwen', { dtype: dtype('F16') }],
  ])('gives for %s the bytes that come without it', async (target, options) => {
    for (const type of ['f32', 'bf16', 'q8_0'] as const) {
      const encoder = scramblingEncoder();
      const ours = await written(model(type), target, { ...options, encoder });
      expect(Buffer.compare(ours, await written(model(type), target, options))).toBe(0);
      const copied = type === 'q8_0' && options.dtype?.name === 'Q8_0';
      expect(encoder.requests() > 0).toBe(!copied);
    }
  });
  it('has several chunks of a tensor under way, and quantizes once where scales lie behind each tensor', async () => {
    const [once, twice] = [scramblingEncoder(), scramblingEncoder()];
    await written(model('f32'), 'llama2c-v2', { encoder: once });
    await written(model('f32'), 'llama2c-v1-int8', { encoder: twice });
    // Three chunks of the embedding, fourteen matrices of one chunk.
    expect(once.requests()).toBe(17);
    expect(twice.requests()).toBe(2 * 17 - 1); // the last tensor's scales are still there
    expect(once.most()).toBe(3);
  });
  it('passes findings on, with the element that they are about (CODEC_NON_FINITE_INPUT)', async () => {
    const damaged = () => model('f32', (values) => void (values[130_000] = Number.NaN));
    for (const target of ['llama2c-v2', 'ggml-qwen'] as const) {
      const failed = written(damaged(), target, { dtype: target === 'ggml-qwen' ? dtype('Q4_0') : undefined, encoder: scramblingEncoder() });
      await expect(failed).rejects.toThrow(DiagnosticError);
      await expect(failed).rejects.toThrow(/CODEC_NON_FINITE_INPUT: \S+: element 130000 is NaN/);
    }
  });
});

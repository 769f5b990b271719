/** What is refused, assumed or lost, each by its code, on models made here; and names and forms that sources come in. */
import { codecs } from '@weightspec/codecs';
import { dtype, elementCount, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { llama2c } from '@weightspec/llama2c';
import { describe, expect, it } from 'vitest';
import { memoryOutputs, onlyFileOf } from './testing/memory-outputs.js';
import { convertCodes, planConversion, runConversion, type ConvertInput, type ConvertOptions, type Target } from './index.js';

const config = { model_type: 'llama', hidden_size: 64, intermediate_size: 96, num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 4, vocab_size: 40, rms_norm_eps: 1e-5, max_position_embeddings: 16, tie_word_embeddings: true };
type Shapes = Readonly<Record<string, readonly number[]>>;
const shapes: Shapes = {
  'tok_embeddings.weight': [40, 64], 'layers.0.attention_norm.weight': [64], 'layers.0.attention.wq.weight': [64, 64], 'layers.0.attention.wk.weight': [64, 64],
  'layers.0.attention.wv.weight': [64, 64], 'layers.0.attention.wo.weight': [64, 64], 'layers.0.ffn_norm.weight': [64], 'layers.0.feed_forward.w1.weight': [96, 64],
  'layers.0.feed_forward.w2.weight': [64, 96], 'layers.0.feed_forward.w3.weight': [96, 64], 'norm.weight': [64],
};
const tensorOf = (name: string, shape: readonly number[], type = 'F32'): TensorInfo => {
  const bytes = codecs.f32.quantize(Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.cos(i + shape[0]! + name.length)));
  const own = dtype(type);
  return { name, dtype: own, shape, location: { source: memorySource(bytes, 'model'), offset: 0, length: elementCount(shape) * own.bytesPerBlock } };
};
/** Under Meta's names, with a config.json. */
function model(changes: { readonly config?: object; readonly shapes?: Shapes; readonly types?: Readonly<Record<string, string>>; readonly prefix?: string } = {}): ConvertInput {
  const tensors = Object.entries({ ...shapes, ...changes.shapes }).map(([name, shape]) => ({ ...tensorOf(name, shape, changes.types?.[name]), name: `${changes.prefix ?? ''}${name}` }));
  return { checkpoint: { format: 'safetensors', variant: 'test', metadata: {}, tensors }, beside: { config: { ...config, ...changes.config } } };
}
const codesOf = async (input: ConvertInput, target: Target, options?: ConvertOptions): Promise<string[]> => (await planConversion(input, target, options)).diagnostics.map(({ code, severity }) => `${severity} ${code}`);
const ids = { tokenIds: { eos: 1, pad: 1, imStart: 2, imEnd: 3 } };
async function v0(input: ConvertInput): Promise<Uint8Array> {
  const plan = await planConversion(input, 'llama2c-v0');
  expect(plan.files).toHaveLength(1);
  const outputs = memoryOutputs();
  await runConversion(plan, outputs);
  return onlyFileOf(outputs);
}

const wide = { 'layers.0.attention.wq.weight': [128, 64], 'layers.0.attention.wk.weight': [128, 64], 'layers.0.attention.wv.weight': [128, 64], 'layers.0.attention.wo.weight': [64, 128] };
const few = { 'layers.0.attention.wk.weight': [32, 64], 'layers.0.attention.wv.weight': [32, 64] };
const biases = { 'layers.0.attention.wq.bias': [64], 'layers.0.attention.wk.bias': [64], 'layers.0.attention.wv.bias': [64] };
const head = { 'output.weight': [40, 64] };

interface Refusal {
  readonly code: string;
  readonly input: () => ConvertInput;
  readonly target: Target;
  readonly options?: ConvertOptions;
}
const refused: readonly Refusal[] = [
  { code: 'CONVERT_LOSS_ROPE_THETA', input: () => model({ config: { rope_theta: 5e5 } }), target: 'llama2c-v0' },
  { code: 'CONVERT_LOSS_ROPE_THETA', input: () => model({ config: { rope_theta: 5e5, rms_norm_eps: 1e-6 } }), target: 'ggml-qwen', options: ids },
  { code: 'CONVERT_LOSS_NORM_EPS', input: () => model({ config: { rms_norm_eps: 1e-6 } }), target: 'llama2c-v2' },
  { code: 'CONVERT_LOSS_NORM_EPS', input: () => model(), target: 'ggml-qwen', options: ids },
  { code: 'CONVERT_LOSS_TOKEN_IDS', input: () => model({ config: { bos_token_id: 128000 } }), target: 'llama2c-v0' },
  { code: 'CONVERT_LOSS_TOKEN_IDS', input: () => model({ config: { eos_token_id: [2, 7] } }), target: 'llama2c-v0' },
  { code: 'CONVERT_LOSS_BIAS', input: () => model({ config: { model_type: 'qwen2' }, shapes: biases }), target: 'llama2c-v0' },
  { code: 'CONVERT_LOSS_CLASSIFIER', input: () => model({ config: { tie_word_embeddings: false }, shapes: head }), target: 'llama2c-v1-int8' },
  { code: 'CONVERT_LOSS_TENSORS', input: () => model({ shapes: { 'layers.0.adapter.weight': [64] } }), target: 'llama2c-v0' },
  { code: 'CONVERT_LOSS_TENSORS', input: () => model({ shapes: { 'layers.0.adapter.weight': [64] } }), target: 'safetensors' },
  { code: 'CONVERT_GROUPED_QUERIES', input: () => model({ config: { num_key_value_heads: 2, rms_norm_eps: 1e-6 }, shapes: few }), target: 'ggml-qwen', options: ids },
  { code: 'CONVERT_GROUPED_QUERIES', input: () => model({ config: { num_key_value_heads: 2 }, shapes: few }), target: 'safetensors', options: { names: 'qwen1' } },
  { code: 'CONVERT_HEAD_SIZE', input: () => model({ config: { head_dim: 32 }, shapes: wide }), target: 'llama2c-v0' },
  { code: 'CONVERT_HEAD_SIZE', input: () => model({ config: { head_dim: 32, rms_norm_eps: 1e-6 }, shapes: wide }), target: 'ggml-qwen', options: ids },
  { code: 'CONVERT_TOKEN_IDS_UNKNOWN', input: () => model({ config: { rms_norm_eps: 1e-6 } }), target: 'ggml-qwen' },
  { code: 'CONVERT_NO_CODEC', input: () => model({ types: { 'layers.0.feed_forward.w1.weight': 'F8_E4M3' } }), target: 'llama2c-v0' },
  { code: 'CONVERT_NO_CODEC', input: () => model({ config: { rms_norm_eps: 1e-6 }, types: { 'norm.weight': 'I16' } }), target: 'ggml-qwen', options: ids },
  { code: 'CONVERT_NO_PLACE', input: () => model({ config: { rms_norm_eps: 1e-6 } }), target: 'ggml-qwen', options: { ...ids, dtype: dtype('BF16') } },
  { code: 'CONVERT_NO_PLACE', input: () => model(), target: 'torch', options: { dtype: dtype('Q8_0') } },
];

describe('a conversion', () => {
  it.each(refused)('to $target is refused with $code, and goes on after a loss that is allowed', async ({ code, input, target, options }) => {
    const plan = await planConversion(input(), target, options);
    expect(plan.files).toEqual([]);
    expect(plan.diagnostics.filter(({ severity }) => severity === 'error').map((diagnostic) => diagnostic.code)).toEqual([code]);
    const loose = await planConversion(input(), target, { ...options, allowLoss: true });
    const isLoss = code.startsWith('CONVERT_LOSS_');
    expect(loose.files.length > 0).toBe(isLoss);
    expect(loose.diagnostics.find((diagnostic) => diagnostic.code === code)!.severity).toBe(isLoss ? 'warning' : 'error');
  });
  it('is not refused where nothing of this is so: the same model in every target', async () => {
    for (const target of ['llama2c-v0', 'llama2c-v1-fp32', 'llama2c-v1-int8', 'llama2c-v2', 'safetensors', 'torch'] as const) expect(await codesOf(model({ config: { bos_token_id: 1, eos_token_id: 2 } }), target)).toEqual([]);
    expect(await codesOf(model({ config: { rms_norm_eps: 1e-6 } }), 'ggml-qwen', ids)).toEqual(['info CONVERT_ZERO_BIAS']);
  });
  it('refuses a model that is not whole, and what nobody describes (MODEL_WEIGHTS, MODEL_UNKNOWN_FORMAT)', async () => {
    await expect(planConversion(model({ shapes: { 'norm.weight': [63] } }), 'llama2c-v0')).rejects.toThrow(/MODEL_WEIGHTS: norm.weight is \[63\], not \[64\]/);
    await expect(planConversion({ checkpoint: model().checkpoint }, 'llama2c-v0')).rejects.toThrow(/MODEL_UNKNOWN_FORMAT/);
  });
  it('has every code tried here or in convert.test.ts', () => {
    const elsewhere = ['CONVERT_REQUANTIZED', 'CONVERT_POSITIONS_ASSUMED', 'CONVERT_ZERO_BIAS'];
    expect(new Set([...refused.map(({ code }) => code), ...elsewhere])).toEqual(new Set(Object.keys(convertCodes)));
  });
});

describe('a source', () => {
  it('may carry torch.compile’s prefix', async () => {
    expect(Buffer.compare(await v0(model({ prefix: '_orig_mod.' })), await v0(model()))).toBe(0);
  });
  it('may have transposed views, which are written as what they show', async () => {
    const plain = model();
    const name = 'layers.0.feed_forward.w2.weight';
    const turned = plain.checkpoint.tensors.map((tensor) => {
      if (tensor.name !== name) return tensor;
      const stored = codecs.f32.dequantize(codecs.f32.quantize(Float32Array.from({ length: 64 * 96 }, (_, i) => Math.cos(i + 64 + name.length))));
      const columnMajor = codecs.f32.quantize(stored.map((_, i) => stored[(i % 64) * 96 + Math.floor(i / 64)]!));
      return { ...tensor, strides: [1, 64], location: { source: memorySource(columnMajor, 'view'), offset: 0, length: columnMajor.length } };
    });
    expect(Buffer.compare(await v0({ ...plain, checkpoint: { ...plain.checkpoint, tensors: turned } }), await v0(plain))).toBe(0);
  });
  it('has its classifier shared when it equals the embedding, whatever its configuration says', async () => {
    const input = model({ config: { tie_word_embeddings: false } });
    const tensors = [...input.checkpoint.tensors, { ...input.checkpoint.tensors[0]!, name: 'output.weight' }];
    const { checkpoint } = await llama2c.read(memorySource(await v0({ ...input, checkpoint: { ...input.checkpoint, tensors } })));
    expect(checkpoint!.metadata.shared_classifier).toBe(true);
    const apart = await llama2c.read(memorySource(await v0(model({ config: { tie_word_embeddings: false }, shapes: head }))));
    expect(apart.checkpoint!.metadata.shared_classifier).toBe(false);
  });
});

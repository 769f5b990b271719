/** Conversions whose bytes other software has written, and round trips that must lose nothing. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { codecs } from '@weightspec/codecs';
import { dtype, findTensor, readTensor, type ByteSource, type Checkpoint, type Format, type TensorInfo } from '@weightspec/core';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { memorySink, memorySource } from '@weightspec/io';
import { llama2c } from '@weightspec/llama2c';
import { hfRowOf, joinMetaShards, type BesideModel } from '@weightspec/models';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { describe, expect, it } from 'vitest';
import { memoryOutputs } from './testing/memory-outputs.js';
import { planConversion, runConversion, type ConversionOutputs, type ConvertInput, type ConvertOptions, type Target } from './index.js';

const data = (path: string): string => sharedData(path) ?? '';
const bytesOf = (path: string): Uint8Array => readFileSync(data(path));
const jsonAt = (path: string): unknown => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function read(format: Format, source: ByteSource): Promise<Checkpoint> {
  const { checkpoint, diagnostics } = await format.read(source);
  if (!checkpoint) throw new Error(diagnostics.map(({ code, message }) => `${code}: ${message}`).join('; '));
  return checkpoint;
}
const formatOf = (path: string): Format => (path.endsWith('.safetensors') ? safetensors : /\.(pth|pt)$|pytorch_model/.test(path) ? torchCheckpoint : path.includes('ggml-qwen') ? ggmlQwen : llama2c);
const opened = async (path: string): Promise<Checkpoint> => read(formatOf(path), memorySource(readFileSync(path), path));

/** A file, or a folder of Hugging Face's or Meta's, as a command line would open it. */
async function inputAt(relative: string): Promise<ConvertInput> {
  const path = data(relative);
  if (/\.\w+$/.test(relative)) return { checkpoint: await opened(path) };
  const beside: BesideModel = { config: jsonAt(`${path}/config.json`), params: jsonAt(`${path}/params.json`) };
  const shards: Checkpoint[] = [];
  for (const name of readdirSync(path).filter((file) => /\.(safetensors|bin|pth)$/.test(file)).toSorted()) shards.push(await opened(`${path}/${name}`));
  const [first] = shards;
  const joined = relative.includes('meta') ? joinMetaShards(shards) : { ...first!, tensors: shards.flatMap(({ tensors }) => tensors) };
  return { checkpoint: joined, beside };
}

interface Written {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** In the order in which they were opened. */
  readonly names: readonly string[];
  readonly codes: readonly string[];
}
async function converted(input: ConvertInput, target: Target, options: ConvertOptions = {}): Promise<Written> {
  const plan = await planConversion(input, target, options);
  const outputs = memoryOutputs();
  await runConversion(plan, outputs);
  return { files: outputs.files, names: [...outputs.files.keys()], codes: plan.diagnostics.map(({ code, severity }) => `${severity} ${code}`) };
}
const onlyFile = ({ files }: Written): Uint8Array => {
  const weights = [...files].filter(([name]) => !name.endsWith('.json'));
  expect(weights).toHaveLength(1);
  return weights[0]![1];
};
const same = (actual: Uint8Array, expected: Uint8Array): boolean => Buffer.compare(actual, expected) === 0;
/** What a conversion wrote, as a source again. */
async function reopened({ files }: Written, format: Format): Promise<ConvertInput> {
  const checkpoints: Checkpoint[] = [];
  for (const [name, bytes] of files) if (!name.endsWith('.json')) checkpoints.push(await read(format, memorySource(bytes, name)));
  const json = (name: string): unknown => (files.has(name) ? JSON.parse(Buffer.from(files.get(name)!).toString('utf8')) : undefined);
  return { checkpoint: { ...checkpoints[0]!, tensors: checkpoints.flatMap(({ tensors }) => tensors) }, beside: { config: json('config.json'), params: json('params.json') } };
}
const plainFloats = async (tensor: TensorInfo): Promise<Float32Array> => codecs[tensor.dtype.name.toLowerCase() as 'f32'].dequantize(await readTensor(tensor));
const floatsNamed = async ({ checkpoint }: ConvertInput, name: string): Promise<Float32Array> => plainFloats(findTensor(checkpoint, name));
const largest = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
};

const hasLlama2c = data('llama2c/stories260K.bin') !== '';
describe.skipIf(!hasLlama2c)('llama2.c to llama2.c', () => {
  it.each([['llama2c-v1-fp32', 'stories260K.v1_fp32.bin'], ['llama2c-v1-int8', 'stories260K.v1_int8_gs64.bin'], ['llama2c-v2', 'stories260K.v2_gs64.bin']] as const)('gives for %s the bytes of export.py', async (target, file) => {
    const { files, codes } = await converted(await inputAt('llama2c/stories260K.bin'), target, { compat: 'upstream' });
    expect(same(files.get('model.bin')!, bytesOf(`llama2c/${file}`))).toBe(true);
    expect(codes).toEqual(target === 'llama2c-v1-fp32' ? [] : ['warning LLAMA2C_GROUPS_RAGGED']);
  });
  it('copies int8 values where groups stay as they are, and says when they are quantized again (CONVERT_REQUANTIZED)', async () => {
    const int8 = await inputAt('llama2c/stories260K.v1_int8_gs64.bin');
    const kept = await converted(int8, 'llama2c-v2', { compat: 'upstream' });
    expect(same(kept.files.get('model.bin')!, bytesOf('llama2c/stories260K.v2_gs64.bin'))).toBe(true);
    expect(kept.codes).toEqual(['warning LLAMA2C_GROUPS_RAGGED']);
    expect((await converted(int8, 'llama2c-v2')).codes).toEqual(['warning CONVERT_REQUANTIZED']);
  });
  it('keeps every byte of a v0 file, negative vocabulary and tables included', async () => {
    for (const file of ['stories260K.bin', 'stories260K.unshared.v0.bin']) {
      expect(same(onlyFile(await converted(await inputAt(`llama2c/${file}`), 'llama2c-v0')), bytesOf(`llama2c/${file}`))).toBe(true);
    }
  });
  it('refuses to drop an untied classifier, and does so when allowed (CONVERT_LOSS_CLASSIFIER)', async () => {
    const untied = await inputAt('llama2c/stories260K.unshared.v0.bin');
    const refused = await planConversion(untied, 'llama2c-v1-int8', { compat: 'upstream' });
    expect(refused.files).toEqual([]);
    expect(refused.diagnostics.map(({ code, severity }) => [code, severity])).toEqual([['CONVERT_LOSS_CLASSIFIER', 'error']]);
    const allowed = await converted(untied, 'llama2c-v1-int8', { compat: 'upstream', allowLoss: true });
    expect(allowed.codes[0]).toBe('warning CONVERT_LOSS_CLASSIFIER');
    expect(onlyFile(allowed).length).toBe(278608);
  });
});

describe.skipIf(!hasLlama2c)('llama2.c’s own checkpoint', () => {
  it('gives the v0 file that was exported from it; tables within 6e-8, as torch and the f32 chain differ', async () => {
    const ours = onlyFile(await converted(await inputAt('llama2c/llama2xs_ckpt.pt'), 'llama2c-v0'));
    const theirs = bytesOf('llama2c/llama2xs_model.bin');
    expect(ours.length).toBe(theirs.length);
    const { tensors } = await read(llama2c, memorySource(theirs));
    const start = findTensor({ format: '', variant: '', metadata: {}, tensors }, 'freqs_cos').location.offset;
    const sin = findTensor({ format: '', variant: '', metadata: {}, tensors }, 'freqs_sin').location;
    const end = sin.offset + sin.length;
    expect(same(ours.subarray(0, start), theirs.subarray(0, start))).toBe(true);
    expect(same(ours.subarray(end), theirs.subarray(end))).toBe(true);
    expect(largest(codecs.f32.dequantize(ours.subarray(start, end)), codecs.f32.dequantize(theirs.subarray(start, end)))).toBeLessThanOrEqual(6e-8);
  });
});

const hasModels = data('models/llama3-tiny/hf/config.json') !== '';
const loose: ConvertOptions = { allowLoss: true, maxSeqLen: 128 };

describe.skipIf(!hasModels)('Llama from Meta’s shards and from Hugging Face', () => {
  it('gives one v0 file whichever of the three it comes from', async () => {
    const fromHf = onlyFile(await converted(await inputAt('models/llama3-tiny/hf'), 'llama2c-v0', loose));
    for (const folder of ['meta-1', 'meta-2']) expect(same(onlyFile(await converted(await inputAt(`models/llama3-tiny/${folder}`), 'llama2c-v0', loose)), fromHf)).toBe(true);
    expect(new DataView(fromHf.buffer, fromHf.byteOffset).getInt32(20, true)).toBe(-512);
  });
  it('moves rows of q and k by the heads that each has, unlike upstream, which takes n_heads for both', async () => {
    const hf = await inputAt('models/llama3-tiny/hf');
    const ours = { checkpoint: await read(llama2c, memorySource(onlyFile(await converted(hf, 'llama2c-v0', loose)))) };
    for (const [meta, own] of [['layers.1.attention.wq.weight', 'model.layers.1.self_attn.q_proj.weight'], ['layers.1.attention.wk.weight', 'model.layers.1.self_attn.k_proj.weight']] as const) {
      const [moved, original] = [await floatsNamed(ours, meta), await floatsNamed(hf, own)];
      const rows = moved.length / 64;
      for (let row = 0; row < rows; row += 1) expect(moved.subarray(row * 64, (row + 1) * 64)).toEqual(original.subarray(hfRowOf(row, 16) * 64, (hfRowOf(row, 16) + 1) * 64));
    }
  });
  it('says what llama2.c cannot hold before writing, and writes nothing (CONVERT_LOSS_ROPE_THETA)', async () => {
    const plan = await planConversion(await inputAt('models/llama3-tiny/hf'), 'llama2c-v2');
    expect(plan.files).toEqual([]);
    expect(plan.diagnostics.map(({ code, severity }) => `${severity} ${code}`)).toEqual(['error CONVERT_LOSS_ROPE_THETA']);
    expect(plan.diagnostics[0]!.message).toContain('500000');
  });
  it('assumes 2048 positions for Meta’s shards, as the original converter writes, and says so (CONVERT_POSITIONS_ASSUMED)', async () => {
    const { files, codes } = await converted(await inputAt('models/llama3-tiny/meta-2'), 'llama2c-v0', { allowLoss: true });
    expect(codes).toEqual(['warning CONVERT_LOSS_ROPE_THETA', 'info CONVERT_POSITIONS_ASSUMED']);
    expect(new DataView(files.get('model.bin')!.buffer).getInt32(24, true)).toBe(2048);
  });
  it('gives Hugging Face’s own file from Meta’s shards', async () => {
    const { files } = await converted(await inputAt('models/llama3-tiny/meta-2'), 'safetensors');
    expect(same(files.get('model.safetensors')!, bytesOf('models/llama3-tiny/hf/model.safetensors'))).toBe(true);
    expect(JSON.parse(Buffer.from(files.get('config.json')!).toString())).toMatchObject({ model_type: 'llama', hidden_size: 64, intermediate_size: 224, num_key_value_heads: 2, rope_theta: 500000, rms_norm_eps: 1e-5, tie_word_embeddings: false, torch_dtype: 'bfloat16' });
  });
  it('comes back from llama2.c exactly: v0, v1-fp32, by way of safetensors and torch', async () => {
    const original = bytesOf('models/llama3-tiny/hf/model.safetensors');
    for (const target of ['llama2c-v0', 'llama2c-v1-fp32'] as const) {
      const there = await converted(await inputAt('models/llama3-tiny/hf'), target, loose);
      const input = { checkpoint: await read(llama2c, memorySource(onlyFile(there), 'there.bin')) };
      expect(same((await converted(input, 'safetensors', { dtype: dtype('BF16') })).files.get('model.safetensors')!, original)).toBe(true);
      const torch = await reopened(await converted(input, 'torch', { dtype: dtype('BF16') }), torchCheckpoint);
      expect(same((await converted(torch, 'safetensors')).files.get('model.safetensors')!, original)).toBe(true);
    }
  });
  it('takes Meta’s names for safetensors when asked, with params.json, and comes back', async () => {
    const meta = await converted(await inputAt('models/llama3-tiny/hf'), 'safetensors', { names: 'meta' });
    const input = await reopened(meta, safetensors);
    expect(input.checkpoint.tensors.map(({ name }) => name)).toContain('layers.0.feed_forward.w3.weight');
    expect(input.beside!.params).toMatchObject({ dim: 64, n_kv_heads: 2, rope_theta: 500000 });
    expect(same((await converted(input, 'safetensors')).files.get('model.safetensors')!, bytesOf('models/llama3-tiny/hf/model.safetensors'))).toBe(true);
  });
});

describe.skipIf(!hasModels)('any to safetensors and torch', () => {
  it('splits as transformers does: shards, their names and their bytes', async () => {
    const folder = data('models/qwen2-tiny/bf16-sharded-safetensors');
    const { files, names } = await converted(await inputAt('models/qwen2-tiny/bf16'), 'safetensors', { shardBytes: 90_000 });
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.safetensors'))) expect(same(files.get(name)!, readFileSync(`${folder}/${name}`)), `in ${name}`).toBe(true);
    // transformers 5 counts parameters too; without that line the indexes are the same text.
    const theirs = readFileSync(`${folder}/model.safetensors.index.json`, 'utf8').replace(/\s*"total_parameters": \d+,/, '');
    expect(Buffer.from(files.get('model.safetensors.index.json')!).toString()).toBe(theirs);
    expect(names.at(-1)).toBe('model.safetensors.index.json');
  });
  it.each(['bf16-sharded-bin', 'bf16-sharded-safetensors', 'f16-bin-tied-shared-storage'])('gives the one safetensors file that %s was split or saved from', async (folder) => {
    const { files } = await converted(await inputAt(`models/qwen2-tiny/${folder}`), 'safetensors');
    expect(same(files.get('model.safetensors')!, bytesOf(`models/qwen2-tiny/${folder.slice(0, folder.indexOf('-'))}/model.safetensors`))).toBe(true);
  });
  it('changes the type of all floats, with config.json saying so', async () => {
    for (const [from, to, name] of [['bf16', 'f32', 'float32'], ['f16', 'f32', 'float32'], ['f32', 'bf16', 'bfloat16'], ['bf16', 'f16', 'float16']] as const) {
      const { files } = await converted(await inputAt(`models/qwen2-tiny/${from}`), 'safetensors', { dtype: dtype(to) });
      expect(same(files.get('model.safetensors')!, bytesOf(`models/qwen2-tiny/${to}/model.safetensors`)), `${from} to ${to}`).toBe(true);
      expect(JSON.parse(Buffer.from(files.get('config.json')!).toString())).toEqual({ ...(jsonAt(data('models/qwen2-tiny/f32/config.json')) as object), torch_dtype: name });
    }
  });
  it('copies tensors of a model that it does not know, integers too, and refuses types that no file holds (CONVERT_NO_PLACE)', async () => {
    const values = Uint8Array.of(1, 2, 3, 4);
    const checkpoint: Checkpoint = { format: 'test', variant: 'test', metadata: {}, tensors: [{ name: 'codes', dtype: dtype('I8'), shape: [2, 2], location: { source: memorySource(values), offset: 0, length: 4 } }] };
    for (const target of ['safetensors', 'torch'] as const) {
      const input = await reopened(await converted({ checkpoint }, target), target === 'torch' ? torchCheckpoint : safetensors);
      expect(input.checkpoint.tensors.map(({ name, dtype: type, shape }) => [name, type.name, shape])).toEqual([['codes', 'I8', [2, 2]]]);
      expect(await readTensor(input.checkpoint.tensors[0]!)).toEqual(values);
      expect((await planConversion({ checkpoint }, target, { dtype: dtype('Q4_0') })).diagnostics.map(({ code }) => code)).toEqual(['CONVERT_NO_PLACE']);
    }
  });
});

const tinyTypes = ['f32', 'f16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'] as const;
describe.skipIf(data('ggml-qwen/tiny-f32.bin') === '')('Qwen-1 to qwen.cpp’s container', () => {
  const tiny = () => jsonAt(data('ggml-qwen/tiny.json')) as { config: Record<string, number>; files: Record<string, { sha256: string }> };
  const ids = { eos: 304, pad: 304, imStart: 305, imEnd: 306 };

  /** The model of tiny.json as QwenLM published theirs: QWenLMHeadModel's names and configuration, one file or three. */
  async function published(): Promise<ConvertInput> {
    const { checkpoint } = await inputAt('ggml-qwen/tiny-f32.bin');
    const config = { model_type: 'qwen', hidden_size: 64, intermediate_size: 256, num_hidden_layers: 2, num_attention_heads: 4, kv_channels: 16, vocab_size: 512, layer_norm_epsilon: 1e-6, rotary_emb_base: 10000, seq_length: 256, no_bias: true };
    return { checkpoint: { ...checkpoint, format: 'safetensors', metadata: {} }, beside: { config } };
  }
  it.each(tinyTypes)('%s: the bytes of an independent writer, from the f32 container and from Hugging Face’s form', async (type) => {
    const options = { dtype: dtype(type) };
    expect(sha256(onlyFile(await converted(await inputAt('ggml-qwen/tiny-f32.bin'), 'ggml-qwen', options)))).toBe(tiny().files[type]!.sha256);
    expect(sha256(onlyFile(await converted(await published(), 'ggml-qwen', { ...options, tokenIds: ids })))).toBe(tiny().files[type]!.sha256);
  });
  it('finds the ids in generation_config.json and qwen.tiktoken, and asks for them where there are none (CONVERT_TOKEN_IDS_UNKNOWN)', async () => {
    const input = await published();
    const beside = { ...input.beside, generationConfig: { eos_token_id: 304, pad_token_id: 304 }, tiktokenRanks: 304 };
    expect(sha256(onlyFile(await converted({ ...input, beside }, 'ggml-qwen', { dtype: dtype('q8_0') })))).toBe(tiny().files.q8_0!.sha256);
    expect((await planConversion(input, 'ggml-qwen')).diagnostics.map(({ code }) => code)).toEqual(['CONVERT_TOKEN_IDS_UNKNOWN']);
  });
  it('rounds as the published converter when asked, which here differs in a few ties of q8_0', async () => {
    const write = async (rounding: 'ggml' | 'torch') => onlyFile(await converted(await published(), 'ggml-qwen', { dtype: dtype('q8_0'), rounding, tokenIds: ids }));
    const [ggml, torch] = [await write('ggml'), await write('torch')];
    const differing = ggml.filter((byte, i) => byte !== torch[i]).length;
    expect(torch.length).toBe(ggml.length);
    expect(differing).toBeGreaterThan(0);
    expect(differing).toBeLessThan(ggml.length / 1000);
  });
  it('goes to safetensors and comes back with every byte, header ids too', async () => {
    for (const via of ['safetensors', 'torch'] as const) {
      const there = await reopened(await converted(await inputAt('ggml-qwen/tiny-f32.bin'), via), via === 'torch' ? torchCheckpoint : safetensors);
      expect(sha256(onlyFile(await converted(there, 'ggml-qwen', { dtype: dtype('f32') })))).toBe(tiny().files.f32!.sha256);
    }
  });
  it('takes c_attn apart under Hugging Face’s names and joins it again', async () => {
    const there = await reopened(await converted(await inputAt('ggml-qwen/tiny-f32.bin'), 'safetensors', { names: 'hf' }), safetensors);
    expect(there.checkpoint.tensors.filter(({ name }) => name.includes('layers.0.self_attn')).map(({ name, shape }) => `${name.slice('model.layers.0.self_attn.'.length)} ${shape.join()}`)).toEqual(['k_proj.bias 64', 'k_proj.weight 64,64', 'o_proj.weight 64,64', 'q_proj.bias 64', 'q_proj.weight 64,64', 'v_proj.bias 64', 'v_proj.weight 64,64']);
    expect(sha256(onlyFile(await converted(there, 'ggml-qwen', { dtype: dtype('f32'), tokenIds: ids })))).toBe(tiny().files.f32!.sha256);
  });
  it('dequantizes blocks for safetensors, and warns when they are quantized again (CONVERT_REQUANTIZED)', async () => {
    const q4 = await inputAt('ggml-qwen/tiny-q4_0.bin');
    const there = await reopened(await converted(q4, 'safetensors'), safetensors);
    const name = 'transformer.h.1.mlp.c_proj.weight';
    expect(findTensor(there.checkpoint, name).dtype.name).toBe('F32');
    expect(await floatsNamed(there, name)).toEqual(codecs.q4_0.dequantize(await readTensor(findTensor(q4.checkpoint, name))));
    expect((await planConversion(q4, 'ggml-qwen', { dtype: dtype('q8_0') })).diagnostics.map(({ code }) => code)).toEqual(['CONVERT_REQUANTIZED']);
  });
  it('refuses grouped queries and a RoPE base that qwen.cpp does not have (CONVERT_GROUPED_QUERIES)', async () => {
    const { diagnostics } = await planConversion(await inputAt('models/qwen2-tiny/f32'), 'ggml-qwen', { tokenIds: ids });
    expect(diagnostics.map(({ code }) => code)).toEqual(['CONVERT_LOSS_ROPE_THETA', 'CONVERT_GROUPED_QUERIES']);
  });
});

describe.skipIf(!hasModels)('qwen1-tiny', () => {
  it.each(['bf16', 'bf16-sharded-bin'])('%s gives the f32 container whose every value is the bf16 one', async (folder) => {
    const input = await inputAt(`models/qwen1-tiny/${folder}`);
    const checkpoint = await read(ggmlQwen, memorySource(onlyFile(await converted(input, 'ggml-qwen', { dtype: dtype('f32'), tokenIds: { eos: 1, pad: 1, imStart: 2, imEnd: 3 } }))));
    expect(checkpoint.metadata).toMatchObject({ vocab_size: 320, hidden_size: 64, num_kv_heads: 4, intermediate_size: 192, max_length: 128, im_end_id: 3 });
    expect(checkpoint.tensors).toHaveLength(input.checkpoint.tensors.length);
    for (const tensor of checkpoint.tensors) {
      // bf16 is the upper half of f32: a derivation apart from the codecs.
      const half = await readTensor(findTensor(input.checkpoint, tensor.name));
      const wide = new Uint8Array(half.length * 2);
      for (let i = 0; i < half.length / 2; i += 1) wide.set(half.subarray(2 * i, 2 * i + 2), 4 * i + 2);
      expect(same(await readTensor(tensor), wide), `in ${tensor.name}`).toBe(true);
    }
  });
  it('says that llama2.c has no biases and another eps (CONVERT_LOSS_BIAS, CONVERT_LOSS_NORM_EPS)', async () => {
    const { diagnostics } = await planConversion(await inputAt('models/qwen1-tiny/bf16'), 'llama2c-v0');
    expect(diagnostics.map(({ code }) => code)).toEqual(['CONVERT_LOSS_NORM_EPS', 'CONVERT_LOSS_BIAS']);
  });
});

describe.skipIf(!hasModels)('a conversion that fails', () => {
  it('shows no file when one of several cannot be written', async () => {
    const plan = await planConversion(await inputAt('models/qwen2-tiny/bf16'), 'safetensors', { shardBytes: 90_000 });
    expect(plan.files.length).toBeGreaterThan(3);
    const log: string[] = [];
    const outputs: ConversionOutputs = {
      async open({ name }) {
        log.push(`open ${name}`);
        const sink = memorySink();
        return { get position() { return sink.position; }, write: (chunk) => (name.startsWith('model-00003') ? Promise.reject(new Error('disk full')) : sink.write(chunk)) };
      },
      commit: async () => void log.push('commit'),
      abort: async () => void log.push('abort'),
    };
    await expect(runConversion(plan, outputs)).rejects.toThrow('disk full');
    expect(log).toEqual(['open model-00001-of-00003.safetensors', 'open model-00002-of-00003.safetensors', 'open model-00003-of-00003.safetensors', 'abort']);
  });
  it('stops within one write of an abort, with its reason, and reports bytes until then', async () => {
    const plan = await planConversion(await inputAt('models/qwen2-tiny/bf16'), 'safetensors');
    const controller = new AbortController();
    const log: string[] = [];
    const seen: (readonly [number, number])[] = [];
    const outputs: ConversionOutputs = { open: async () => ({ position: 1000, write: async () => undefined }), commit: async () => void log.push('commit'), abort: async () => void log.push('abort') };
    const running = runConversion(plan, outputs, { signal: controller.signal, progress: (done, total) => { seen.push([done, total]); controller.abort(new Error('enough')); } });
    await expect(running).rejects.toThrow('enough');
    expect(log).toEqual(['abort']);
    expect(seen).toEqual([[1000, plan.files.reduce((sum, { byteLength }) => sum + byteLength, 0)]]);
  });
  it('names the element that does not fit the type (CODEC_VALUE_OVERFLOW)', async () => {
    const location = { source: memorySource(codecs.f32.quantize(Float32Array.of(1, 70000))), offset: 0, length: 8 };
    const checkpoint: Checkpoint = { format: 'test', variant: 'test', metadata: {}, tensors: [{ name: 'w', dtype: dtype('F32'), shape: [2], location }] };
    await expect(converted({ checkpoint }, 'safetensors', { dtype: dtype('F16') })).rejects.toThrow(/CODEC_VALUE_OVERFLOW: w: element 1/);
  });
});

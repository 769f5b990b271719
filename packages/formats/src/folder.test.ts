/** Real model folders of every layout, and each rule of a folder broken alone. */
import { verdictOf, type ByteSource } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { modelOf } from '@weightspec/models';
import { sharedData } from '@weightspec/oracles';
import { safetensors, writeSafetensors } from '@weightspec/safetensors';
import { writeSharded } from '@weightspec/sharded-index';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderCodes, openFolder, validateFolder, type FolderFile, type FolderResolver } from './index.js';
import { largestTokenId } from './tokenizer-size.js';

type Files = Record<string, Uint8Array>;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const folderOf = (files: Files): [FolderFile[], FolderResolver] => [
  Object.entries(files).map(([name, { length: size }]) => ({ name, size })),
  async (name) => (Object.hasOwn(files, name) ? memorySource(files[name]!, name) : undefined),
];
const onDisk = (path: string): Files =>
  Object.fromEntries(readdirSync(path).filter((name) => statSync(join(path, name)).isFile()).map((name) => [name, new Uint8Array(readFileSync(join(path, name)))]));
const codesOf = async (files: Files): Promise<string[]> => (await openFolder(...folderOf(files))).diagnostics.map(({ code }) => code);

const layouts = [
  ['llama3-tiny/hf', 'safetensors', 'file'],
  ['llama3-tiny/meta-1', 'torch-checkpoint', 'meta'],
  ['llama3-tiny/meta-2', 'torch-checkpoint', 'meta'],
  ['qwen1-tiny/bf16', 'safetensors', 'file'],
  ['qwen1-tiny/bf16-sharded-bin', 'sharded-index', 'index'],
  ['qwen2-tiny/bf16', 'safetensors', 'file'],
  ['qwen2-tiny/bf16-sharded-safetensors', 'sharded-index', 'index'],
  ['qwen2-tiny/bf16-sharded-bin', 'sharded-index', 'index'],
  ['qwen2-tiny/f16-bin-tied-shared-storage', 'torch-checkpoint', 'file'],
  ['qwen2-tiny/f32', 'safetensors', 'file'],
] as const;

describe.each(layouts)('%s', (name, format, kind) => {
  const path = sharedData(`models/${name}`);
  it.skipIf(!path)('is found, fits its configuration, and can be run as what was opened', async () => {
    const opened = await openFolder(...folderOf(onDisk(path!)));
    expect(opened.diagnostics.filter(({ severity }) => severity !== 'info')).toEqual([]);
    expect([opened.format!.id, opened.model!.kind]).toEqual([format, kind]);
    expect(opened.checked.join()).toMatch(/\d+ names and shapes that .*(config|params)\.json implies/);
    expect(modelOf(opened.checkpoint!, opened.beside).weights.size).toBeGreaterThan(20);
    await opened.close();
  });
  it.skipIf(!path)('is deeply valid, in one report', async () => {
    const report = await validateFolder(...folderOf(onDisk(path!)), { name, deep: true });
    expect(['valid', report.stats.notChecked.some((what) => what.includes('tokenizer'))]).toEqual([report.verdict, true]);
    // The configuration was there: what a file alone would say of it is not repeated.
    expect(report.stats.notChecked.filter((what) => what.includes('config.json'))).toEqual([]);
    expect(report.stats.tensorCount).toBeGreaterThan(15);
    expect(report.stats.fileSize).toBeGreaterThan(report.stats.bytesChecked! / 2);
  });
});

// Each rule, broken alone, on a small model that is made here.

const config = { model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: 5, rms_norm_eps: 1e-5, torch_dtype: 'float32', tie_word_embeddings: false };
const shapes: Readonly<Record<string, readonly number[]>> = {
  'model.embed_tokens.weight': [5, 8],
  'model.layers.0.input_layernorm.weight': [8],
  'model.layers.0.self_attn.q_proj.weight': [8, 8],
  'model.layers.0.self_attn.k_proj.weight': [4, 8],
  'model.layers.0.self_attn.v_proj.weight': [4, 8],
  'model.layers.0.self_attn.o_proj.weight': [8, 8],
  'model.layers.0.post_attention_layernorm.weight': [8],
  'model.layers.0.mlp.gate_proj.weight': [12, 8],
  'model.layers.0.mlp.up_proj.weight': [12, 8],
  'model.layers.0.mlp.down_proj.weight': [8, 12],
  'model.norm.weight': [8],
  'lm_head.weight': [5, 8],
};
const tensorsOf = (some: Readonly<Record<string, readonly number[]>>, type = 'F32') => Object.entries(some).map(([name, shape]) => {
  const dtype = { name: type, blockSize: 1, bytesPerBlock: type === 'F32' ? 4 : 2 };
  const length = shape.reduce((product, d) => product * d, 1) * dtype.bytesPerBlock;
  return { name, dtype, shape, location: { source: memorySource(new Uint8Array(length).fill(1)), offset: 0, length } };
});
async function weights(some = shapes, type?: string): Promise<Uint8Array> {
  const sink = memorySink();
  await writeSafetensors(tensorsOf(some, type), sink, { metadata: { format: 'pt' } });
  return sink.bytes();
}
const omit = (files: Files, name: string): Files => Object.fromEntries(Object.entries(files).filter(([key]) => key !== name));
const without = (name: string) => Object.fromEntries(Object.entries(shapes).filter(([key]) => key !== name));
const tokenizerJson = (largest: number) => utf8(JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, b: 3 } }, added_tokens: [{ id: largest, content: '<s>' }] }));
const withConfig = (change: object): Uint8Array => utf8(JSON.stringify({ ...config, ...change }));
const sound = async (): Promise<Files> => ({ 'model.safetensors': await weights(), 'config.json': withConfig({}), 'tokenizer.json': tokenizerJson(4) });

/** SentencePiece's protobuf with `count` pieces of three bytes and a trainer_spec. */
const sentencePiece = (count: number): Uint8Array => Uint8Array.from([...Array.from({ length: count }, () => [0x0a, 3, 0x0a, 1, 0x61]).flat(), 0x12, 2, 8, 1]);

type Rule = readonly [code: keyof typeof folderCodes, name: string, change: (files: Files) => Files | Promise<Files>];
const rules: readonly Rule[] = [
  ['FOLDER_NO_MODEL', 'no weights', ({ 'config.json': json }) => ({ 'config.json': json! })],
  ['FOLDER_NO_MODEL', 'training state only', ({ 'config.json': json }) => ({ 'config.json': json!, 'training_args.bin': utf8('x'), 'rng_state_0.pth': utf8('x') })],
  ['FOLDER_SEVERAL_MODELS', 'two nameless files', async () => ({ 'a.safetensors': await weights(), 'b.safetensors': await weights() })],
  ['FOLDER_OTHER_MODELS', 'a second form of the model', (files) => ({ ...files, 'pytorch_model.bin': utf8('x') })],
  ['FOLDER_INDEX_MISSING', 'shards without an index', async () => ({ 'model-00001-of-00002.safetensors': await weights(), 'model-00002-of-00002.safetensors': await weights() })],
  ['FOLDER_SHARD_UNLISTED', 'a shard left over', async (files) => ({ ...files, 'model-00001-of-00002.safetensors': await weights() })],
  ['FOLDER_SHARD_GAP', 'consolidated.00 and .02', () => ({ 'consolidated.00.pth': utf8('x'), 'consolidated.02.pth': utf8('x') })],
  ['FOLDER_INCOMPLETE_DOWNLOAD', 'a part of a download', (files) => ({ ...files, 'model-00002.safetensors.incomplete': utf8('x') })],
  ['FOLDER_CONFIG_MISSING', 'weights alone', ({ 'model.safetensors': file }) => ({ 'model.safetensors': file! })],
  ['FOLDER_CONFIG_JSON', 'a cut configuration', (files) => ({ ...files, 'config.json': files['config.json']!.subarray(0, 40) })],
  ['FOLDER_CONFIG_JSON', 'a key that stands twice', (files) => ({ ...files, 'config.json': utf8('{"hidden_size":8,"hidden_size":8}') })],
  ['FOLDER_CONFIG_UNCHECKED', 'another architecture', (files) => ({ ...files, 'config.json': withConfig({ model_type: 'gpt2' }) })],
  ['FOLDER_CONFIG_INVALID', 'kv heads that do not divide', (files) => ({ ...files, 'config.json': withConfig({ num_attention_heads: 3, num_key_value_heads: 2, head_dim: 4 }) })],
  ['FOLDER_CONFIG_INVALID', 'a billion layers', (files) => ({ ...files, 'config.json': withConfig({ num_hidden_layers: 1e9 }) })],
  ['FOLDER_TENSOR_MISSING', 'no lm_head and no tie', async (files) => ({ ...files, 'model.safetensors': await weights(without('lm_head.weight')) })],
  ['FOLDER_TENSOR_SHAPE', 'a k_proj without grouped-query attention', async (files) => ({ ...files, 'model.safetensors': await weights({ ...shapes, 'model.layers.0.self_attn.k_proj.weight': [8, 8] }) })],
  ['FOLDER_TENSOR_UNEXPECTED', 'a tensor of layer 1', async (files) => ({ ...files, 'model.safetensors': await weights({ ...shapes, 'model.layers.1.input_layernorm.weight': [8] }) })],
  ['FOLDER_TIED_OUTPUT', 'lm_head although tied', (files) => ({ ...files, 'config.json': withConfig({ tie_word_embeddings: true }) })],
  ['FOLDER_DTYPE', 'bfloat16 in the configuration', (files) => ({ ...files, 'config.json': withConfig({ torch_dtype: 'bfloat16' }) })],
  ['FOLDER_TOKENIZER_SIZE', 'an added token beyond the embedding', (files) => ({ ...files, 'tokenizer.json': tokenizerJson(5) })],
  ['FOLDER_TOKENIZER_SIZE', 'a SentencePiece model of six pieces', (files) => ({ ...omit(files, 'tokenizer.json'), 'tokenizer.model': sentencePiece(6) })],
  ['FOLDER_TOKENIZER_UNREADABLE', 'a Git LFS pointer', (files) => ({ ...omit(files, 'tokenizer.json'), 'tokenizer.model': utf8('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n') })],
];

describe('a folder', () => {
  it('that is sound gives no finding, also tied, with old tables, and with other tokenizers that fit', async () => {
    expect(await codesOf(await sound())).toEqual([]);
    const files = omit(await sound(), 'tokenizer.json');
    expect(await codesOf({ ...files, 'tokenizer.model': sentencePiece(5) })).toEqual([]);
    expect(await codesOf({ ...files, 'model.safetensors': await weights(without('lm_head.weight')), 'config.json': withConfig({ tie_word_embeddings: true }) })).toEqual([]);
    expect(await codesOf({ ...files, 'model.safetensors': await weights({ ...shapes, 'model.layers.0.self_attn.rotary_emb.inv_freq': [2] }) })).toEqual([]);
  });
  it.each(rules)('%s: %s, found alone, with a hint', async (code, _name, change) => {
    const opened = await openFolder(...folderOf(await change(await sound())), { name: 'm' });
    const { diagnostics } = opened;
    expect(diagnostics.map((diagnostic) => diagnostic.code)).toEqual([code]);
    expect(diagnostics[0]).toMatchObject({ severity: folderCodes[code].severity });
    expect(diagnostics[0]!.hint).not.toBe('');
    await opened.close();
  });
  it('has a rule above or below for every code', () => {
    expect(new Set([...rules.map(([code]) => code), 'FOLDER_SHARDS_DIFFER'])).toEqual(new Set(Object.keys(folderCodes)));
  });
  it('says where a wrong shape lies in the weights', async () => {
    const files = { ...(await sound()), 'model.safetensors': await weights({ ...shapes, 'model.norm.weight': [9] }) };
    const opened = await openFolder(...folderOf(files));
    const { tensors } = (await safetensors.read(memorySource(files['model.safetensors']))).checkpoint!;
    const { offset, length } = tensors.find(({ name }) => name === 'model.norm.weight')!.location;
    expect(opened.diagnostics).toMatchObject([{ code: 'FOLDER_TENSOR_SHAPE', source: 'model.safetensors', byteRange: [offset, offset + length], pointer: '/tensors/model.norm.weight' }]);
    await opened.close();
  });
  it('with a page in place of the weights says so, and that nothing was compared', async () => {
    const files = { ...(await sound()), 'model.safetensors': utf8('<!doctype html><title>Sign in</title>') };
    const report = await validateFolder(...folderOf(files));
    expect([report.verdict, report.diagnostics.map(({ code }) => code)]).toEqual(['invalid', ['FORMAT_HTML_PAGE']]);
    expect(report.stats.notChecked.join()).toContain('could not be opened');
  });
  it('with a page in place of a shard names the page', async () => {
    const files: Files = { 'config.json': withConfig({}) };
    const sinks = new Map<string, ReturnType<typeof memorySink>>();
    await writeSharded({ format: 'x', variant: 'x', metadata: {}, tensors: tensorsOf(shapes) }, { shardSizeBytes: 1000, open: (name) => {
      const sink = memorySink();
      sinks.set(name, sink);
      return sink;
    } });
    for (const [name, sink] of sinks) files[name] = sink.bytes();
    expect(await codesOf(files)).toEqual([]);
    const [shard] = Object.keys(files).filter((name) => name.includes('-of-'));
    expect(await codesOf({ ...files, [shard!]: utf8('<!doctype html>') })).toEqual(['FORMAT_HTML_PAGE']);
    expect(await codesOf(omit(files, shard!))).toEqual(['SHARDED_INDEX_SHARD_MISSING']);
  });
  const parts = sharedData('models/llama3-tiny/meta-2');
  const stranger = sharedData('models/qwen2-tiny/f16-bin-tied-shared-storage/pytorch_model.bin');
  it.skipIf(!parts || !stranger)('whose Meta parts do not join is refused (FOLDER_SHARDS_DIFFER)', async () => {
    const files = { ...onDisk(parts!), 'consolidated.01.pth': new Uint8Array(readFileSync(stranger!)) };
    expect(new Set(await codesOf(files))).toEqual(new Set(['FOLDER_SHARDS_DIFFER']));
    expect(new Set(await codesOf(omit(files, 'consolidated.01.pth')))).toEqual(new Set(['FOLDER_TENSOR_SHAPE']));
  });
  it('closes every file that it opened, also when one cannot be read', async () => {
    const files = await sound();
    let open = 0;
    const counting = (fails: string): FolderResolver => async (name) => {
      if (!Object.hasOwn(files, name)) return undefined;
      open++;
      const memory = memorySource(files[name]!, name);
      const source: ByteSource = { name, size: memory.size, close: async () => void open--, read: async (offset, length) => {
        if (name === fails) throw new Error('disk');
        return memory.read(offset, length);
      } };
      return source;
    };
    const [listing] = folderOf(files);
    await validateFolder(listing, counting(''));
    expect(open).toBe(0);
    for (const name of Object.keys(files)) await expect(validateFolder(listing, counting(name))).rejects.toThrow('disk');
    expect(open).toBe(0);
  });
  it('turns warnings into errors when strict, and reports progress of a deep check', async () => {
    const files = omit(await sound(), 'config.json');
    expect((await validateFolder(...folderOf(files))).verdict).toBe('warnings');
    const report = await validateFolder(...folderOf(files), { strict: true, deep: true });
    expect([report.verdict, report.summary.warnings]).toEqual(['invalid', 0]);
    expect(verdictOf(report.diagnostics)).toBe('invalid');
    expect(report.stats.bytesChecked).toBeGreaterThan(1000);
  });
});

describe('largestTokenId', () => {
  it('knows tokenizer.json by map and by list, tiktoken lines, and SentencePiece', async () => {
    expect(await largestTokenId('tokenizer.json', tokenizerJson(7))).toBe(7);
    expect(await largestTokenId('tokenizer.json', utf8('{"model":{"type":"Unigram","vocab":[["a",0],["b",0]]}}'))).toBe(1);
    expect(await largestTokenId('tokenizer.model', utf8('IQ== 0\nIg== 5\n'))).toBe(5);
    expect(await largestTokenId('tokenizer.model', sentencePiece(3))).toBe(2);
  });
  it('counts the pieces of llama2.c’s tokenizer.bin, and holds them against the embedding (FOLDER_TOKENIZER_SIZE)', async () => {
    const committed = (path: string) => new Uint8Array(readFileSync(new URL(`../../../fixtures/${path}`, import.meta.url)));
    const trained = committed('golden/addition/tokenizer.bin');
    expect(await largestTokenId('tokenizer.bin', trained)).toBe(271);
    expect(await largestTokenId('tokenizer.bin', trained.subarray(0, -1))).toBeUndefined();
    for (const generation of [1, 2, 3, 4, 5]) expect(await largestTokenId('tokenizer.bin', committed(`llama2c/valid/tokenizer-gen${generation}.bin`))).toBeGreaterThan(0);
    const files = { ...omit(await sound(), 'tokenizer.json'), 'tokenizer.bin': trained };
    expect(await codesOf(files)).toEqual(['FOLDER_TOKENIZER_SIZE']);
  });
  it('does not take other bytes for one', async () => {
    for (const text of ['{', '[]', '{"model":{}}', 'null']) expect(await largestTokenId('tokenizer.json', utf8(text))).toBeUndefined();
    for (const text of ['', 'hello world', 'IQ== 0\nrubbish\n', '\u000a\u00ff']) expect(await largestTokenId('tokenizer.model', utf8(text))).toBeUndefined();
    expect(await largestTokenId('tokenizer.model', sentencePiece(3).subarray(0, 13))).toBeUndefined();
  });
});

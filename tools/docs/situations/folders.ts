/** Folders that are one model, with one thing wrong; and shards. */
import { configOf, fixture, llamaShapes, safetensorsOf, stored, utf8, withoutName, type Contents } from './contents.js';
import type { Situation } from './situation.js';

const sizes = { dim: 8, hidden: 12, kv: 4, vocab: 5 };
const shapes = llamaShapes(sizes);
const weights = safetensorsOf(stored(shapes), 'the tensors of a Llama of one layer');
const config = (changes?: object): string => configOf(sizes, 2, 1, changes);
const tokenizer = (largest: number): string => JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, b: 3 } }, added_tokens: [{ id: largest, content: '<s>' }] });
const sound = { 'model/config.json': config(), 'model/model.safetensors': weights };
const changed = (changes: object): Contents => safetensorsOf(stored({ ...shapes, ...(changes as typeof shapes) }), `a Llama of one layer, but ${Object.entries(changes).map(([name, shape]) => `${name} is [${(shape as readonly number[]).join(', ')}]`).join()}`);
const index = (map: object, totalSize: number): string => JSON.stringify({ metadata: { total_size: totalSize }, weight_map: map });
const one = safetensorsOf([{ name: 'a', shape: [2] }]);

const folder = (code: string, files: Situation['files'] & object): Situation => ({ code, files, command: 'validate model' });

export const folders: readonly Situation[] = [
  folder('FOLDER_NO_MODEL', { 'model/config.json': config() }),
  folder('FOLDER_SEVERAL_MODELS', { 'model/config.json': config(), 'model/a.safetensors': weights, 'model/b.safetensors': weights }),
  folder('FOLDER_OTHER_MODELS', { ...sound, 'model/pytorch_model.bin': fixture('golden/llama-tiny/pytorch_model.bin') }),
  folder('FOLDER_INDEX_MISSING', { 'model/config.json': config(), 'model/model-00001-of-00002.safetensors': one, 'model/model-00002-of-00002.safetensors': one }),
  folder('FOLDER_SHARD_UNLISTED', { ...sound, 'model/model-00001-of-00002.safetensors': one }),
  folder('FOLDER_SHARD_GAP', { 'model/consolidated.00.pth': utf8('x'), 'model/consolidated.02.pth': utf8('x') }),
  folder('FOLDER_INCOMPLETE_DOWNLOAD', { ...sound, 'model/tokenizer.model.incomplete': utf8('x') }),
  folder('FOLDER_CONFIG_MISSING', { 'model/model-00001-of-00001.safetensors': one, 'model/model.safetensors.index.json': index({ a: 'model-00001-of-00001.safetensors' }, 8) }),
  folder('FOLDER_CONFIG_JSON', { ...sound, 'model/config.json': config().slice(0, 40) }),
  folder('FOLDER_CONFIG_UNCHECKED', { ...sound, 'model/config.json': config({ model_type: 'gpt2' }) }),
  folder('FOLDER_CONFIG_INVALID', { ...sound, 'model/config.json': config({ num_attention_heads: 3, num_key_value_heads: 2, head_dim: 4 }) }),
  folder('FOLDER_TENSOR_MISSING', { ...sound, 'model/model.safetensors': safetensorsOf(stored(withoutName(shapes, 'lm_head.weight')), 'a Llama of one layer without lm_head.weight') }),
  folder('FOLDER_TENSOR_SHAPE', { ...sound, 'model/model.safetensors': changed({ 'model.layers.0.self_attn.k_proj.weight': [8, 8] }) }),
  folder('FOLDER_TENSOR_UNEXPECTED', { ...sound, 'model/model.safetensors': safetensorsOf(stored({ ...shapes, 'model.layers.1.input_layernorm.weight': [8] }), 'a Llama of one layer, and model.layers.1.input_layernorm.weight') }),
  folder('FOLDER_TIED_OUTPUT', { ...sound, 'model/config.json': config({ tie_word_embeddings: true }) }),
  folder('FOLDER_DTYPE', { ...sound, 'model/config.json': config({ torch_dtype: 'bfloat16' }) }),
  folder('FOLDER_TOKENIZER_SIZE', { ...sound, 'model/tokenizer.json': tokenizer(5) }),
  folder('FOLDER_TOKENIZER_UNREADABLE', { ...sound, 'model/tokenizer.model': 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 499723\n' }),
  folder('FOLDER_SHARDS_DIFFER', { 'model/params.json': fixture('golden/llama-tiny/params.json'), 'model/consolidated.00.pth': fixture('golden/llama-tiny/consolidated.00.pth'), 'model/consolidated.01.pth': fixture('golden/llama-tiny/pytorch_model.bin') }),
  { code: 'SHARDED_INDEX_TENSOR_TWICE', files: { 'model-00001-of-00002.safetensors': one, 'model-00002-of-00002.safetensors': safetensorsOf([{ name: 'a', shape: [2] }, { name: 'b', shape: [2] }]), 'model.safetensors.index.json': index({ a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' }, 16) }, command: 'validate model.safetensors.index.json' },
  { code: 'SHARDED_INDEX_TOO_LARGE', program: `
import { readIndexFile } from '@weightspec/sharded-index';
const source = { name: 'model.safetensors.index.json', size: 100_000_001, read: async () => new Uint8Array(0) };
const { diagnostics } = await readIndexFile(source);` },
];

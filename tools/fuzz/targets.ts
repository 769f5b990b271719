/** One target a reader. What each input must not do besides crash, hang or take memory: throw, or report what no file of its size can have. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DiagnosticError, readTensor, type ByteSource, type Checkpoint, type CodeTable, type Diagnostic, type Format } from '@weightspec/core';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { memorySink, memorySource } from '@weightspec/io';
import { llama2c, llama2cTokenizer, readTokenizerBin, writeTokenizerBin } from '@weightspec/llama2c';
import { ModelError, decoderConfigFromHf, decoderConfigFromMeta, decoderProgram, modelOf, stopTokensFromHf } from '@weightspec/models';
import { safetensors } from '@weightspec/safetensors';
import { shardedIndexFormat } from '@weightspec/sharded-index';
import { createScoreBpeTokenizer, looksLikeTiktokenRanks, readTiktokenRanks, tiktokenCodes } from '@weightspec/tokenizers';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { mutateSafetensors, mutateTorchZip } from './containers.js';
import { mutateBytes, mutateJson, mutatePickle, MOST_BYTES } from './mutate.js';
import type { Seed, Target } from './target.js';

/** The repository's root, from the sources as well as from tools/dist. */
function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) folder = dirname(folder);
  return folder;
}
const fixtures = join(repositoryRoot(), 'fixtures');

/** Every fixture of a format that is no larger than an input may be; `valid` ones first. */
function fixtureSeeds(format: string, wanted: (name: string) => boolean): Seed[] {
  return ['valid', 'ambiguous', 'invalid']
    .map((kind) => join(format, kind))
    .filter((folder) => existsSync(join(fixtures, folder)))
    .flatMap((folder) => readdirSync(join(fixtures, folder)).filter((name) => !name.endsWith('.expect.json') && wanted(name)).map((name) => ({ name: join(folder, name), bytes: new Uint8Array(readFileSync(join(fixtures, folder, name))) })))
    .filter(({ bytes }) => bytes.length <= MOST_BYTES);
}

/** What fuzzing found before: kept as it was found, in fixtures/fuzz/<target>. */
function found(target: string): Seed[] {
  const folder = join(fixtures, 'fuzz', target);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).toSorted().map((name) => ({ name: join('fuzz', target, name), bytes: new Uint8Array(readFileSync(join(folder, name))) }));
}

/** Diagnostics that no file may get, in words. */
function assertDiagnostics(diagnostics: readonly Diagnostic[], codes: CodeTable, { size, name }: ByteSource): void {
  for (const { code, byteRange, message, source, hint } of diagnostics) {
    if (!Object.hasOwn(codes, code)) throw new Error(`the code ${code} is in no table of this format`);
    if (message === '' || !hint) throw new Error(`${code} has no message or no hint`);
    if (source !== name || !byteRange) continue;
    const [start, end] = byteRange;
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size)) throw new Error(`${code} has the byte range [${start}, ${end}) in a file of ${size}`);
  }
}

/** Codes, and their messages without what differs from input to input. */
const seen = (diagnostics: readonly Diagnostic[]): string[] =>
  [...new Set(diagnostics.map(({ code, message }) => `${code} ${message.replace(/"[^"]*"|[\w.-]*\d[\w.-]*/g, '_').slice(0, 40)}`))].toSorted();

const isError = ({ severity }: Diagnostic): boolean => severity === 'error';

/** How a file without findings must come back from the writer: byte for byte, or as another file with the same tensors. */
type Rewriting = 'exact' | 'same tensors' | 'none';

/** Reads, validates deeply, makes a model of what can be one, and writes back what has no finding. */
async function throughFormat(format: Format, bytes: Uint8Array, name: string, rewriting: Rewriting): Promise<string> {
  const source = memorySource(bytes, name);
  const detection = format.detect(bytes.subarray(0, format.detectBytes), name, bytes.length);
  const { checkpoint, variant, diagnostics } = await format.read(source);
  assertDiagnostics(diagnostics, format.codes, source);
  if (!checkpoint) {
    if (!diagnostics.some(isError) && format.id !== 'sharded-index') throw new Error('no checkpoint, and no error that says why');
    return [detection?.confidence, variant, ...seen(diagnostics)].join('|');
  }
  const validated = await format.validate(checkpoint, { deep: true });
  assertDiagnostics(validated.diagnostics, format.codes, source);
  const all = [...diagnostics, ...validated.diagnostics];
  const model = all.some(isError) ? 'not tried' : modelKind(() => modelOf(checkpoint));
  if (rewriting !== 'none' && all.length === 0) await assertRewritten(format, checkpoint, bytes, rewriting);
  return [detection?.confidence, variant, Math.min(checkpoint.tensors.length, 8), model, ...seen(all)].join('|');
}

function modelKind(make: () => unknown): string {
  try {
    make();
    return 'a model';
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return error.code;
  }
}

async function assertRewritten(format: Format, checkpoint: Checkpoint, bytes: Uint8Array, rewriting: Rewriting): Promise<void> {
  const sink = memorySink();
  try {
    await format.write!(checkpoint, sink);
  } catch (error) {
    // A writer may refuse, with its reasons, what a lenient reader lets pass.
    if (error instanceof DiagnosticError) return;
    throw error;
  }
  if (rewriting === 'exact' && Buffer.compare(sink.bytes(), bytes) !== 0) throw new Error('a file without findings was not written back byte for byte');
  if (rewriting === 'exact') return;
  const { checkpoint: again, diagnostics } = await format.read(memorySource(sink.bytes(), 'rewritten'));
  if (!again || diagnostics.some(isError)) throw new Error(`a file without findings was written back as one with ${diagnostics.map(({ code }) => code).join()}`);
  if ((await contentsOf(again)) !== (await contentsOf(checkpoint))) throw new Error('a file without findings was written back with other tensors');
}

/** Name, type, shape and bytes of every tensor. */
async function contentsOf({ tensors }: Checkpoint): Promise<string> {
  const lines = await Promise.all(tensors.map(async (tensor) => `${tensor.name} ${tensor.dtype.name} [${tensor.shape.join()}] ${Buffer.from(await readTensor(tensor)).toString('hex')}`));
  return lines.toSorted().join('\n');
}

async function throughTokenizerBin(bytes: Uint8Array): Promise<string> {
  const result = await throughFormat(llama2cTokenizer, bytes, 'tokenizer.bin', 'none');
  const { tokenizer } = await readTokenizerBin(memorySource(bytes, 'tokenizer.bin'));
  if (!tokenizer) return result;
  const sink = memorySink();
  await writeTokenizerBin(tokenizer, sink);
  const { pieces, scores, generation } = tokenizer;
  const made = createScoreBpeTokenizer({ pieces, scores, byteTokens: generation === 'gen5' ? 'hex' : 'utf8' });
  made.decode(pieces.slice(0, 32).map((_, id) => id));
  return `${result}|${Buffer.compare(sink.bytes(), bytes) === 0 ? 'same' : 'other'}`;
}

async function throughTiktoken(bytes: Uint8Array): Promise<string> {
  const source = memorySource(bytes, 'qwen.tiktoken');
  const { ranks, diagnostics } = await readTiktokenRanks(source);
  assertDiagnostics(diagnostics, tiktokenCodes, source);
  if (!ranks && !diagnostics.some(isError)) throw new Error('no ranks, and no error that says why');
  return [looksLikeTiktokenRanks(bytes.subarray(0, 256)), ranks !== undefined, ...seen(diagnostics)].join('|');
}

/** config.json and params.json: text that is no JSON is another's matter (CLI_BAD_CONFIG); what JSON.parse gives must make a program or a ModelError. */
async function throughConfig(bytes: Uint8Array): Promise<string> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return 'not JSON';
    throw error;
  }
  stopTokensFromHf(json);
  return [decoderConfigFromHf, decoderConfigFromMeta].map((read) => configKind(() => decoderProgram(read(json)))).join('|');
}

function configKind(make: () => unknown): string {
  try {
    make();
    return 'a program';
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return error.message.replace(/"[^"]*"|[\w.-]*\d[\w.-]*/g, '_').slice(0, 120);
  }
}

const json = (name: string, value: unknown): Seed => ({ name, bytes: new TextEncoder().encode(JSON.stringify(value)) });

const indexSeeds = (): Seed[] => [
  json('two shards', { metadata: { total_size: 24 }, weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' } }),
  json('torch shards', { metadata: { total_size: 24, total_parameters: 6 }, weight_map: { 'model.a.weight': 'pytorch_model-00001-of-00001.bin' } }),
  json('other members', { weight_map: { a: 'x.safetensors' }, metadata: { nested: { list: [1, null, 'x', 1.5, true] } }, extra: [] }),
];

/** The 256 bytes in a rank file's own order of nothing in particular, then a few merges. */
function rankSeeds(): Seed[] {
  const base64 = (bytes: readonly number[]): string => Buffer.from(bytes).toString('base64');
  const tokens = [...Array.from({ length: 256 }, (_, byte) => [byte]), [0x20, 0x20], [0x74, 0x68], [0x74, 0x68, 0x65], [0xe4, 0xbd, 0xa0]];
  const lines = tokens.map((token, rank) => `${base64(token)} ${rank}`);
  const seed = (name: string, text: string): Seed => ({ name, bytes: new TextEncoder().encode(text) });
  return [seed('ranks', `${lines.join('\n')}\n`), seed('ranks with CRLF', lines.join('\r\n')), seed('few ranks', `${lines.slice(0, 12).join('\n')}\n`)];
}

const llamaConfig = { model_type: 'llama', hidden_size: 64, intermediate_size: 192, num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, vocab_size: 272, max_position_embeddings: 32, rms_norm_eps: 1e-5, rope_theta: 10000, hidden_act: 'silu', tie_word_embeddings: true, attention_bias: false, mlp_bias: false, bos_token_id: 1, eos_token_id: [1, 2] };
const configSeeds = (): Seed[] => [
  json('llama', llamaConfig),
  json('qwen2', { ...llamaConfig, model_type: 'qwen2', rope_parameters: { rope_theta: 1e6, rope_type: 'default' }, use_sliding_window: false, sliding_window: 4096 }),
  json('qwen', { model_type: 'qwen', hidden_size: 64, intermediate_size: 384, num_hidden_layers: 2, num_attention_heads: 4, kv_channels: 16, vocab_size: 300, seq_length: 128, layer_norm_epsilon: 1e-6, rotary_emb_base: 10000, rotary_pct: 1, no_bias: true, use_dynamic_ntk: true }),
  json('scaled rope', { ...llamaConfig, rope_scaling: { type: 'linear', factor: 2 }, partial_rotary_factor: 0.5 }),
  json('params.json', { dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 2, vocab_size: 300, multiple_of: 32, ffn_dim_multiplier: 1.3, norm_eps: 1e-5, rope_theta: 500000, use_scaled_rope: false }),
];

const isTokenizer = (name: string): boolean => name.startsWith('tokenizer');
/** Local header of a zip archive. */
const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && bytes[1] === 0x4b;
const torchSeeds = (): Seed[] => fixtureSeeds('torch-checkpoint', () => true);

const readers: readonly Target[] = [
  { name: 'llama2c', seeds: () => fixtureSeeds('llama2c', (name) => !isTokenizer(name)), mutate: mutateBytes, run: (bytes) => throughFormat(llama2c, bytes, 'model.bin', 'exact') },
  { name: 'tokenizer-bin', seeds: () => fixtureSeeds('llama2c', isTokenizer), mutate: mutateBytes, run: throughTokenizerBin },
  { name: 'ggml-qwen', seeds: () => fixtureSeeds('ggml-qwen', () => true), mutate: mutateBytes, run: (bytes) => throughFormat(ggmlQwen, bytes, 'model.bin', 'exact') },
  { name: 'safetensors', seeds: () => fixtureSeeds('safetensors', () => true), mutate: mutateSafetensors, run: (bytes) => throughFormat(safetensors, bytes, 'model.safetensors', 'same tensors') },
  { name: 'torch-zip', seeds: () => torchSeeds().filter(({ bytes }) => isZip(bytes)), mutate: mutateTorchZip, run: (bytes) => throughFormat(torchCheckpoint, bytes, 'model.pth', 'same tensors') },
  { name: 'torch-legacy', seeds: () => torchSeeds().filter(({ bytes }) => !isZip(bytes)), mutate: mutatePickle, run: (bytes) => throughFormat(torchCheckpoint, bytes, 'model.pth', 'same tensors') },
  { name: 'sharded-index', seeds: indexSeeds, mutate: mutateJson, run: (bytes) => throughFormat(shardedIndexFormat(), bytes, 'model.safetensors.index.json', 'none') },
  { name: 'tiktoken', seeds: rankSeeds, mutate: mutateBytes, run: throughTiktoken },
  { name: 'config', seeds: configSeeds, mutate: mutateJson, run: throughConfig },
];

export const targets: readonly Target[] = readers.map((target) => ({ ...target, seeds: () => [...target.seeds(), ...found(target.name)] }));

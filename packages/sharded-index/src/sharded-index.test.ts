/** The two collections of sound and damaged indexes, real sharded models, every rule with a sound twin, and the writer. */
import { DiagnosticError, dtype, summarize, verdictOf, type ByteSource, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource, type MemorySink } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { encodeHeader, safetensors, writeSafetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeIndex, readIndexFile, readSharded, shardNameFault, shardedIndexCodes, shardedIndexFormat, validateSharded, writeSharded, type ShardResolver } from './index.js';

const fileSource = (path: string): ByteSource => memorySource(new Uint8Array(readFileSync(path)), basename(path));
/** Files of one folder; a name that is more than a file name would throw here. */
const inFolder = (folder: string): ShardResolver => async (name) => {
  if (name !== basename(name)) throw new Error(`asked for ${name}`);
  return existsSync(join(folder, name)) ? fileSource(join(folder, name)) : undefined;
};
const readAt = (path: string) => readSharded(fileSource(path), inFolder(dirname(path)));
const json = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const codes = (diagnostics: readonly Diagnostic[]) => diagnostics.map(({ code }) => code);

describe('the collection of indexes', () => {
  const manifest = sharedData('index/manifest.json');
  const cases = manifest ? Object.entries(json(manifest) as Record<string, { verdict: 'valid' | 'warn' | 'error'; why: string }>) : [];
  const accepted = { valid: ['valid', 'warnings'], warn: ['warnings'], error: ['invalid'] };
  // Also keeps the suite from being empty where shared/ is missing: an empty one fails.
  it.skipIf(!manifest)('has indexes', () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases)('%s', async (name, { verdict }) => {
    const { diagnostics, checkpoint } = await readAt(join(dirname(manifest!), `${name}.index.json`));
    expect(accepted[verdict]).toContain(verdictOf(diagnostics));
    expect(checkpoint === undefined).toBe(verdict === 'error');
  });
});

describe('the malformed collection', () => {
  const manifest = sharedData('malformed/manifest.json');
  type Entry = { readonly id: string; readonly format: string; readonly expect: 'accept' | 'warn' | 'reject'; readonly rule: string };
  const cases = manifest ? (json(manifest) as Entry[]).filter(({ id, format }) => format === 'index' && id.endsWith('.index.json')) : [];
  const accepted = { accept: ['valid', 'warnings'], warn: ['warnings'], reject: ['invalid'] };
  // Also keeps the suite from being empty where shared/ is missing: an empty one fails.
  it.skipIf(!manifest)('has files of this format', () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases)('$id: $expect ($rule)', async ({ id, expect: expected }) => {
    const { diagnostics } = await readAt(join(dirname(manifest!), id));
    expect(accepted[expected]).toContain(verdictOf(diagnostics));
  });
});

const models = [
  ['qwen2-tiny/bf16-sharded-safetensors/model.safetensors.index.json', 'qwen2-tiny/bf16/model.safetensors'],
  ['qwen2-tiny/bf16-sharded-bin/pytorch_model.bin.index.json', 'qwen2-tiny/bf16/model.safetensors'],
  ['qwen1-tiny/bf16-sharded-bin/pytorch_model.bin.index.json', 'qwen1-tiny/bf16/model.safetensors'],
] as const;
describe.each(models)('%s', (indexName, wholeName) => {
  const [path, whole] = [sharedData(`models/${indexName}`), sharedData(`models/${wholeName}`)];
  const contents = async (tensors: readonly TensorInfo[]) => {
    const entries = await Promise.all(tensors.map(async ({ name, dtype: { name: type }, shape, location }) => [name, { type, shape, bytes: Buffer.from(await location.source.read(location.offset, location.length)).toString('base64') }] as const));
    return new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  };
  it.skipIf(!path)('is one checkpoint with the tensors of the unsharded model, byte for byte', async () => {
    const { checkpoint, diagnostics } = await readAt(path!);
    expect(diagnostics).toEqual([]);
    expect(await contents(checkpoint!.tensors)).toEqual(await contents((await safetensors.read(fileSource(whole!))).checkpoint!.tensors));
    expect(new Set(checkpoint!.tensors.map(({ location }) => location.source)).size).toBeGreaterThan(1);
  });
  it.skipIf(!path)('is deeply valid, and says so shard by shard', async () => {
    const { checkpoint } = await readAt(path!);
    const progress: number[] = [];
    const { diagnostics, checked } = await validateSharded(checkpoint!, { deep: true, progress: (done, total) => progress.push(done / total) });
    expect(summarize(diagnostics).errors + summarize(diagnostics).warnings).toBe(0);
    expect(checked.length).toBeGreaterThan(3);
    expect(progress.at(-1)).toBe(1);
    expect(progress.toSorted((a, b) => a - b)).toEqual(progress);
  });
  it.skipIf(!path)('has an index that is written alike', () => {
    const { metadata, weight_map: weightMap } = json(path!) as { metadata: Record<string, number>; weight_map: Record<string, string> };
    expect(Buffer.from(encodeIndex(new Map(Object.entries(weightMap)), metadata)).toString('utf8')).toBe(readFileSync(path!, 'utf8'));
  });
});

// Rules, one by one, on a small model in memory.

const zeros = (length: number): Uint8Array => new Uint8Array(length).fill(1);
const tensor = (name: string, elements: number): TensorInfo => ({ name, dtype: dtype('F32'), shape: [elements], location: { source: memorySource(zeros(elements * 4)), offset: 0, length: elements * 4 } });
async function shard(...tensors: readonly TensorInfo[]): Promise<Uint8Array> {
  const sink = memorySink();
  await writeSafetensors(tensors, sink, { metadata: { format: 'pt' } });
  return sink.bytes();
}
const one = 'model-00001-of-00002.safetensors';
const two = 'model-00002-of-00002.safetensors';
const soundFiles = async (): Promise<Record<string, Uint8Array>> => ({ [one]: await shard(tensor('a', 2), tensor('b', 1)), [two]: await shard(tensor('c', 4)) });
const soundIndex = { metadata: { total_size: 28, total_parameters: 7 }, weight_map: { a: one, b: one, c: two } };

/** The index (text, or an object to be written as JSON) with these files beside it. */
async function read(index: unknown, files: Record<string, Uint8Array>) {
  const text = typeof index === 'string' ? index : JSON.stringify(index);
  const resolve: ShardResolver = async (name) => (Object.hasOwn(files, name) ? memorySource(files[name]!, name) : undefined);
  return { text, ...(await readSharded(memorySource(new TextEncoder().encode(text), 'model.safetensors.index.json'), resolve)) };
}

describe('a sound index', () => {
  it('is read without a finding', async () => {
    const { diagnostics, checkpoint, variant } = await read(soundIndex, await soundFiles());
    expect(diagnostics).toEqual([]);
    expect([variant, checkpoint!.tensors.map(({ name, location }) => [name, location.source.name])]).toEqual(['safetensors', [['a', one], ['b', one], ['c', two]]]);
    expect(checkpoint!.metadata).toEqual({ total_size: 28, total_parameters: 7, shards: [one, two] });
  });
  it('alone, without its shards, gives no checkpoint and no errors', async () => {
    const result = await shardedIndexFormat().read(memorySource(new TextEncoder().encode(JSON.stringify(soundIndex))));
    expect([result.checkpoint, result.diagnostics]).toEqual([undefined, []]);
  });
  it('is detected by its first key or its name', () => {
    const format = shardedIndexFormat();
    const head = (text: string) => new TextEncoder().encode(text);
    expect(format.detect(head('{\n "weight_map": {'), 'x', 20)?.confidence).toBe('certain');
    expect(format.detect(head('garbage'), 'model.safetensors.index.json', 7)?.confidence).toBe('likely');
    expect(format.detect(head('{"error": "x"}'), 'config.json', 14)).toBeUndefined();
  });
});

type Files = Record<string, Uint8Array>;
/** `marked`: the text of the index that the finding's byte range covers; `in`: the source it is about when not the index. */
interface Rule {
  readonly code: string;
  readonly name: string;
  readonly index: unknown;
  readonly files?: (files: Files) => Files | Promise<Files>;
  readonly marked?: string;
  readonly in?: string;
}

const mapOf = (map: Record<string, unknown>) => ({ ...soundIndex, weight_map: map });
const text = (from: string, to: string) => {
  const sound = JSON.stringify(soundIndex);
  if (!sound.includes(from)) throw new Error(`${from} is not in the index`);
  return sound.replace(from, to);
};
const without = (name: string) => (files: Files): Files => Object.fromEntries(Object.entries(files).filter(([key]) => key !== name));
const named = (bad: string): Rule => ({ code: 'SHARDED_INDEX_SHARD_NAME', name: JSON.stringify(bad), index: mapOf({ a: one, b: one, c: two, d: bad }), marked: JSON.stringify(bad) });

const rules: readonly Rule[] = [
  { code: 'SHARDED_INDEX_NOT_UTF8', name: 'a byte order mark', index: `\ufeff${JSON.stringify(soundIndex)}`, marked: '\ufeff' },
  { code: 'SHARDED_INDEX_JSON_SYNTAX', name: 'a Git LFS pointer', index: 'version https://git-lfs.github.com/spec/v1', marked: 'v' },
  { code: 'SHARDED_INDEX_JSON_SYNTAX', name: 'an empty file', index: '' },
  { code: 'SHARDED_INDEX_JSON_SYNTAX', name: 'a cut index', index: JSON.stringify(soundIndex).slice(0, 60) },
  { code: 'SHARDED_INDEX_JSON_SYNTAX', name: 'two documents', index: '{}{}', marked: '{}' },
  { code: 'SHARDED_INDEX_JSON_DEPTH', name: '128 levels', index: text('"total_size":28', `"x":${'['.repeat(126)}${']'.repeat(126)}`), marked: '[' },
  { code: 'SHARDED_INDEX_LONE_SURROGATE', name: 'half a surrogate pair', index: text('"a"', '"\\ud800"'), marked: '\\ud800' },
  { code: 'SHARDED_INDEX_NOT_OBJECT', name: 'an array', index: '[]', marked: '[]' },
  { code: 'SHARDED_INDEX_DUPLICATE_KEY', name: 'a tensor twice', index: text('"b":', `"a":${JSON.stringify(one)},"b":`), marked: '"a"' },
  { code: 'SHARDED_INDEX_DUPLICATE_KEY', name: 'a tensor twice, once escaped', index: text('"b":', `"\\u0061":${JSON.stringify(one)},"b":`), marked: '"\\u0061"' },
  { code: 'SHARDED_INDEX_DUPLICATE_KEY', name: 'weight_map twice', index: text('}}', '},"weight_map":{}}'), marked: '"weight_map"' },
  { code: 'SHARDED_INDEX_DUPLICATE_KEY', name: 'total_size twice', index: text('"total_size":28,', '"total_size":28,"total_size":28,'), marked: '"total_size"' },
  { code: 'SHARDED_INDEX_NO_WEIGHT_MAP', name: 'metadata alone', index: { metadata: soundIndex.metadata } },
  { code: 'SHARDED_INDEX_NO_METADATA', name: 'weight_map alone', index: { weight_map: soundIndex.weight_map } },
  { code: 'SHARDED_INDEX_UNKNOWN_KEY', name: 'a third member', index: { ...soundIndex, weightmap: 1 }, marked: '"weightmap":1' },
  { code: 'SHARDED_INDEX_FIELD_TYPE', name: 'metadata as a list', index: { ...soundIndex, metadata: [] }, marked: '[]' },
  { code: 'SHARDED_INDEX_FIELD_TYPE', name: 'weight_map as null', index: { ...soundIndex, weight_map: null }, marked: 'null' },
  { code: 'SHARDED_INDEX_FIELD_TYPE', name: 'a shard as a list', index: mapOf({ a: [one] }), marked: JSON.stringify([one]) },
  { code: 'SHARDED_INDEX_EMPTY', name: 'an empty map', index: { metadata: { total_size: 0 }, weight_map: {} }, marked: '{}' },
  ...['../x.safetensors', '..', '.', '', '/etc/passwd', 'C:\\x.bin', 'c:x.bin', 'sub/x.safetensors', '..\\x.bin', 'x.bin/', 'https://h/x.bin', 'file:///x', 'x\n.bin', 'x.bin\n', 'x\0.bin', ' x.bin', 'x.bin ', 'x.bin.', '~x.bin', 'x.bin:s', 'x%2f..', 'x.bin?y', 'a'.repeat(256)].map(named),
  { code: 'SHARDED_INDEX_SHARD_CASE', name: 'one name in two cases', index: mapOf({ a: one, b: one, c: two, d: two.toUpperCase() }), files: async (files) => ({ ...files, [two.toUpperCase()]: await shard(tensor('d', 0)) }), marked: JSON.stringify(two.toUpperCase()) },
  { code: 'SHARDED_INDEX_SHARD_KIND', name: 'an unknown ending', index: mapOf({ a: one, b: one, c: two, d: 'more.weights' }), files: async (files) => ({ ...files, 'more.weights': await shard(tensor('d', 0)) }), marked: '"more.weights"' },
  { code: 'SHARDED_INDEX_MIXED_KINDS', name: 'a pickled shard among others', index: mapOf({ a: one, b: one, c: two, d: 'extra.bin' }), files: async (files) => ({ ...files, 'extra.bin': await torchFile(tensor('d', 0)) }), marked: '"extra.bin"' },
  { code: 'SHARDED_INDEX_NUMBERING', name: 'a gap', index: { ...soundIndex, weight_map: { a: 'm-1-of-3.safetensors', b: 'm-1-of-3.safetensors', c: 'm-3-of-3.safetensors' } }, files: (files) => ({ 'm-1-of-3.safetensors': files[one]!, 'm-3-of-3.safetensors': files[two]! }), marked: '"m-1-of-3.safetensors"' },
  { code: 'SHARDED_INDEX_NUMBERING', name: 'two totals', index: { ...soundIndex, weight_map: { a: one, b: one, c: 'model-00002-of-00003.safetensors' } }, files: (files) => ({ [one]: files[one]!, 'model-00002-of-00003.safetensors': files[two]! }), marked: '"model-00002-of-00003.safetensors"' },
  { code: 'SHARDED_INDEX_NUMBERING', name: 'a number above the total', index: { ...soundIndex, weight_map: { a: one, b: one, c: 'model-00003-of-00002.safetensors' } }, files: (files) => ({ [one]: files[one]!, 'model-00003-of-00002.safetensors': files[two]! }), marked: '"model-00003-of-00002.safetensors"' },
  { code: 'SHARDED_INDEX_TOO_MANY_SHARDS', name: '10,001 shards', index: { ...soundIndex, weight_map: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, `s${i}.safetensors`])) } },
  { code: 'SHARDED_INDEX_SHARD_MISSING', name: 'a file that is not there', index: soundIndex, files: without(two), marked: JSON.stringify(two) },
  { code: 'SHARDED_INDEX_SHARD_CONTENT', name: 'safetensors called .bin', index: { ...soundIndex, weight_map: { a: 'm1.bin', b: 'm1.bin', c: 'm2.bin' } }, files: async (files) => ({ 'm1.bin': files[one]!, 'm2.bin': await torchFile(tensor('c', 4)) }), marked: '"m1.bin"' },
  { code: 'SHARDED_INDEX_SHARD_CONTENT', name: 'a pickle called .safetensors', index: soundIndex, files: async (files) => ({ ...files, [two]: await torchFile(tensor('c', 4)) }), marked: JSON.stringify(two) },
  { code: 'SHARDED_INDEX_TENSOR_MISSING', name: 'a tensor that no shard has', index: mapOf({ a: one, b: one, c: two, d: two }), marked: JSON.stringify(two) },
  { code: 'SHARDED_INDEX_TENSOR_MISSING', name: '__proto__', index: text('"c":', `"__proto__":${JSON.stringify(one)},"c":`), marked: JSON.stringify(one) },
  { code: 'SHARDED_INDEX_TENSOR_MISSING', name: 'a tensor in the other shard', index: mapOf({ a: one, b: two, c: two }), marked: JSON.stringify(two) },
  { code: 'SHARDED_INDEX_TENSOR_TWICE', name: 'a tensor in both shards', index: { ...soundIndex, metadata: {} , weight_map: soundIndex.weight_map }, files: async (files) => ({ ...files, [two]: await shard(tensor('c', 4), tensor('a', 2)) }), marked: JSON.stringify(one) },
  { code: 'SHARDED_INDEX_TENSOR_UNMAPPED', name: 'a tensor that the index leaves out', index: mapOf({ a: one, c: two }), in: one },
  { code: 'SHARDED_INDEX_NO_TOTAL_SIZE', name: 'metadata without total_size', index: { ...soundIndex, metadata: {} }, marked: '{}' },
  { code: 'SHARDED_INDEX_TOTAL_SIZE_TYPE', name: 'a float', index: text('"total_size":28', '"total_size":28.0'), marked: '28.0' },
  { code: 'SHARDED_INDEX_TOTAL_SIZE_TYPE', name: 'a string', index: text('"total_size":28', '"total_size":"28"'), marked: '"28"' },
  { code: 'SHARDED_INDEX_TOTAL_SIZE_TYPE', name: '2^53', index: text('"total_size":28', '"total_size":9007199254740992'), marked: '9007199254740992' },
  { code: 'SHARDED_INDEX_TOTAL_SIZE', name: 'one byte more', index: text('"total_size":28', '"total_size":29'), marked: '29' },
  { code: 'SHARDED_INDEX_TOTAL_PARAMETERS', name: 'one element less', index: text('"total_parameters":7', '"total_parameters":6'), marked: '6' },
];

async function torchFile(...tensors: readonly TensorInfo[]): Promise<Uint8Array> {
  const files = new Map<string, MemorySink>();
  await writeSharded({ format: 'x', variant: 'x', metadata: {}, tensors }, { kind: 'torch', shardSizeBytes: 2 ** 30, open: (name) => sinkFor(files, name) });
  return files.get('pytorch_model.bin')!.bytes();
}
function sinkFor(files: Map<string, MemorySink>, name: string): MemorySink {
  const sink = memorySink();
  files.set(name, sink);
  return sink;
}

describe.each(rules)('$code: $name', ({ code, index, files, marked, in: where }) => {
  // A total that follows from the change is not what the rule is about.
  const consequences = code === 'SHARDED_INDEX_TENSOR_TWICE' ? ['SHARDED_INDEX_NO_TOTAL_SIZE'] : [];
  it('is found alone, at its place, with the severity of the table', async () => {
    const all = await soundFiles();
    const { diagnostics, text: written, checkpoint } = await read(index, files ? await files(all) : all);
    const found = diagnostics.filter((diagnostic) => !consequences.includes(diagnostic.code));
    expect(codes(found)).toEqual([code]);
    const [{ byteRange, severity, source, hint }] = found as [Diagnostic];
    expect(severity).toBe(shardedIndexCodes[code as keyof typeof shardedIndexCodes].severity);
    expect(checkpoint === undefined).toBe(severity === 'error');
    expect(source).toBe(where ?? 'model.safetensors.index.json');
    expect(hint).not.toBe('');
    const bytes = new TextEncoder().encode(written);
    const covered = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(byteRange![0], byteRange![1]));
    expect(where ?? marked ?? covered).toBe(where ?? covered);
  });
});

describe('readSharded', () => {
  it('has a rule above for every code but those of limits that take megabytes', () => {
    expect(new Set([...rules.map(({ code }) => code), 'SHARDED_INDEX_TOO_LARGE', 'SHARDED_INDEX_STRING_TOO_LONG', 'SHARDED_INDEX_TOO_MANY_TENSORS', 'SHARDED_INDEX_METADATA_TOO_LARGE'])).toEqual(new Set(Object.keys(shardedIndexCodes)));
  });
  it('does not read an index of more than 100,000,000 bytes (SHARDED_INDEX_TOO_LARGE)', async () => {
    const source: ByteSource = { name: 'big', size: 100_000_001, read: async () => { throw new Error('read'); } };
    expect(codes((await readIndexFile(source)).diagnostics)).toEqual(['SHARDED_INDEX_TOO_LARGE']);
  });
  const codesOfIndex = async (indexText: string): Promise<readonly string[]> => codes((await readIndexFile(memorySource(new TextEncoder().encode(indexText), 'model.safetensors.index.json'))).diagnostics);
  const lines = (count: number): string => Array.from({ length: count }, (_, index) => `"${index}":"${one}"`).join(',');
  it('takes 524,288 lines and no more (SHARDED_INDEX_TOO_MANY_TENSORS)', async () => {
    expect(await codesOfIndex(`{"metadata":{"total_size":0},"weight_map":{${lines(524_287)}}}`)).toEqual([]);
    expect(await codesOfIndex(`{"metadata":{"total_size":0},"weight_map":{${lines(524_288)}}}`)).toEqual(['SHARDED_INDEX_TOO_MANY_TENSORS']);
  });
  it('takes a megabyte of metadata and no more (SHARDED_INDEX_METADATA_TOO_LARGE)', async () => {
    const withNote = (length: number): string => `{"metadata":{"total_size":0,"note":"${'x'.repeat(length)}"},"weight_map":{"a":"${one}"}}`;
    expect(await codesOfIndex(withNote(1_048_576 - 25))).toEqual([]);
    expect(await codesOfIndex(withNote(1_048_576 - 24))).toEqual(['SHARDED_INDEX_METADATA_TOO_LARGE']);
  });
  it('takes no string above 16,777,216 bytes (SHARDED_INDEX_STRING_TOO_LONG)', async () => {
    expect(await codesOfIndex(`{"metadata":{"total_size":0},"weight_map":{"${'x'.repeat(16_777_216)}":"${one}"}}`)).toEqual([]);
    expect(await codesOfIndex(`{"metadata":{"total_size":0},"weight_map":{"${'x'.repeat(16_777_217)}":"${one}"}}`)).toEqual(['SHARDED_INDEX_STRING_TOO_LONG']);
  });
  it('stops opening shards when they hold more than 524,288 tensors (SHARDED_INDEX_TOO_MANY_TENSORS)', async () => {
    const shardBytes = encodeHeader(Array.from({ length: 262_144 }, (_, index) => ({ name: String(index), dtype: dtype('U8'), shape: [0], location: { source: memorySource(new Uint8Array(0)), offset: 0, length: 0 } })));
    const names = Array.from({ length: 9 }, (_, index) => `model-${String(index + 1).padStart(5, '0')}-of-00009.safetensors`);
    const asked: string[] = [];
    const index = JSON.stringify({ metadata: { total_size: 0 }, weight_map: Object.fromEntries(names.map((name, i) => [`t${i}`, name])) });
    const { diagnostics, checkpoint } = await readSharded(memorySource(new TextEncoder().encode(index)), async (name) => {
      asked.push(name);
      return memorySource(shardBytes, name);
    }, { concurrency: 1 });
    expect(diagnostics.filter(({ code }) => code === 'SHARDED_INDEX_TOO_MANY_TENSORS').map(({ message }) => message)).toEqual([`the shards up to "${names[2]}" hold more than 524288 tensors`]);
    expect([asked, checkpoint]).toEqual([names.slice(0, 3), undefined]);
  });
  it('reports what is wrong in a shard with the shard\'s codes and name, and says nothing more of its tensors', async () => {
    const files = await soundFiles();
    const { diagnostics } = await read(soundIndex, { ...files, [two]: files[two]!.subarray(0, files[two]!.length - 1) });
    expect(diagnostics.map(({ code, source }) => [code, source])).toEqual([['SAFETENSORS_TRUNCATED', two]]);
  });
  it('never asks the resolver for a name that is not a plain file name', async () => {
    const asked: string[] = [];
    const map = { a: '../a.safetensors', b: 'b.safetensors', c: 'https://x/c.safetensors' };
    await readSharded(memorySource(new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: map }))), async (name) => {
      asked.push(name);
      return undefined;
    });
    expect(asked).toEqual(['b.safetensors']);
  });
  it('opens at most as many shards at a time as it is told, and closes them on request', async () => {
    let open = 0;
    let most = 0;
    let closed = 0;
    const bytes = new Map<string, Uint8Array>();
    for (let i = 1; i <= 9; i++) bytes.set(`s-${i}-of-9.safetensors`, await shard(tensor(`t${i}`, 1)));
    const resolve: ShardResolver = async (name) => {
      most = Math.max(most, ++open);
      const memory = memorySource(bytes.get(name)!, name);
      return { ...memory, read: async (offset, length) => {
        await new Promise((done) => setTimeout(done, 2));
        open--;
        return memory.read(offset, length);
      }, close: async () => void closed++ };
    };
    const index = { metadata: { total_size: 36 }, weight_map: Object.fromEntries(Array.from(bytes.keys(), (name, i) => [`t${i + 1}`, name])) };
    const result = await readSharded(memorySource(new TextEncoder().encode(JSON.stringify(index))), resolve, { concurrency: 3 });
    expect(result.diagnostics).toEqual([]);
    expect(most).toBe(3);
    await result.close();
    expect(closed).toBe(9);
  });
  it('closes what it opened when a shard cannot be read', async () => {
    const files = await soundFiles();
    let closed = 0;
    const resolve: ShardResolver = async (name) => {
      const memory = memorySource(files[name]!, name);
      return { ...memory, close: async () => void closed++, read: name === two ? async () => { throw new Error('disk'); } : (offset, length) => memory.read(offset, length) };
    };
    await expect(readSharded(memorySource(new TextEncoder().encode(JSON.stringify(soundIndex))), resolve)).rejects.toThrow('disk');
    expect(closed).toBe(2);
  });
  it('asks who knows what a shard is instead that its format refuses', async () => {
    const files = await soundFiles();
    const page = new TextEncoder().encode('<!doctype html><title>404</title>');
    const finding: Diagnostic = { code: 'X_PAGE', severity: 'error', message: 'a page', source: two };
    const index = memorySource(new TextEncoder().encode(JSON.stringify(soundIndex)));
    const result = await readSharded(index, async (name) => memorySource(name === two ? page : files[name]!, name), { recognise: (head) => (head[0] === 0x3c ? finding : undefined) });
    expect(codes(result.diagnostics)).toEqual(['X_PAGE']);
  });
  const tied = sharedData('models/qwen2-tiny/f16-bin-tied-shared-storage/pytorch_model.bin');
  it.skipIf(!tied)('counts what shares a storage once, as total_size does (SHARDED_INDEX_TOTAL_SIZE)', async () => {
    const file = new Uint8Array(readFileSync(tied!));
    const { tensors } = (await torchCheckpoint.read(memorySource(file))).checkpoint!;
    // 113,472 elements of two bytes without lm_head.weight, which is embed_tokens.weight again.
    const index = (totalSize: number) => ({ metadata: { total_size: totalSize }, weight_map: Object.fromEntries(tensors.map(({ name }) => [name, 'pytorch_model.bin'])) });
    expect(codes((await read(index(226_944), { 'pytorch_model.bin': file })).diagnostics)).toEqual([]);
    expect(codes((await read(index(226_944 + 2 * 320 * 64), { 'pytorch_model.bin': file })).diagnostics)).toEqual(['SHARDED_INDEX_TOTAL_SIZE']);
  });
  it('accepts ordinary names', () => {
    for (const name of [one, 'pytorch_model.bin', 'consolidated.00.pth', 'model.fp16-00001-of-00002.safetensors', 'modèle 1.safetensors', '..model.bin']) expect(shardNameFault(name)).toBeUndefined();
  });
});

describe('the JSON Schema', () => {
  const schema = json(new URL('../../../specs/sharded-index/sharded-index.schema.json', import.meta.url).pathname) as object;
  const conforms = new Ajv2020({ strict: true }).compile(schema);
  /** What no schema sees: text, duplicate keys, and whatever is about several names or about the shards. */
  const beyond = /JSON|UTF8|SURROGATE|DUPLICATE|NO_TOTAL_SIZE|TOO_|CASE|MIXED|NUMBERING|SHARD_MISSING|CONTENT|TENSOR_|TOTAL_SIZE$|TOTAL_PARAMETERS/;
  it('accepts the sound index and refuses what the reader finds in one', () => {
    expect(conforms(soundIndex)).toBe(true);
    const judged = rules.filter(({ code }) => !beyond.test(code));
    expect(judged.length).toBeGreaterThan(25);
    // 28.0 is 28 to JSON.parse; the reader sees the token.
    const seen = judged.filter(({ code, name }) => !(code === 'SHARDED_INDEX_TOTAL_SIZE_TYPE' && name === 'a float'));
    expect(seen.filter(({ index }) => conforms(typeof index === 'string' ? JSON.parse(index) : index)).map(({ code, name }) => `${code} ${name}`)).toEqual([]);
  });
  const manifest = sharedData('index/manifest.json');
  it.skipIf(!manifest)('agrees with the reader on the collection', () => {
    const folder = dirname(manifest!);
    const names = readdirSync(folder).filter((file) => /^(ok|bad_path|bad_value|bad_weight_map|bad_no)/.test(file) && file.endsWith('.index.json'));
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect([name, conforms(json(join(folder, name)))]).toEqual([name, name.startsWith('ok')]);
  });
});

describe('writeSharded', () => {
  const checkpointOf = (tensors: readonly TensorInfo[]) => ({ format: 'x', variant: 'x', metadata: {}, tensors });
  async function write(tensors: readonly TensorInfo[], shardSizeBytes: number, kind: 'safetensors' | 'torch' = 'safetensors') {
    const files = new Map<string, MemorySink>();
    const committed: string[] = [];
    const result = await writeSharded(checkpointOf(tensors), { shardSizeBytes, kind, open: (name) => sinkFor(files, name), commit: (name) => void committed.push(name) });
    expect(committed).toEqual(result.files);
    return { result, files: Object.fromEntries(Array.from(files, ([name, sink]) => [name, sink.bytes()])) };
  }
  const five = [tensor('a', 2), tensor('b', 1), tensor('big', 100), tensor('c', 1), tensor('d', 2)];

  it.each(['safetensors', 'torch'] as const)('writes %s shards that are read back without a finding', async (kind) => {
    const { result, files } = await write(five, 12, kind);
    const { diagnostics, checkpoint, index } = await read(new TextDecoder().decode(files[result.entry]), files);
    expect(diagnostics).toEqual([]);
    expect([result.totalSize, index!.totalSize!.value]).toEqual([424, 424]);
    // What is larger than a shard is put away at once, before those that are still being filled: a and b (12 bytes), then c and d.
    expect(Array.from(index!.weightMap.values(), ({ name, shard: file }) => `${name} ${/(\d)-of-/.exec(file)![1]}`)).toEqual(['a 2', 'b 2', 'big 1', 'c 3', 'd 3']);
    expect(checkpoint!.tensors).toHaveLength(5);
  });
  it.each([[11, 4], [12, 3], [424, 1]])('with %i bytes a shard makes %i', async (shardSizeBytes, count) => {
    const { result, files } = await write(five, shardSizeBytes);
    expect(result.files.filter((name) => name.endsWith('.safetensors'))).toHaveLength(count);
    expect(result.entry).toBe(count === 1 ? 'model.safetensors' : 'model.safetensors.index.json');
    expect(Object.keys(files)).toEqual(result.files);
  });
  const real = sharedData('models/qwen2-tiny/bf16-sharded-safetensors/model.safetensors.index.json');
  it.skipIf(!real)('reproduces a real model\'s shards byte for byte', async () => {
    const { checkpoint, index } = await readAt(real!);
    const shardOf = ({ name }: TensorInfo) => index!.weightMap.get(name)!.shard;
    const bytesIn = (name: string) => checkpoint!.tensors.filter((entry) => shardOf(entry) === name).reduce((sum, { location }) => sum + location.length, 0);
    const names = index!.shards.map(({ name }) => name).toSorted();
    // The order of the original state dict is lost; with the largest first, each shard is full where the original was.
    const ordered = names.flatMap((name) => checkpoint!.tensors.filter((entry) => shardOf(entry) === name).toSorted((a, b) => b.location.length - a.location.length));
    const { files } = await write(ordered, Math.max(...names.map(bytesIn)));
    expect(Object.keys(files)).toEqual([...names, basename(real!)]);
    for (const name of names) expect(Buffer.compare(files[name]!, readFileSync(join(dirname(real!), name)))).toBe(0);
  });
  it('refuses a shard size that is not positive, and what a shard cannot hold', async () => {
    await expect(write(five, 0)).rejects.toThrow(RangeError);
    await expect(write([tensor('x', 1), tensor('x', 1)], 100)).rejects.toThrow(DiagnosticError);
  });
  it('writes names beyond ASCII as Python does', () => {
    expect(new TextDecoder().decode(encodeIndex(new Map([['\u{1f642}', 'b.bin'], ['\uffee', 'a.bin'], ['"\u007f', 'c.bin']]), { total_size: 1 }))).toBe(
      '{\n  "metadata": {\n    "total_size": 1\n  },\n  "weight_map": {\n    "\\"\u007f": "c.bin",\n    "\\uffee": "a.bin",\n    "\\ud83d\\ude42": "b.bin"\n  }\n}\n',
    );
  });
});

import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { array, assert, asyncProperty, constantFrom, nat, tuple } from 'fast-check';
import { load as parseYaml } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { memorySource } from '@weightspec/io';
import { fieldMap, type Field } from './index.js';
import { opcodes } from './layouts.js';
import { pickleNamer } from './pickle.js';

const fixture = (path: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../../../fixtures/${path}`, import.meta.url)));
const fieldsIn = async (bytes: Uint8Array, from = 0, to = bytes.length): Promise<readonly Field[]> => (await fieldMap(memorySource(bytes, 'model.bin'))).at([from, to]);
const spelled = (fields: readonly Field[]) => fields.map(({ name, byteRange: [start, end] }) => `${name} ${start}-${end}`);

/** An object of a parser that was compiled to remember where it read each field. */
interface Debugged {
  readonly _debug?: Readonly<Record<string, { readonly start: number; readonly end: number }>>;
  readonly [field: string]: unknown;
}
interface TorchZip extends Debugged {
  readonly end: Debugged;
  readonly entries: readonly (Debugged & { readonly local?: Debugged })[];
}
interface Placed extends Debugged {
  readonly record: Debugged;
}

const require = createRequire(import.meta.url);
const KaitaiStream: unknown = require('kaitai-struct/KaitaiStream');
const compiler = require('kaitai-struct-compiler') as { compile(language: string, specification: unknown, importer: { importYaml(name: string): Promise<unknown> }, debug: boolean): Promise<unknown> };

/** The root class of a specification, compiled so that its objects remember where each field was read. */
async function debugParser(folder: string, name: string): Promise<new (io: unknown) => Debugged & { _read(): void }> {
  const load = (file: string): unknown => parseYaml(readFileSync(new URL(`../../../../specs/${folder}/${file}.ksy`, import.meta.url), 'utf8'));
  const files = (await compiler.compile('javascript', load(name), { importYaml: (file) => Promise.resolve(load(file)) }, true)) as Readonly<Record<string, string>>;
  const modules = new Map<string, Readonly<Record<string, unknown>>>();
  const run = (className: string): Readonly<Record<string, unknown>> => {
    const known = modules.get(className);
    if (known) return known;
    const exported: Record<string, unknown> = {};
    modules.set(className, exported);
    const module = { exports: exported };
    compileFunction(files[`${className}.js`]!, ['module', 'exports', 'require'])(module, exported, (id: string) => (id.startsWith('./') ? run(id.slice(2)) : KaitaiStream));
    return exported;
  };
  const className = name.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  return run(className)[className] as new (io: unknown) => Debugged & { _read(): void };
}

/** Every field without parts below `node`, by snake-case name. */
function leavesOf(node: Debugged, names: ReadonlySet<string>): string[] {
  return Object.entries(node['_debug'] ?? {}).flatMap(([id, { start, end }]) => {
    const value = node[id];
    if (Array.isArray(value)) return value.flatMap((part) => (typeof part === 'object' && part !== null && '_debug' in part ? leavesOf(part as Debugged, names) : []));
    if (typeof value === 'object' && value !== null && '_debug' in value) return leavesOf(value as Debugged, names);
    const name = id.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return end > start && names.has(name) ? [`${name} ${start}-${end}`] : [];
  });
}

async function kaitaiLeaves(folder: string, specification: string, bytes: Uint8Array, names: readonly string[], parts: (root: Debugged) => readonly unknown[] = (root) => [root]): Promise<string[]> {
  const Parser = await debugParser(folder, specification);
  const root = new Parser(new (KaitaiStream as new (buffer: ArrayBuffer) => unknown)(bytes.slice().buffer));
  root['_read']();
  return parts(root).flatMap((part) => leavesOf(part as Debugged, new Set(names)));
}

const config = ['dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'vocab_size', 'max_seq_len'];

describe('fieldMap, against the parsers made from the specifications', () => {
  it('names the seven fields of a v0 header', async () => {
    const bytes = fixture('llama2c/valid/v0-shared.bin');
    const names = [...config];
    expect(spelled(await fieldsIn(bytes, 0, 28))).toEqual(await kaitaiLeaves('llama2c', 'llama2c_v0', bytes, names));
  });
  it('names the fields of the ak42 header', async () => {
    const bytes = fixture('llama2c/valid/v2-shared.bin');
    const names = ['magic', 'version', ...config, 'shared_classifier', 'group_size', 'reserved'];
    const kaitai = await kaitaiLeaves('llama2c', 'llama2c_ak42_header', bytes, names);
    expect(kaitai).toHaveLength(names.length);
    expect(spelled(await fieldsIn(bytes, 0, 256))).toEqual(kaitai);
  });
  it.each(['gen2', 'gen3', 'gen4', 'gen5'])('names the tokens of tokenizer.bin %s', async (generation) => {
    const bytes = fixture(`llama2c/valid/tokenizer-${generation}.bin`);
    const kaitai = await kaitaiLeaves('llama2c', `llama2c_tokenizer_${generation}`, bytes, ['max_token_length', 'len_piece', 'score', 'piece']);
    const fields = await fieldsIn(bytes);
    expect(kaitai.length).toBeGreaterThan(20);
    // A piece without bytes has no place to be named.
    expect(spelled(fields)).toEqual(kaitai);
    expect(fields.at(-1)?.record).toMatch(/^token \d+$/);
  });
  it('names the header and the records of a qwen.cpp file, and gives the rest to padding and tensors', async () => {
    const bytes = fixture('ggml-qwen/valid/q4_0.bin');
    const names = ['magic', 'ggml_type', 'vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers', 'intermediate_size', 'max_length', 'eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id', 'len_name', 'name', 'num_dimensions', 'num_elements', 'num_rows', 'num_columns'];
    const kaitai = await kaitaiLeaves('ggml-qwen', 'ggml_qwen', bytes, names, (root) => {
      const layers = root.layers as readonly Readonly<Record<string, Placed>>[];
      const inLayer = ['ln1', 'attnCAttnWeight', 'attnCAttnBias', 'attnCProj', 'ln2', 'mlpW1', 'mlpW2', 'mlpCProj'];
      return [root, ...[root.wte as Placed, ...layers.flatMap((layer) => inLayer.map((name) => layer[name]!)), root.lnF as Placed, root.lmHead as Placed].map(({ record }) => record)];
    });
    const fields = await fieldsIn(bytes);
    expect(kaitai.length).toBeGreaterThan(60);
    const ours = new Set(spelled(fields));
    expect(kaitai.filter((leaf) => !ours.has(leaf))).toEqual([]);
    // Nothing is left without a name.
    expect(fields.reduce((end, { byteRange }) => (byteRange[0] === end ? byteRange[1] : -1), 0)).toBe(bytes.length);
  });
  it('names the records of a torch archive', async () => {
    const bytes = fixture('torch-checkpoint/valid/plain.pth');
    const inCentral = ['signature', 'made_by', 'needed', 'flags', 'method', 'time', 'date', 'crc', 'len_compressed', 'len_uncompressed', 'len_name', 'len_extra', 'len_comment', 'disk', 'internal_attributes', 'external_attributes', 'ofs_header', 'name'];
    const inEnd = ['directory_disk', 'num_entries_on_disk', 'num_entries', 'len_directory', 'ofs_directory'];
    const kaitai = await kaitaiLeaves('torch-checkpoint', 'torch_zip', bytes, [...inCentral, ...inEnd], (root) => {
      const { end, entries } = root as TorchZip;
      return [end, ...entries.flatMap((entry) => [entry, entry.local])];
    });
    const ours = new Set(spelled(await fieldsIn(bytes)));
    expect(kaitai.length).toBeGreaterThan(100);
    expect(kaitai.filter((leaf) => !ours.has(leaf))).toEqual([]);
  });
});

describe('fieldMap, of pickles', () => {
  const torchFixtures = ['valid', 'invalid', 'ambiguous'].flatMap((folder) => readdirSync(new URL(`../../../../fixtures/torch-checkpoint/${folder}/`, import.meta.url)).filter((name) => name.endsWith('.pth')).map((name) => `torch-checkpoint/${folder}/${name}`));
  /** Opcodes of the pickle in `bytes` by the generated parser, until it can go no further. */
  const kaitaiOpcodes = async (bytes: Uint8Array, at: number): Promise<string[]> => {
    const Parser = await pickleParser();
    const root = new Parser(new (KaitaiStream as new (buffer: ArrayBuffer) => unknown)(bytes.slice().buffer));
    try {
      root['_read']();
    } catch {
      // Damaged, or cut: what was read until then counts.
    }
    const names = Object.entries((Parser as unknown as { readonly Code: Readonly<Record<string, number>> }).Code).filter(([, code]) => typeof code === 'number');
    const places = (root['_debug']?.opcodes as unknown as { readonly arr?: readonly { readonly start: number; readonly end: number }[] } | undefined)?.arr ?? [];
    return (root.opcodes as readonly { readonly code: number }[] | undefined ?? []).map(({ code }, index) => `${names.find(([, one]) => one === code)?.[0]} ${at + places[index]!.start}-${at + places[index]!.end}`).filter((opcode) => !opcode.endsWith('NaN'));
  };
  let loading: ReturnType<typeof debugParser> | undefined;
  const pickleParser = () => (loading ??= debugParser('torch-checkpoint', 'torch_pickle'));
  const opcodesOf = (fields: readonly Field[], record: RegExp) => fields.filter((field) => record.test(field.record ?? '')).map(({ name, byteRange: [start, end] }) => `${name.split(' ')[0]} ${start}-${end}`);

  it('names every opcode of data.pkl, as the parser made from torch_pickle.ksy does', async () => {
    let seen = 0;
    for (const path of torchFixtures) {
      const bytes = fixture(path);
      const ours = (await fieldsIn(bytes)).filter(({ record = '', name }) => /^[^/ ]+\/data\.pkl$/.test(record) && name !== 'data descriptor' && name !== 'no opcode');
      const [first, last] = [ours[0], ours.at(-1)];
      if (!first || !last) continue;
      const kaitai = await kaitaiOpcodes(bytes.subarray(first.byteRange[0], last.byteRange[1]), first.byteRange[0]);
      // An argument that is cut off is named all the same.
      expect([path, opcodesOf(ours, /./).slice(0, kaitai.length)]).toEqual([path, kaitai]);
      expect(ours.length - kaitai.length).toBeLessThanOrEqual(1);
      seen += kaitai.length;
    }
    expect(seen).toBeGreaterThan(1500);
  });
  it('names the five pickles and the storages of a legacy stream', async () => {
    const bytes = fixture('torch-checkpoint/valid/legacy.pth');
    const fields = await fieldsIn(bytes);
    const records = ['magic number', 'protocol version', 'sys_info', 'pickle', 'storage keys'];
    let at = 0;
    for (const record of records) {
      const kaitai = await kaitaiOpcodes(bytes.subarray(at), at);
      expect(opcodesOf(fields, new RegExp(`^${record}$`))).toEqual(kaitai);
      expect(fields.find(({ byteRange }) => byteRange[0] === at)).toMatchObject({ begins: record, name: 'PROTO 2' });
      at = Number(/-(\d+)$/.exec(kaitai.at(-1) ?? '')?.[1]);
    }
    expect(fields.slice(0, 2).map(({ name }) => name)).toEqual(['PROTO 2', 'LONG1 119547037146038801333356']);
    expect(fields.filter(({ byteRange }) => byteRange[0] >= at).map(({ name, begins = '' }) => `${begins}|${name}`).slice(0, 2)).toEqual(['storage 0|num_elements', '|w']);
    // Nothing is left without a name.
    expect(fields.reduce((end, { byteRange }) => (byteRange[0] === end ? byteRange[1] : -1), 0)).toBe(bytes.length);
  });
  it('names the storages where the pickles put them, when the counts disagree', async () => {
    const bytes = fixture('torch-checkpoint/invalid/legacy-count.pth');
    expect(spelled(await fieldsIn(bytes, 271, bytes.length))).toEqual(['num_elements 271-279', 'data 279-295']);
  });
  it('shows arguments: text, numbers, names, and how long the rest is', async () => {
    const names = async (path: string) => (await fieldsIn(fixture(path))).filter(({ record = '' }) => record.endsWith('data.pkl')).map(({ name }) => name);
    expect(await names('torch-checkpoint/invalid/global-os.pth')).toEqual(expect.arrayContaining(['PROTO 2', 'GLOBAL os system', 'BINUNICODE "true"', 'TUPLE1', 'REDUCE', 'STOP']));
    expect(await names('torch-checkpoint/valid/plain.pth')).toEqual(expect.arrayContaining(['GLOBAL torch._utils _rebuild_tensor_v2', 'BINUNICODE "storage"', 'BINPERSID', 'BININT1 4']));
  });
  it('knows the opcodes that CPython knows', (context) => {
    const script = 'import json, pickletools; print(json.dumps([[ord(o.code), o.name, o.arg.n if o.arg else 0, o.arg.name if o.arg else ""] for o in pickletools.opcodes]))';
    const { status, stdout } = spawnSync('python3', ['-c', script], { encoding: 'utf8' });
    if (status !== 0) {
      context.skip('python3 is not installed; its pickletools were not asked');
      return;
    }
    // Fixed lengths as numbers; of counted arguments the size of the count, of lines none.
    const ofPython = (JSON.parse(stdout) as [number, string, number, string][]).map(([code, name, size, form]) => [code, name, size >= 0 ? size : form.includes('nl') ? form.replace(/^.*?(_pair)?$/, '$1') : Number(form.at(-1))]);
    const ours = Object.entries(opcodes).map(([code, [name, argument = '']]) => [Number(code), name, argument === '' ? 0 : argument === 'line' ? '' : argument === 'two lines' ? '_pair' : Number(argument[1])]);
    const byCode = (a: readonly unknown[], b: readonly unknown[]) => Number(a[0]) - Number(b[0]);
    expect(ours.toSorted(byCode)).toEqual(ofPython.toSorted(byCode));
  });
  it('names the same whatever was asked before, in a pickle of many pages', async () => {
    const text = (length: number): number[] => [0x58, length % 256, Math.floor(length / 256), 0, 0, ...Array.from({ length }, () => 0x61)];
    const parts = Array.from({ length: 3000 }, (_, index) => [...text((index * 7919) % 900), 0x30]);
    const bytes = Uint8Array.from([0x80, 2, ...parts.flat(), 0x4e, 0x2e, 0x80, 2, 0x4b, 7, 0x2e]);
    const source = memorySource(bytes, 'x');
    const namer = () => pickleNamer(source, { start: 0, end: bytes.length, records: ['one', 'two'], announced: true });
    const whole = await namer()([0, bytes.length]);
    expect(whole.reduce((end, { byteRange }) => (byteRange[0] === end ? byteRange[1] : -1), 0)).toBe(bytes.length);
    expect(whole.slice(-3).map(({ name, record, begins }) => [name, record, begins])).toEqual([['PROTO 2', 'two', 'two'], ['BININT1 7', 'two', undefined], ['STOP', 'two', undefined]]);
    const asked = namer();
    for (const from of [bytes.length - 20, 5, 700_000, 699_000, 1_000_000]) {
      const to = Math.min(bytes.length, from + 48);
      expect(await asked([from, to])).toEqual(whole.filter(({ byteRange: [start, end] }) => start < to && end > from));
    }
  });
});

describe('fieldMap', () => {
  it('names tensors, and the values of a safetensors header', async () => {
    const header = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
    const bytes = new Uint8Array(8 + header.length + 8);
    bytes[0] = header.length;
    bytes.set(new TextEncoder().encode(header), 8);
    const fields = await fieldsIn(bytes);
    const at = (text: string) => 8 + header.indexOf(text);
    expect(fields).toEqual([
      { name: 'len_header', byteRange: [0, 8] },
      { name: 'dtype', record: 'a', byteRange: [at('"F32"'), at('"F32"') + 5] },
      { name: 'shape[0]', record: 'a', byteRange: [at('2]'), at('2]') + 1] },
      { name: 'data_offsets[0]', record: 'a', byteRange: [at('0,8'), at('0,8') + 1] },
      { name: 'data_offsets[1]', record: 'a', byteRange: [at('8]'), at('8]') + 1] },
      { name: 'a', byteRange: [8 + header.length, bytes.length] },
    ]);
    expect(spelled(await fieldsIn(bytes, at('8]'), at('8]') + 1))).toEqual([`data_offsets[1] ${at('8]')}-${at('8]') + 1}`]);
  });
  it('names what is left of a file that is cut within its header', async () => {
    expect(spelled(await fieldsIn(fixture('llama2c/valid/v2-shared.bin').subarray(0, 38)))).toEqual([
      'magic 0-4', 'version 4-8', 'dim 8-12', 'hidden_dim 12-16', 'n_layers 16-20', 'n_heads 20-24', 'n_kv_heads 24-28', 'vocab_size 28-32', 'max_seq_len 32-36', 'shared_classifier 36-37', 'group_size 37-38',
    ]);
  });
  it('gives the short header of the experimental layout its own end', async () => {
    const fields = await fieldsIn(fixture('llama2c/valid/v1-experimental-128.bin'), 100, 140);
    expect(spelled(fields).slice(0, 1)).toEqual(['reserved 41-128']);
    expect(fields[1]?.name).toBe('layers.0.attention_norm.weight');
  });
  it('has no names for what no format claims', async () => {
    expect(await fieldsIn(new TextEncoder().encode('hello'))).toEqual([]);
  });
  it('reads no further than the file, and throws for no damage', async () => {
    const files = ['llama2c/valid/v2-shared.bin', 'llama2c/valid/tokenizer-gen1.bin', 'ggml-qwen/valid/q4_0.bin', 'safetensors/valid/pair.safetensors', 'torch-checkpoint/valid/plain.pth', 'torch-checkpoint/valid/legacy.pth'].map(fixture);
    await expect(assert(asyncProperty(constantFrom(...files), array(tuple(nat(), nat(255)), { maxLength: 4 }), nat(), nat(), async (original, patches, cut, place) => {
      const bytes = original.slice(0, cut % 4 === 0 ? (cut >>> 2) % original.length : original.length);
      for (const [at, value] of patches) if (bytes.length > 0) bytes[at % Math.min(bytes.length, 400)] = value;
      const from = bytes.length === 0 ? 0 : place % bytes.length;
      const fields = await fieldsIn(bytes, from, Math.min(bytes.length, from + 48));
      return fields.every(({ byteRange: [start, end] }) => start < end && end <= bytes.length);
    }), { numRuns: 300 })).resolves.toBeUndefined();
  });
  it('names the same whatever was asked before, and walks a long file once', async () => {
    const rows = Array.from({ length: 6000 }, (_, index) => [`tensor.${index}`, { dtype: 'F32', shape: [0], data_offsets: [0, 0] }] as const);
    const header = JSON.stringify(Object.fromEntries(rows));
    const bytes = new Uint8Array(8 + header.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(new TextEncoder().encode(header), 8);
    const places = Array.from({ length: 4 }, (_, index) => (index * 7919 * 101) % bytes.length);
    const one = await fieldMap(memorySource(bytes, 'x.safetensors'));
    for (const from of places) {
      const fresh = await fieldMap(memorySource(bytes, 'x.safetensors'));
      expect(await one.at([from, from + 48])).toEqual(await fresh.at([from, from + 48]));
    }
    const last = await one.at([bytes.length - 30, bytes.length]);
    expect(last.map(({ name, record }) => `${name} of ${record}`)).toContain('data_offsets[0] of tensor.5999');
  });
  it.each(['llama2c/valid/tokenizer-gen5.bin', 'ggml-qwen/valid/q4_0.bin', 'torch-checkpoint/valid/plain.pth', 'torch-checkpoint/valid/legacy.pth', 'safetensors/valid/pair.safetensors'])('names the same backwards and forwards: %s', async (path) => {
    const bytes = fixture(path);
    const ranges = Array.from({ length: Math.ceil(bytes.length / 48) }, (_, index) => [48 * index, Math.min(48 * (index + 1), bytes.length)] as const);
    const [forwards, backwards] = [await fieldMap(memorySource(bytes, 'm.bin')), await fieldMap(memorySource(bytes, 'm.bin'))];
    const there = new Map<number, readonly Field[]>();
    for (const range of ranges) there.set(range[0], await forwards.at(range));
    for (const range of ranges.toReversed()) expect(await backwards.at(range)).toEqual(there.get(range[0]));
  });
});

import { createServer } from 'node:http';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memorySource } from '@weightspec/io';
import { readTorch } from '@weightspec/oracles';
import { torchCheckpoint, type TorchTensorInfo } from '@weightspec/torch-checkpoint';
import { archive, assemble, build, emptyDict, global, int, keysPickle, magicPickle, member, orderedDict, proto, setItem, stop, systemPickle, tensor as rebuilt, text as unicode, tuple1, tuple2, u64, version, versionPickle, type MemberRecipe, type Piece } from '../../../../fixtures/torch-checkpoint/archive.js';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const fixture = (path: string): string => fileURLToPath(new URL(`../../../../fixtures/${path}`, import.meta.url));
const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));
/** A safetensors file of these tensors, their data one behind the other. */
function safetensorsBytes(tensors: readonly (readonly [name: string, dtype: string, shape: readonly number[], data: Uint8Array])[], pad = ' '): Uint8Array {
  let end = 0;
  const header = Object.fromEntries(tensors.map(([name, dtype, shape, { length }]) => [name, { dtype, shape, data_offsets: [end, (end += length)] }]));
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json + pad.repeat((8 - (json.length % 8)) % 8));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return Uint8Array.from([length, text, ...tensors.map(([, , , data]) => data)].flatMap((part) => [...part]));
}
const f32 = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

let folder = '';
const at = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-repair-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Report {
  readonly reports: readonly { readonly verdict: string; readonly diagnostics: readonly { readonly code: string; readonly severity: string }[] }[];
}

/** Repairs `source`, whose bytes must stay as they are, and gives what was written, what was said and what validate says of it. */
async function repaired(source: string, name = basename(source)) {
  const before = bytesOf(source);
  const result = await weightspec('repair', source, at(name));
  expect(bytesOf(source)).toEqual(before);
  const { stdout } = await weightspec('validate', at(name), '--format', 'json');
  const [report] = (JSON.parse(stdout) as Report).reports;
  return { ...result, bytes: bytesOf(at(name)), report: report! };
}

describe('repair of header bytes', () => {
  it.each([
    ['llama2c/invalid/v1-fp32-padding.bin', 'LLAMA2C_HEADER_PADDING'],
    ['llama2c/invalid/v1-experimental-128-padding.bin', 'LLAMA2C_HEADER_PADDING'],
    ['llama2c/invalid/v1-fp32-shared-flag-255.bin', 'LLAMA2C_SHARED_FLAG'],
    ['llama2c/invalid/v2-shared-flag-2.bin', 'LLAMA2C_SHARED_FLAG'],
    ['llama2c/invalid/v1-int8-unshared-flag.bin', 'LLAMA2C_V1_INT8_UNSHARED'],
    ['ggml-qwen/invalid/padding-first-byte.bin', 'GGML_QWEN_PADDING'],
    ['ggml-qwen/invalid/padding-last-byte.bin', 'GGML_QWEN_PADDING'],
  ])('%s becomes the fixture that it was made from (%s)', async (path, code) => {
    const { twin } = JSON.parse(readFileSync(fixture(path).replace(/\.bin$/, '.expect.json'), 'utf8')) as { twin: string };
    const { code: exitCode, stdout, bytes, report } = await repaired(fixture(path));
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`(${code})`);
    expect(bytes).toEqual(bytesOf(fixture(`${path.split('/')[0]}/${twin}.bin`)));
    expect(report.verdict).toBe('valid');
  });
  it('sets the sign of a v0 file that holds a classifier of its own, and takes it away where there is none', async () => {
    const own = bytesOf(fixture('llama2c/valid/v0-unshared.bin'));
    const view = new DataView(own.buffer);
    view.setInt32(20, -view.getInt32(20, true), true);
    writeFileSync(at('lost-sign.bin'), own);
    const { stdout, bytes } = await repaired(at('lost-sign.bin'), 'with-sign.bin');
    expect(bytes).toEqual(bytesOf(fixture('llama2c/valid/v0-unshared.bin')));
    expect(stdout).toMatch(/changed: vocab_size is -\d+ now, not \d+/);
    const other = await repaired(fixture('llama2c/invalid/v0-classifier-missing.bin'));
    expect(other.report.verdict).toBe('valid');
    expect(other.stdout).toContain('If a download was cut exactly there, fetch it again instead');
  });
});

describe('repair of every llama2c layout', () => {
  const layouts = readdirSync(fixture('llama2c/valid')).filter((name) => /^v\d.*\.bin$/.test(name));
  const changed = (name: string, change: (bytes: Uint8Array, view: DataView) => void): Uint8Array => {
    const bytes = bytesOf(fixture(`llama2c/valid/${name}`));
    change(bytes, new DataView(bytes.buffer));
    return bytes;
  };
  const isV0 = (name: string): boolean => name.startsWith('v0');
  /** Writes `broken` and repairs it; the fixture's own bytes must come back. */
  async function mended(broken: Uint8Array): Promise<Uint8Array> {
    writeFileSync(at('broken.bin'), broken);
    return (await repaired(at('broken.bin'), 'mended.bin')).bytes;
  }
  const sound = (name: string): Uint8Array => bytesOf(fixture(`llama2c/valid/${name}`));

  it('there are all seven', () => {
    expect(layouts.length).toBeGreaterThanOrEqual(17);
    for (const prefix of ['v0-', 'v1-fp32-', 'v1-int8', 'v1-experimental.', 'v1-experimental-128', 'v2-', 'v2-contiguous']) expect(layouts.some((name) => name.startsWith(prefix))).toBe(true);
  });
  it.each(layouts)('%s: the shared flag that was lost', async (name) => {
    expect(await mended(changed(name, (bytes, view) => (isV0(name) ? view.setInt32(20, -view.getInt32(20, true), true) : (bytes[36] = 1 - bytes[36]!))))).toEqual(sound(name));
  });
  it.each(layouts.filter((name) => !isV0(name) && bytesOf(fixture(`llama2c/valid/${name}`))[36] === 1))('%s: a shared flag of 7', async (name) => {
    expect(await mended(changed(name, (bytes) => (bytes[36] = 7)))).toEqual(sound(name));
  });
  it.each(layouts.filter((name) => !isV0(name)))('%s: padding with something in it', async (name) => {
    expect(await mended(changed(name, (bytes) => (bytes[100] = 9)))).toEqual(sound(name));
  });
  it('takes no tensor for padding where the flag decides the layout: both at once', async () => {
    expect(await mended(changed('v1-experimental-128.bin', (bytes) => ([bytes[36], bytes[50]] = [0, 3])))).toEqual(sound('v1-experimental-128.bin'));
  });
});

describe('repair of torch files', () => {
  const layer = 'model.layers.0.self_attn.q_proj';
  const vector = (count: number): readonly Piece[] => [int(count), tuple1];
  const storage = { int8: [global('torch', 'CharStorage')], f32: [global('torch', 'FloatStorage')] };
  /** Code [1, 2] of storage 0, scale [1, 1] of storage 1 and, if asked for, migration scale [2] of storage 2. */
  const entries = (migrated: boolean, legacy: boolean): Piece[] => [
    unicode(`${layer}.weight`), ...rebuilt({ legacy, key: '0', type: storage.int8, count: 2, size: [int(1), int(2), tuple2], stride: [int(2), int(1), tuple2] }), setItem,
    ...(migrated ? [unicode(`${layer}.migration_scale`), ...rebuilt({ legacy, key: '2', type: storage.f32, count: 2, size: vector(2), stride: vector(1) }), setItem] : []),
    unicode(`${layer}.scale`), ...rebuilt({ legacy, key: '1', type: storage.f32, count: 1, size: [int(1), int(1), tuple2], stride: [int(1), int(1), tuple2], location: 'cuda:0' }), setItem,
  ];
  const flat = (migrated: boolean, legacy = false): Piece[] => [proto, ...orderedDict, ...entries(migrated, legacy), emptyDict, unicode('_metadata'), ...orderedDict, unicode('model'), emptyDict, unicode('version'), int(2), setItem, setItem, setItem, build, stop];
  const training = (migrated: boolean): Piece[] => [proto, emptyDict, unicode('model'), emptyDict, ...entries(migrated, false), setItem, unicode('epoch'), int(3), setItem, unicode('optimizer'), emptyDict, unicode('m'), ...rebuilt({ key: '3', count: 4 }), setItem, setItem, stop];
  const data = { 0: Uint8Array.of(127, 1), 1: f32(0.5), 2: f32(0.5, 2), 3: f32(1, 2, 3, 4) };
  const zip = (pickle: Piece[], keys: readonly (keyof typeof data)[], more: readonly MemberRecipe[] = []): Uint8Array => archive({ members: [member('data.pkl', assemble(pickle).bytes), ...more, ...keys.map((key) => member(`data/${key}`, data[key])), version] }).bytes;
  const torch2 = [member('.format_version', '1'), member('.storage_alignment', '64'), member('byteorder', 'little')];
  function legacyFile(migrated: boolean): Uint8Array {
    const keys = migrated ? (['0', '2', '1'] as const) : (['0', '1'] as const);
    const pickles = [magicPickle, versionPickle, systemPickle(true), flat(migrated, true), keysPickle(...keys)].flatMap((pieces) => [...assemble(pieces).bytes]);
    return Uint8Array.from([...pickles, ...keys.flatMap((key) => [...u64(key === '1' ? 1 : 2), ...data[key]])]);
  }
  /** Names, types, shapes and bytes by an independent reading. */
  function reading(path: string) {
    const read = readTorch(path, 'kaitai');
    if (!read.accepted) throw new Error(`${path} is not accepted: ${JSON.stringify(read)}`);
    return read.tensors.map(({ name, dtype, shape, offset, length }) => ({ name, dtype, shape, bytes: [...bytesOf(path).subarray(offset, offset + length)] }));
  }

  it.each([
    ['pth', 'torch 1.13', zip(flat(true), [0, 2, 1]), zip(flat(false), [0, 1])],
    ['bin', 'torch 1.13', zip(flat(true), [0, 2, 1]), zip(flat(false), [0, 1])],
    ['pth', 'torch 2', zip(flat(true), [0, 2, 1], torch2), zip(flat(false), [0, 1], torch2)],
    ['pth', 'a legacy stream', legacyFile(true), legacyFile(false)],
    ['pt', 'a training checkpoint', zip(training(true), [0, 2, 1, 3]), zip(training(false), [0, 1, 3])],
  ])('leaves migration scales out of a .%s (%s), and keeps everything else of it', async (extension, kind, given, wanted) => {
    const name = `${kind.replaceAll(/\W/g, '')}.${extension}`;
    writeFileSync(at(`scales-${name}`), given);
    writeFileSync(at(`wanted-${name}`), wanted);
    const { code, stdout, report } = await repaired(at(`scales-${name}`), `bare-${name}`);
    expect([code, report.verdict]).toEqual([0, 'valid']);
    expect(stdout).toContain('1 migration scale left out: they are fused already (SMOOTHQUANT_MIGRATION_SCALES)');
    const tensors = reading(at(`bare-${name}`));
    expect(tensors).toEqual(reading(at(`wanted-${name}`)));
    expect(tensors).toHaveLength(2);
    const metadata = async (path: string) => {
      const checkpoint = (await torchCheckpoint.read(memorySource(bytesOf(path)))).checkpoint!;
      return { ...checkpoint.metadata, serializationId: undefined, devices: checkpoint.tensors.map((one) => (one as TorchTensorInfo).storage.device) };
    };
    expect(await metadata(at(`bare-${name}`))).toEqual(await metadata(at(`wanted-${name}`)));
  });
  it.each(['crc-local', 'legacy-count', 'legacy-trailing', 'storage-short', 'opcode-dup', 'trailing', 'storage-missing'])('refuses invalid/%s.pth (CLI_NOT_REPAIRABLE), and says why', async (name) => {
    const { code, stderr } = await weightspec('repair', fixture(`torch-checkpoint/invalid/${name}.pth`), at('refused.pth'));
    expect(code).toBe(2);
    expect(stderr).toMatch(/error TORCH_[A-Z_]+: [^]*error CLI_NOT_REPAIRABLE/);
    expect(readdirSync(folder)).not.toContain('refused.pth');
  });

  describe('in an index of .bin shards', () => {
    const shard = 'pytorch_model-00001-of-00001.bin';
    function write(name: string, totalSize: number, shardBytes: Uint8Array): string {
      mkdirSync(at(name), { recursive: true });
      writeFileSync(at(`${name}/${shard}`), shardBytes);
      writeFileSync(at(`${name}/pytorch_model.bin.index.json`), JSON.stringify({ metadata: { total_size: totalSize }, weight_map: { [`${layer}.weight`]: shard, [`${layer}.scale`]: shard } }, null, 2));
      return at(`${name}/pytorch_model.bin.index.json`);
    }
    it.each([['an archive', zip(flat(false), [0, 1])], ['a legacy stream', legacyFile(false)]])('counts total_size anew: %s', async (kind, bytes) => {
      const source = write(`bin-total-${kind.length}`, 7, bytes);
      const { report, bytes: written } = await repaired(source, `bin-total-${kind.length}/repaired.bin.index.json`);
      expect(JSON.parse(new TextDecoder().decode(written))).toMatchObject({ metadata: { total_size: 6 } });
      expect(report.verdict).toBe('valid');
    });
    it.each([['an archive', zip(flat(true), [0, 2, 1])], ['a legacy stream', legacyFile(true)]])('adds the migration scale that only the shard has: %s', async (kind, bytes) => {
      const source = write(`bin-scale-${kind.length}`, 14, bytes);
      const { report, bytes: written } = await repaired(source, `bin-scale-${kind.length}/repaired.bin.index.json`);
      expect(JSON.parse(new TextDecoder().decode(written))).toEqual({ metadata: { total_size: 14 }, weight_map: { [`${layer}.weight`]: shard, [`${layer}.scale`]: shard, [`${layer}.migration_scale`]: shard } });
      expect(report.verdict).toBe('valid');
    });
  });
});

describe('repair of safetensors', () => {
  it.each(['invalid/padding-nul', 'ambiguous/padding-tab', 'ambiguous/white-space-before'])('%s: moves the JSON to the start and pads with spaces, and leaves length and data', async (path) => {
    const source = fixture(`safetensors/${path}.safetensors`);
    const { code, bytes, report } = await repaired(source);
    const before = bytesOf(source);
    expect({ code, length: bytes.length, verdict: report.verdict }).toEqual({ code: 0, length: before.length, verdict: 'valid' });
    const headerEnd = 8 + Number(new DataView(before.buffer).getBigUint64(0, true));
    expect(bytes.subarray(headerEnd)).toEqual(before.subarray(headerEnd));
    expect(new TextDecoder().decode(bytes.subarray(8, headerEnd))).toMatch(/^\{.*\} *$/s);
  });
  it.each([['ambiguous/tensor-unaligned', 'SAFETENSORS_UNALIGNED'], ['ambiguous/tensor-as-array', 'SAFETENSORS_TENSOR_INFO_FORM'], ['ambiguous/dtype-as-object', 'SAFETENSORS_TENSOR_INFO_FORM'], ['ambiguous/metadata-null', 'SAFETENSORS_METADATA_NULL']])('%s: writes the file anew (%s)', async (path, code) => {
    const { stdout, report } = await repaired(fixture(`safetensors/${path}.safetensors`));
    expect(stdout).toContain(code);
    expect(report.verdict).toBe('valid');
  });
  it('puts tensors into canonical order, header and data, with every value in its place', async () => {
    writeFileSync(at('order.safetensors'), safetensorsBytes([['b', 'F16', [1], Uint8Array.of(1, 2)], ['a', 'F16', [1], Uint8Array.of(3, 4)], ['c', 'F32', [1], f32(5)]]));
    const { stdout, bytes, report } = await repaired(at('order.safetensors'), 'ordered.safetensors');
    // Safetensors' own order: larger elements first, then names.
    expect(bytes).toEqual(safetensorsBytes([['c', 'F32', [1], f32(5)], ['a', 'F16', [1], Uint8Array.of(3, 4)], ['b', 'F16', [1], Uint8Array.of(1, 2)]]));
    expect(stdout).toContain('canonical order');
    expect(report.verdict).toBe('valid');
  });
  it('leaves out migration scales, which are fused already, and nothing else', async () => {
    const layer = 'model.layers.0.self_attn.q_proj';
    const weight = [`${layer}.weight`, 'I8', [1, 2], Uint8Array.of(127, 1)] as const;
    const scale = [`${layer}.scale`, 'F32', [1, 1], f32(0.5)] as const;
    writeFileSync(at('scales.safetensors'), safetensorsBytes([[`${layer}.migration_scale`, 'F32', [2], f32(0.5, 2)], scale, weight]));
    const { stdout, bytes, report } = await repaired(at('scales.safetensors'), 'bare.safetensors');
    expect(bytes).toEqual(safetensorsBytes([scale, weight]));
    expect(stdout).toContain('1 migration scale left out: they are fused already (SMOOTHQUANT_MIGRATION_SCALES)');
    expect(report.diagnostics.map(({ code }) => code)).not.toContain('SMOOTHQUANT_MIGRATION_SCALES');
  });
});

describe('repair of an index', () => {
  const shard = 'model-00001-of-00001.safetensors';
  const layer = 'model.layers.0.self_attn.q_proj';
  const tensors = [[`${layer}.scale`, 'F32', [1, 1], f32(0.5)], [`${layer}.weight`, 'I8', [1, 2], Uint8Array.of(127, 1)]] as const;
  const migration = [`${layer}.migration_scale`, 'F32', [2], f32(0.5, 2)] as const;

  function write(name: string, metadata: object, inShard: readonly (typeof tensors[number] | typeof migration)[]): string {
    mkdirSync(at(name), { recursive: true });
    writeFileSync(at(`${name}/${shard}`), safetensorsBytes(inShard));
    const text = JSON.stringify({ metadata, weight_map: Object.fromEntries(tensors.map(([tensor]) => [tensor, shard])) }, null, 2);
    writeFileSync(at(`${name}/model.safetensors.index.json`), text);
    return at(`${name}/model.safetensors.index.json`);
  }
  const after = (text: string): unknown => JSON.parse(text);

  it.each([[{ total_size: 7 }, 'SHARDED_INDEX_TOTAL_SIZE'], [{ total_size: 6.0, total_parameters: 99 }, 'SHARDED_INDEX_TOTAL_PARAMETERS'], [{ total_size: '6' }, 'SHARDED_INDEX_TOTAL_SIZE_TYPE']])('counts totals anew: %j (%s)', async (metadata, code) => {
    const source = write('totals', metadata, tensors);
    const { stdout, bytes, report } = await repaired(source, 'totals/repaired.safetensors.index.json');
    expect(stdout).toContain(code);
    expect(after(new TextDecoder().decode(bytes))).toMatchObject({ metadata: { ...metadata, total_size: 6, ...('total_parameters' in metadata ? { total_parameters: 3 } : {}) } });
    expect(report.verdict).toBe('valid');
  });
  it('adds the migration scales that only a shard has, and counts them', async () => {
    const source = write('forgotten', { total_size: 6 }, [migration, ...tensors]);
    const { stdout, bytes, report } = await repaired(source, 'forgotten/repaired.safetensors.index.json');
    expect(stdout).toContain('1 migration scale that only the shards had are in weight_map now');
    expect(after(new TextDecoder().decode(bytes))).toEqual({ metadata: { total_size: 14 }, weight_map: Object.fromEntries([...tensors, migration].map(([name]) => [name, shard])) });
    expect(report.verdict).toBe('valid');
  });
  it('keeps the index with its shards (CLI_REPAIR_ELSEWHERE)', async () => {
    const source = write('near', { total_size: 7 }, tensors);
    expect(await weightspec('repair', source, at('far.index.json'))).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_REPAIR_ELSEWHERE') as string });
  });
  it('does not count what is not there (CLI_NOT_REPAIRABLE)', async () => {
    const source = write('gap', { total_size: 7 }, tensors);
    rmSync(at(`gap/${shard}`));
    expect(await weightspec('repair', source, at('gap/repaired.index.json'))).toMatchObject({ code: 2, stderr: expect.stringMatching(/SHARDED_INDEX_SHARD_MISSING[^]*CLI_NOT_REPAIRABLE/) as string });
  });
});

describe('what repair refuses', () => {
  it.each(['llama2c/invalid/v0-cut-in-tensor.bin', 'llama2c/invalid/ak42-version-3.bin', 'safetensors/invalid/overlap.safetensors', 'safetensors/ambiguous/unknown-field.safetensors', 'torch-checkpoint/invalid/crc-local.pth', 'ggml-qwen/invalid/rows.bin'])('%s, whose right bytes nobody knows (CLI_NOT_REPAIRABLE)', async (path) => {
    const { code, stdout, stderr } = await weightspec('repair', fixture(path), at('refused'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/(error|warning) [A-Z0-9_]+: [^]*error CLI_NOT_REPAIRABLE/);
    expect(readdirSync(folder)).not.toContain('refused');
  });
  it('sound files (CLI_NOTHING_TO_REPAIR), and the source as destination (IO_SAME_FILE)', async () => {
    expect(await weightspec('repair', fixture('safetensors/valid/pair.safetensors'), at('none'))).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NOTHING_TO_REPAIR') as string });
    writeFileSync(at('own.bin'), bytesOf(fixture('llama2c/invalid/v1-fp32-padding.bin')));
    expect(await weightspec('repair', at('own.bin'), at('own.bin'))).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect(bytesOf(at('own.bin'))).toEqual(bytesOf(fixture('llama2c/invalid/v1-fp32-padding.bin')));
  });
  it('every broken fixture that would still have an error: what it writes is valid', async () => {
    const folders = ['llama2c', 'safetensors', 'ggml-qwen'].flatMap((format) => ['invalid', 'ambiguous'].map((kind) => `${format}/${kind}`));
    const paths = folders.flatMap((kind) => readdirSync(fixture(kind)).filter((name) => !name.endsWith('.json')).map((name) => `${kind}/${name}`));
    const outcomes = new Map<string, number>();
    for (const path of paths) {
      const { code } = await weightspec('repair', fixture(path), at('any'));
      const verdict = code === 0 ? (JSON.parse((await weightspec('validate', at('any'), '--format', 'json')).stdout) as Report).reports[0]!.verdict : 'refused';
      outcomes.set(verdict, (outcomes.get(verdict) ?? 0) + 1);
    }
    expect([...outcomes.keys()].toSorted()).toEqual(['refused', 'valid']);
    expect(outcomes.get('refused')).toBeGreaterThan(100);
  });
});

describe('repair of a URL', () => {
  it('writes the repaired file here', async () => {
    const bytes = bytesOf(fixture('llama2c/invalid/v1-fp32-padding.bin'));
    const server = createServer((request, response) => {
      const [, from = '', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const end = Math.min(Number(to), bytes.length - 1);
      response.writeHead(206, { 'content-range': `bytes ${from}-${end}/${bytes.length}` }).end(bytes.subarray(Number(from), end + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { code } = await weightspec('repair', `http://127.0.0.1:${(server.address() as AddressInfo).port}/m.bin`, at('from-url.bin'));
    server.closeAllConnections();
    server.close();
    expect(code).toBe(0);
    expect((await weightspec('validate', at('from-url.bin'))).code).toBe(0);
  });
});

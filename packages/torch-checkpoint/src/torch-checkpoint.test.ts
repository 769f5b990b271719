/** Files that torch 1.13 wrote, hostile and malformed files, and training checkpoints: directory, verdicts, bytes, and writing them again. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { contiguousChunks, contiguousStrides, findTensor, verdictOf, type ByteSource, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { describe, expect, it } from 'vitest';
import { torchCheckpoint, writeTorch, type TorchFlavor, type TorchTensorInfo, type TorchWriteOptions } from './index.js';

const filesIn = (folder: string, pattern = /\.(pth|pt|pkl)$/): string[] => {
  const found = sharedData(folder);
  return found === undefined ? [] : readdirSync(found).filter((name) => pattern.test(name)).map((name) => `${folder}/${name}`);
};
const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(sharedData(path)!));
const json = (path: string): unknown => JSON.parse(readFileSync(sharedData(path)!, 'utf8'));
const open = async (path: string): Promise<Checkpoint> => {
  const { checkpoint, diagnostics } = await torchCheckpoint.read(memorySource(bytesOf(path), basename(path)));
  if (!checkpoint) throw new Error(diagnostics.map((d) => d.message).join('; '));
  return checkpoint;
};
const contents = async (tensor: TensorInfo): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of contiguousChunks(tensor)) chunks.push(chunk);
  return Buffer.concat(chunks);
};
const written = async (checkpoint: Checkpoint, options: TorchWriteOptions): Promise<Uint8Array> => {
  const sink = memorySink();
  await writeTorch(checkpoint, sink, options);
  return sink.bytes();
};

/** Reads and checks deeply; the memory and time that this may take are part of the promise. */
async function verdictOn(path: string): Promise<string> {
  const bytes = bytesOf(path);
  const source = memorySource(bytes, basename(path));
  const start = performance.now();
  const before = process.memoryUsage.rss();
  const { checkpoint, diagnostics } = await torchCheckpoint.read(source);
  const all = [...diagnostics, ...(checkpoint ? (await torchCheckpoint.validate(checkpoint, { deep: true })).diagnostics : [])];
  expect(performance.now() - start).toBeLessThan(2000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(120 * 2 ** 20); // the process itself takes some 80 of the 200 MB
  return checkpoint ? verdictOf(all) : 'invalid';
}

interface ExpectedTensor {
  readonly dtype: string;
  readonly shape: number[];
  readonly stride: number[];
  readonly offset: number;
  readonly storage_numel: number;
  readonly requires_grad: boolean;
  readonly sha256: string;
}
const dtypeNames: Readonly<Record<string, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16', int8: 'I8', uint8: 'U8', int16: 'I16', int32: 'I32', complex64: 'C64' };

const pth = filesIn('pth');
describe.skipIf(pth.length === 0).each(pth)('%s', (path) => {
  const expected = pth.length === 0 ? {} : (json('pth/expected.json') as Record<string, Record<string, ExpectedTensor>>)[basename(path)]!;
  it('is certain, valid, and has the tensors that torch wrote down', async () => {
    const bytes = bytesOf(path);
    expect(torchCheckpoint.detect(bytes.subarray(0, torchCheckpoint.detectBytes), path, bytes.length)?.confidence).toBe('certain');
    const { checkpoint, diagnostics } = await torchCheckpoint.read(memorySource(bytes));
    expect(verdictOf(diagnostics)).toBe('valid');
    expect(checkpoint!.tensors.map(({ name }) => name).toSorted()).toEqual(Object.keys(expected).toSorted());
    for (const [name, tensor] of Object.entries(expected)) {
      const found = findTensor(checkpoint!, name) as TorchTensorInfo;
      expect({ dtype: found.dtype.name, shape: found.shape, offset: found.storageOffset, numel: found.storage.location.length / found.dtype.bytesPerBlock, grad: found.requiresGrad }).toEqual({ dtype: dtypeNames[tensor.dtype], shape: tensor.shape, offset: tensor.offset, numel: tensor.storage_numel, grad: tensor.requires_grad });
      expect(found.strides ?? contiguousStrides(found.shape)).toEqual(tensor.stride);
      expect(createHash('sha256').update(await contents(found)).digest('hex')).toBe(tensor.sha256);
    }
  });
});

/** What the writer is asked for to get a file's own bytes: protocols 3 and 4 are written as 2, so those files are left out. */
const rewritable: [path: string, flavor: TorchFlavor, options: Partial<TorchWriteOptions>][] = [
  ...pth.filter((path) => !/protocol4|legacy|torch2/.test(path)).map((path): [string, TorchFlavor, object] => [path, 'torch-1.13', {}]),
  ...['pth/legacy_state_dict.pth', 'pth/legacy_bf16_int8.pth', 'malformed/torch-zip/good-legacy.pt'].map((path): [string, TorchFlavor, object] => [path, 'legacy', {}]),
  ['pth/torch2_fp32_align4096.pth', 'torch-2', { alignment: 4096 }],
  ['pth/torch2_fp32_nocrc.pth', 'torch-2', { crc32: false }],
  ['malformed/torch-zip/good-statedict.pt', 'torch-1.13', {}],
  ['llama2c/llama2xs_ckpt.pt', 'torch-1.13', {}],
  ['models/llama3-tiny/meta-2/consolidated.01.pth', 'torch-1.13', {}],
  ['models/qwen2-tiny/f16-bin-tied-shared-storage/pytorch_model.bin', 'torch-1.13', {}],
];
describe.skipIf(pth.length === 0)('writeTorch', () => {
  it.each(rewritable)('reproduces the bytes of %s', async (path, flavor, options) => {
    expect(Buffer.compare(await written(await open(path), { flavor, ...options }), bytesOf(path))).toBe(0);
  });
  it('turns a legacy stream into an archive with the same tensors, and back into the same bytes', async () => {
    const legacy = await open('pth/legacy_state_dict.pth');
    const zip = (await torchCheckpoint.read(memorySource(await written(legacy, { flavor: 'torch-2' })))).checkpoint!;
    expect(zip.variant).toBe('zip');
    for (const tensor of legacy.tensors) expect(await contents(findTensor(zip, tensor.name))).toEqual(await contents(tensor));
  });
  it('makes the bytes of torch 1.13 from tensors alone, where the dictionary is an OrderedDict without _metadata', async () => {
    const path = 'models/llama3-tiny/meta-1/consolidated.00.pth';
    const { tensors } = await open(path);
    const sink = memorySink();
    await writeTorch([...tensors], sink, { flavor: 'torch-1.13', archiveName: 'consolidated.00' });
    expect(Buffer.compare(sink.bytes(), bytesOf(path))).toBe(0);
  });
  it('puts tensors under a key of an outer dict, and refuses to do so with a checkpoint that is whole', async () => {
    const path = 'smoothquant/inputs_stats.pth';
    const read = await open(path);
    const sink = memorySink();
    const tensors = read.tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace('absmax.', '') }));
    await writeTorch(tensors, sink, { flavor: 'torch-1.13', archiveName: 'inputs_stats', under: 'absmax' });
    expect(Buffer.compare(sink.bytes(), bytesOf(path))).toBe(0);
    await expect(writeTorch(read, memorySink(), { flavor: 'torch-1.13', under: 'absmax' })).rejects.toThrow(RangeError);
  });
  it('keeps a tied embedding in one storage when the tensors alone are given', async () => {
    const { tensors } = await open('models/qwen2-tiny/f16-bin-tied-shared-storage/pytorch_model.bin');
    const sink = memorySink();
    await writeTorch([...tensors], sink, { flavor: 'torch-1.13' });
    const { checkpoint } = await torchCheckpoint.read(memorySource(sink.bytes()));
    const keyOf = (name: string) => (findTensor(checkpoint!, name) as TorchTensorInfo).storage.key;
    expect(keyOf('lm_head.weight')).toBe(keyOf('model.embed_tokens.weight'));
  });
});

/** Words of the manifests → verdicts that are allowed. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  accept: ['valid', 'warnings'], 'accept-warn': ['warnings'], warn: ['warnings'], reject: ['invalid'], 'reject-or-warn': ['invalid', 'warnings'],
};
/** Where the table of severities overrules a manifest, and why. */
const overruled: Readonly<Record<string, readonly [verdict: string, reason: string]>> = {
  'bad-trailing.pt': ['invalid', 'bytes after the end record are an error in every format'],
  'good-legacy.pt': ['valid', 'a legacy stream is information, not a warning'],
};

const bad = filesIn('pth_bad');
describe.skipIf(bad.length === 0)('hostile files', () => {
  it.each(bad)('%s', async (path) => {
    const { expect: word } = (json('pth_bad/manifest.json') as Record<string, { expect: string }>)[basename(path, '.pth')]!;
    expect(allowed[word]).toContain(await verdictOn(path));
  });
  it.each(bad.length === 0 ? [] : (json('pth_bad/forbidden_globals.json') as string[]))('refuses the global %s, by GLOBAL and by STACK_GLOBAL (TORCH_GLOBAL)', async (global) => {
    const [module, name] = global.split(' ') as [string, string];
    const short = (value: string) => Buffer.concat([Buffer.from([0x8c, value.length]), Buffer.from(value)]);
    const pickles = [Buffer.concat([Buffer.from([0x80, 2]), Buffer.from(`c${module}\n${name}\n.`)]), Buffer.concat([Buffer.from([0x80, 4]), short(module), short(name), Buffer.from([0x93, 0x2e])])];
    for (const pickle of pickles) expect((await torchCheckpoint.read(memorySource(new Uint8Array(pickle)))).diagnostics.map(({ code }) => code)).toEqual(['TORCH_GLOBAL']);
  });
});

const malformed = filesIn('malformed/torch-zip');
describe.skipIf(malformed.length === 0)('malformed files', () => {
  it.each(malformed)('%s', async (path) => {
    const { expect: word } = (json('malformed/manifest.json') as { id: string; expect: string }[]).find(({ id }) => id === path.slice('malformed/'.length))!;
    const [overruling] = overruled[basename(path)] ?? [];
    expect(overruling === undefined ? allowed[word] : [overruling]).toContain(await verdictOn(path));
  });
});

const trained = sharedData('llama2c/llama2xs_ckpt.pt');
describe.skipIf(!trained)('a training checkpoint of llama2.c', () => {
  /** Counts which bytes are read. */
  const watched = (bytes: Uint8Array): { source: ByteSource; reads: [number, number][] } => {
    const inner = memorySource(bytes, 'ckpt.pt');
    const reads: [number, number][] = [];
    return { reads, source: { name: inner.name, size: inner.size, read: (offset, length) => { reads.push([offset, offset + length]); return inner.read(offset, length); } } };
  };
  it('gives the model under its key, with its arguments and counters, and leaves the optimizer out', async () => {
    const checkpoint = await open('llama2c/llama2xs_ckpt.pt');
    expect(checkpoint.tensors.length).toBe(48);
    expect(checkpoint.tensors[0]).toMatchObject({ name: 'tok_embeddings.weight', shape: [512, 64], storage: { device: 'cuda:0' } });
    expect(checkpoint.metadata).toMatchObject({ container: 'zip', stateDictKey: 'model', modelArgs: { dim: 64, n_layers: 5, n_kv_heads: 4, dropout: 0 }, extra: { iter_num: 500, config: { init_from: 'scratch' } } });
    expect(checkpoint.producer?.name).toContain('1.6 to 1.13');
  });
  it('opens without reading the bytes of its large storages', async () => {
    const { source, reads } = watched(bytesOf('llama2c/llama2xs_ckpt.pt'));
    const { checkpoint } = await torchCheckpoint.read(source);
    for (const { location } of checkpoint!.tensors.filter((tensor) => tensor.location.length > 8192)) {
      const inside = location.offset + 4096;
      expect(reads.some(([start, end]) => start <= inside && inside < end)).toBe(false);
    }
  });
});

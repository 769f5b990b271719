/**
 * Writes state dicts as torch.save does. A checkpoint that was read keeps its whole object (optimizer, counters, _metadata);
 * other tensors become an OrderedDict. Tensors that share a storage go on sharing it. One megabyte of data at a time.
 * Source: torch/serialization.py _save, _legacy_save of 1.13.1 and 2.6. Clauses W-1 to W-4.
 */
import { DiagnosticError, contiguousChunks, contiguousStrides, copyRange, readChunks, type ByteSink, type Checkpoint, type DType, type Progress, type TensorInfo, type TensorLocation } from '@weightspec/core';
import { torchDiagnostic } from './codes.js';
import { withoutTensors } from './leave-out.js';
import { LEGACY_MAGIC, LEGACY_PROTOCOL_VERSION } from './legacy.js';
import { originOf, type Origin } from './origin.js';
import { writePickle } from './pickle-writer.js';
import type { TorchTensorInfo } from './tensor.js';
import { newDict, text, type Dict, type Storage, type Text, type Value } from './values.js';
import { storageTypes, torchDtypes, untypedStorage } from './world.js';
import { ZipWriter } from './zip-writer.js';

export type Flavor = 'torch-1.13' | 'torch-2' | 'legacy';

export interface TorchWriteOptions {
  /** Whose bytes to write. `legacy` is the stream of torch before 1.6. */
  readonly flavor: Flavor;
  /** Top folder of the archive; torch takes the file's stem. Default: that of the file that was read, else `archive`. */
  readonly archiveName?: string;
  /** Records start at multiples of this; torch-2 only. Default 64. */
  readonly alignment?: number;
  /** False leaves all checksums zero, as torch 2 does on request. Default true. */
  readonly crc32?: boolean;
  /** Key of an outer dict under which the tensors lie, in an OrderedDict of their own. Not for checkpoints that were read, which are whole already. */
  readonly under?: string;
  /** Names of tensors that are not written, of a checkpoint that was read. */
  readonly leaveOut?: ReadonlySet<string>;
  readonly progress?: Progress;
}

interface StorageBytes {
  readonly byteLength: number;
  chunks(): AsyncIterable<Uint8Array>;
}

interface Plan {
  readonly root: Value;
  readonly bytesOf: (storage: Storage) => StorageBytes;
}

/**
 * Writes `input` in the given flavor. Throws DiagnosticError (TORCH_WRITE_TENSOR) for a dtype that the flavor has no storage
 * for and for two tensors with one name, RangeError for options that no archive can have.
 */
export async function writeTorch(input: Checkpoint | readonly TensorInfo[], sink: ByteSink, options: TorchWriteOptions): Promise<void> {
  const checkpoint = 'tensors' in input ? input : undefined;
  const origin = checkpoint && originOf(checkpoint);
  if (origin && options.under !== undefined) throw new RangeError('a checkpoint that was read is written whole, not under a key');
  if (!origin && options.leaveOut) throw new RangeError('tensors are left out of a checkpoint that was read; others are chosen by the caller');
  const stateDictKey = checkpoint?.metadata.stateDictKey;
  const whole = origin && options.leaveOut ? { ...origin, root: withoutTensors(origin.root, typeof stateDictKey === 'string' ? stateDictKey : undefined, options.leaveOut) } : origin;
  const plan = whole ? planOf(whole) : planFor(checkpoint?.tensors ?? (input as readonly TensorInfo[]), options.flavor, options.under);
  if (options.flavor === 'legacy') return writeLegacy(plan, sink, origin !== undefined && origin.zip === undefined, options.progress);
  await writeZip(plan, sink, options, origin);
}

/** Everything that was read, its storages from where they lie. */
function planOf({ root, storages }: Origin): Plan {
  return {
    root,
    bytesOf: ({ key }) => {
      const { location } = storages.get(key)!;
      return { byteLength: location.length, chunks: () => readChunks(location.source, location.offset, location.length) };
    },
  };
}

/** An OrderedDict of `tensors`, which may be an entry of a dict. Those that name one storage record share it; others get one of their own, contiguous. */
function planFor(tensors: readonly TensorInfo[], flavor: Flavor, under: string | undefined): Plan {
  const sources = new Map<Storage, StorageBytes>();
  const shared = new Map<TensorLocation, Storage>();
  const root = newDict(true);
  const names = new Set<string>();
  for (const tensor of tensors) {
    const { name, dtype, shape, location, strides } = tensor;
    const refuse = (message: string): never => {
      throw new DiagnosticError([torchDiagnostic('TORCH_WRITE_TENSOR', location.source.name, { pointer: `/tensors/${name}`, message })]);
    };
    if (names.has(name)) refuse(`two tensors are called ${JSON.stringify(name)}`);
    names.add(name);
    const type = storageTypes.find((candidate) => candidate.dtype === dtype) ?? (flavor === 'torch-2' && [...torchDtypes.values()].includes(dtype) ? untypedStorage : undefined);
    if (!type) return refuse(`${name} is ${dtype.name}, for which ${flavor} has no storage`);
    const record = 'storage' in tensor ? (tensor as TorchTensorInfo) : undefined;
    const known = record && shared.get(record.storage.location);
    const byteLength = record ? record.storage.location.length : elementBytes(dtype, shape);
    const storage: Storage = known ?? { kind: 'storage', type, key: String(sources.size), location: 'cpu', elementCount: byteLength / type.bytesPerElement };
    if (known && known.type !== type) refuse(`${name} sees the storage of other tensors as another type`);
    if (!known) {
      const whole = record?.storage.location;
      sources.set(storage, { byteLength, chunks: () => (whole ? readChunks(whole.source, whole.offset, whole.length) : contiguousChunks(tensor)) });
      if (whole) shared.set(whole, storage);
    }
    const stride = record ? (strides ?? contiguousStrides(shape)) : contiguousStrides(shape);
    root.keys.push(text(name));
    root.values.push({ kind: 'tensor', storage, dtype, storageOffset: record?.storageOffset ?? 0, size: shape, stride, requiresGrad: record?.requiresGrad ?? false, byteRange: [0, 0] });
  }
  return { root: under === undefined ? root : dictOf([[under, root]]), bytesOf: (storage) => sources.get(storage)! };
}

const elementBytes = (dtype: DType, shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1) * dtype.bytesPerBlock;

// Zip

async function writeZip(plan: Plan, sink: ByteSink, options: TorchWriteOptions, origin: Origin | undefined): Promise<void> {
  const second = options.flavor === 'torch-2';
  const archiveName = options.archiveName ?? origin?.zip?.archiveName ?? 'archive';
  const alignment = options.alignment ?? 64;
  if (archiveName === '' || /[/\\\p{Cc}]/u.test(archiveName) || archiveName === '.' || archiveName === '..') throw new RangeError(`${JSON.stringify(archiveName)} cannot be an archive's folder`);
  if (!Number.isSafeInteger(alignment) || alignment < 1 || alignment > 2 ** 15) throw new RangeError(`records cannot be aligned to ${alignment} bytes`);
  if (!second && (alignment !== 64 || options.crc32 === false)) throw new RangeError('torch 1.13 always aligns to 64 bytes and writes checksums');

  const { pickle, storages } = pickled(plan.root);
  const writer = new ZipWriter(sink, { archiveName, alignment, crc: options.crc32 ?? true });
  const total = storages.reduce((sum, storage) => sum + plan.bytesOf(storage).byteLength, 0);
  const advance = progressOf(options.progress, total);
  const names: string[] = [];
  const small = async (name: string, bytes: Uint8Array): Promise<void> => {
    names.push(name);
    await writer.record(name, bytes.length, [bytes]);
  };
  const ascii = (value: string): Uint8Array => new TextEncoder().encode(value);
  await small('data.pkl', pickle);
  if (second) {
    await small('.format_version', ascii('1'));
    await small('.storage_alignment', ascii(String(alignment)));
    await small('byteorder', ascii('little'));
  }
  const keys = storages.map((_, i) => String(i));
  // torch 1.13 sorts the keys as text, torch 2 keeps the order in which the pickle names them.
  for (const key of second ? keys : keys.toSorted(compareText)) {
    const data = plan.bytesOf(storages[Number(key)]!);
    names.push(`data/${key}`);
    await writer.record(`data/${key}`, data.byteLength, advance(data.chunks()));
  }
  await small('version', ascii('3\n'));
  if (second) await small('.data/serialization_id', ascii((options.leaveOut ? undefined : origin?.zip?.records.get('.data/serialization_id')) ?? serializationId(names, writer.crcSum)));
  await writer.finish();
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The pickle, and the storages in the order of their new keys. Records of a legacy view are written once. */
function pickled(root: Value): { pickle: Uint8Array; storages: Storage[] } {
  const storages: Storage[] = [];
  const keys = new Map<string, Text>();
  const pickle = writePickle(root, {
    legacy: false,
    keyOf(storage) {
      const known = keys.get(storage.key);
      if (known) return known;
      const key = text(String(storages.length));
      storages.push(storage);
      keys.set(storage.key, key);
      return key;
    },
  });
  return { pickle, storages };
}

/**
 * 40 digits like torch's, which hashes the record names with the C++ library's string hash in the order of a hash set, so that
 * its digits cannot be computed from the file. Nothing reads them but caches that compare two ids.
 */
function serializationId(names: readonly string[], crcSum: number): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(names.join('\n'))) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString().padStart(20, '0') + String(crcSum).padStart(20, '0');
}

function progressOf(progress: Progress | undefined, total: number): (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array> {
  let done = 0;
  return async function* advance(chunks) {
    for await (const chunk of chunks) {
      yield chunk;
      progress?.((done += chunk.length), total);
    }
  };
}

// Legacy

async function writeLegacy({ root, bytesOf }: Plan, sink: ByteSink, keepKeys: boolean, progress: Progress | undefined): Promise<void> {
  const storages = new Map<string, Storage>();
  const renamed = new Map<string, string>();
  const names = {
    legacy: true,
    /** torch makes the text of a storage's address anew for every tensor. */
    keyOf(storage: Storage): Text {
      const key = keepKeys ? storage.key : (renamed.get(storage.key) ?? String(renamed.size));
      renamed.set(storage.key, key);
      storages.set(key, storage);
      return text(key);
    },
  };
  const object = writePickle(root, names);
  const keys = [...storages.keys()].toSorted(compareText);
  const system = dictOf([['protocol_version', LEGACY_PROTOCOL_VERSION], ['little_endian', true], ['type_sizes', dictOf([['short', 2], ['int', 4], ['long', 4]])]]);
  for (const value of [LEGACY_MAGIC, LEGACY_PROTOCOL_VERSION, system]) await sink.write(writePickle(value, names));
  await sink.write(object);
  await sink.write(writePickle({ kind: 'list', items: keys.map(text) }, names));
  const advance = progressOf(progress, keys.reduce((sum, key) => sum + bytesOf(storages.get(key)!).byteLength, 0));
  for (const key of keys) {
    const storage = storages.get(key)!;
    const count = new DataView(new ArrayBuffer(8));
    count.setBigUint64(0, BigInt(storage.elementCount), true);
    await sink.write(new Uint8Array(count.buffer));
    for await (const chunk of advance(bytesOf(storage).chunks())) await sink.write(chunk);
  }
}

function dictOf(entries: readonly (readonly [string, Value])[]): Dict {
  const dict = newDict(false);
  for (const [key, value] of entries) {
    dict.keys.push(text(key));
    dict.values.push(value);
  }
  return dict;
}

// Format.write

/**
 * Writes `checkpoint` in its own variant. One that was read and not changed is copied, whatever tool wrote it;
 * another one is written anew.
 */
export async function write(checkpoint: Checkpoint, sink: ByteSink): Promise<void> {
  const origin = originOf(checkpoint);
  if (origin) return copyRange(origin.source, 0, origin.source.size, sink);
  const { container, archiveName, serializationId: id } = checkpoint.metadata;
  const flavor = container === 'legacy' || checkpoint.variant === 'legacy' ? 'legacy' : id === undefined && checkpoint.metadata.byteOrder === undefined ? 'torch-1.13' : 'torch-2';
  await writeTorch(checkpoint, sink, { flavor, ...(typeof archiveName === 'string' ? { archiveName } : {}) });
}

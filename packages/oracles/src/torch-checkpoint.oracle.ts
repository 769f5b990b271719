/**
 * Independent readings of whole PyTorch checkpoints: the container by the Kaitai-generated parser or by binary-parser, the
 * pickle by pickleparser. Imports nothing from packages/torch-checkpoint. Every checksum is checked.
 */
import type { TorchLegacy } from '../generated/TorchLegacy.js';
import { loadGenerated } from './generated.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import { openBytes, type SyncBytes } from './sync-bytes.js';
import { TorchRefused, TorchUndecided, demand, type TorchContainerReading, type TorchMember, type TorchReading, type TorchTensorPlace } from './torch-checkpoint.reading.js';
import { PickleStream, namedTensors, type NamedPickledTensor } from './torch-pickle.pickleparser.js';
import { zipRecordsWithBinaryParser } from './torch-zip.binary-parser.js';
import { zipRecordsWithKaitai } from './torch-zip.kaitai.js';
import { checkChecksums, contentOf, membersOf } from './torch-zip.records.js';

const legacy = loadGenerated('TorchLegacy') as { TorchLegacy: typeof TorchLegacy };

/** Which parser reads the zip records. */
export type TorchZipOracle = 'kaitai' | 'binary-parser';
const recordReaders = { kaitai: zipRecordsWithKaitai, 'binary-parser': zipRecordsWithBinaryParser };

/** Runs a reading of an array, or of the file at a path. */
function reading<T>(input: Uint8Array | string, read: (source: SyncBytes) => T): T | { accepted: false; reason: string; undecided?: boolean } {
  const source = openBytes(input);
  try {
    return read(source);
  } catch (error) {
    if (error instanceof TorchUndecided) return { accepted: false, reason: error.message, undecided: true };
    // Parsing throws TorchRefused, EOFError, Validation…Error and RangeError; anything else is a defect of these files.
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
    return { accepted: false, reason: error instanceof TorchRefused ? error.message : `${error.name}: ${error.message}` };
  } finally {
    source.close();
  }
}

/** The zip container alone: sections Z-1 to Z-3 without the bytes' checksums. */
export function readTorchContainer(input: Uint8Array | string, oracle: TorchZipOracle): TorchContainerReading {
  return reading<TorchContainerReading>(input, (source) => ({ accepted: true, members: membersOf(recordReaders[oracle](source), source) }));
}

/** A whole checkpoint. */
export function readTorch(input: Uint8Array | string, oracle: TorchZipOracle): TorchReading {
  return reading<TorchReading>(input, (source) => {
    const head = Buffer.from(source.read(0, Math.min(4, source.size))).toString('latin1');
    if (head.startsWith('\x80')) return { accepted: true, container: 'legacy', tensors: readLegacy(source) };
    demand(head === 'PK\x03\x04', 'P-1.1');
    return { accepted: true, container: 'zip', tensors: readArchive(source, membersOf(recordReaders[oracle](source), source)) };
  });
}

const records: Readonly<Record<string, RegExp>> = {
  version: /^(?:[1-9]|10)\n?$/, // P-2.5
  byteorder: /^little$/, // P-2.6
  '.format_version': /^\d{1,9}\n?$/, // P-2.7
  '.storage_alignment': /^[1-9]\d{0,6}\n?$/,
  '.data/serialization_id': /^\d{1,40}\n?$/,
};

/** P-2, T-1.3, T-1.4. */
function readArchive(source: SyncBytes, members: readonly TorchMember[]): TorchTensorPlace[] {
  const folder = `${members[0]?.name.split('/')[0] ?? ''}/`;
  demand(members.every(({ name }) => name.startsWith(folder)), 'P-2.2');
  const inside = new Map(members.map((member) => [member.name.slice(folder.length), member]));
  demand(!inside.has('constants.pkl'), 'P-1.3');
  demand([...inside.keys()].every((name) => name === 'data.pkl' || !name.toLowerCase().endsWith('.pkl')), 'P-2.3');
  const pickle = inside.get('data.pkl');
  demand(pickle !== undefined && inside.has('version'), 'P-2.1');
  for (const [name, pattern] of Object.entries(records)) {
    const member = inside.get(name);
    if (member) demand(member.length <= 64 && pattern.test(Buffer.from(contentOf(member, source)).toString('latin1')), `P-2.5 to P-2.7: ${name}`);
  }
  checkChecksums(members, source);

  const bytes = contentOf(pickle, source);
  const stream = new PickleStream(bytes, false);
  const root = stream.next();
  demand(stream.position === bytes.length, 'K-1.4: bytes behind STOP');
  const recordOf = (key: string): TorchMember => {
    const member = inside.get(`data/${key}`);
    demand(member !== undefined, `T-1.3: ${key}`);
    return member;
  };
  for (const { key, count, itemBytes } of stream.storages.values()) demand(recordOf(key).length === count * itemBytes, `T-1.4: ${key}`);
  return namedTensors(root).map((tensor) => {
    const { method, dataOffset } = recordOf(tensor.storage.key);
    return placed(tensor, method === 0 ? dataOffset : 0, method !== 0);
  });
}

function placed({ name, dtype, shape, strides, storage, storageOffset, byteOffset, byteLength }: NamedPickledTensor, dataOffset: number, deflated: boolean): TorchTensorPlace {
  return { name, dtype, shape, strides, storageKey: storage.key, storageOffset, offset: dataOffset + byteOffset, length: byteLength, deflated };
}

/** L-1: the first two pickles and the storages by torch_legacy.ksy, the three pickles between them by pickleparser. */
function readLegacy(source: SyncBytes): TorchTensorPlace[] {
  const io = new PagedKaitaiStream(source);
  const file = new legacy.TorchLegacy(io);
  demand(file.version.start.proto === 0x80, 'L-1.2');
  const pickleStart = io.pos;
  const stream = new PickleStream(source.read(pickleStart, source.size - pickleStart), true);
  checkSystem(stream.next());
  demand(stream.storages.size === 0, 'L-1.2: storages in the header');
  const root = stream.next();
  const storages = new Map(stream.storages);
  const keys = stream.next();
  demand(Array.isArray(keys) && keys.every((key) => typeof key === 'string') && new Set(keys).size === keys.length, 'L-1.4');
  demand(keys.length === storages.size && keys.every((key) => storages.has(key)), 'L-1.4: not the storages');
  let position = pickleStart + stream.position;
  const places = new Map<string, number>();
  for (const key of keys) {
    const { count, itemBytes } = storages.get(key)!;
    io.seek(position);
    const data = new legacy.TorchLegacy.StorageData(io, undefined, undefined, itemBytes);
    demand(data.numElements === count, `L-1.5: the count of ${key}`);
    places.set(key, position + 8);
    position += 8 + data.data.length;
  }
  demand(position === source.size, 'L-1.5: the end');
  return namedTensors(root).map((tensor) => placed(tensor, places.get(tensor.storage.key)!, false));
}

function checkSystem(system: unknown): void {
  demand(system instanceof Map && system.get('little_endian') === true && system.get('protocol_version') === 1001, 'L-1.2: system');
  if (!system.has('type_sizes')) return;
  const sizes: unknown = system.get('type_sizes');
  demand(sizes instanceof Map && sizes.get('short') === 2 && sizes.get('int') === 4 && [4, 8].includes(sizes.get('long') as number), 'L-1.2: sizes');
}

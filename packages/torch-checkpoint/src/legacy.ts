/**
 * The stream that torch wrote before 1.6: five pickles (magic number, protocol version, system, object, storage keys), then for each
 * key a u64 element count and the raw data. Little-endian. Source: torch/serialization.py _legacy_save, _legacy_load of 1.13.1.
 * Clauses L-1. The pickles have no stated length: they are run over a window that doubles until they fit.
 */
import { DiagnosticError, type ByteRange, type ByteSource, type TensorLocation } from '@weightspec/core';
import { readAvailable, safeU64, viewOf } from './bytes.js';
import { torchDiagnostic, type TorchCode } from './codes.js';
import { limits } from './limits.js';
import { WindowTooSmall, runPickle, type PickleResult } from './pickle.js';
import { isDict, isList, isText, lookup, type Storage, type Value } from './values.js';
import { stateWorld } from './world.js';

export const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
export const LEGACY_PROTOCOL_VERSION = 1001;
const FIRST_WINDOW = 2 ** 16;
const COUNT_BYTES = 8;
const BATCH = 32;

export interface LegacyFile {
  readonly root: Value;
  readonly protocol: number;
  /** Of the pickle that holds `root`. */
  readonly objectRange: ByteRange;
  /** By key; locations are those of the data. */
  readonly storages: ReadonlyMap<string, { readonly storage: Storage; readonly location: TensorLocation }>;
}

/** Throws DiagnosticError. */
export async function readLegacy(source: ByteSource): Promise<LegacyFile> {
  const pickles = await readPickles(source);
  return { root: pickles.root, protocol: pickles.protocol, objectRange: pickles.objectRange, storages: await locate(pickles, source) };
}

interface Pickles {
  readonly root: Value;
  readonly protocol: number;
  readonly objectRange: ByteRange;
  readonly storages: ReadonlyMap<string, Storage>;
  readonly keys: readonly string[];
  readonly keysRange: ByteRange;
  /** Where the first element count stands. */
  readonly dataOffset: number;
}

function fail(code: TorchCode, source: ByteSource, byteRange: ByteRange, message: string): never {
  throw new DiagnosticError([torchDiagnostic(code, source.name, { byteRange, message })]);
}

async function readPickles(source: ByteSource): Promise<Pickles> {
  for (let window = FIRST_WINDOW; ; window *= 2) {
    const bytes = await readAvailable(source, 0, window);
    try {
      return runPickles(bytes, source);
    } catch (error) {
      if (!(error instanceof WindowTooSmall)) throw error;
      if (window >= limits.pickleBytes) fail('TORCH_LIMIT', source, [0, window], `the pickles have more than ${limits.pickleBytes} bytes`);
    }
  }
}

function runPickles(bytes: Uint8Array, source: ByteSource): Pickles {
  const world = stateWorld({ legacy: true });
  const budget = { objects: 0, opcodes: 0 };
  let position = 0;
  const next = (): PickleResult & { range: ByteRange } => {
    const start = position;
    const result = runPickle({ bytes, start, source: source.name, byteOffset: 0, availableBytes: source.size }, world, budget);
    position = result.end;
    return { ...result, range: [start, result.end] };
  };
  const magic = next();
  if (magic.value !== LEGACY_MAGIC) fail('TORCH_LEGACY_HEADER', source, magic.range, 'the first pickle is not torch\'s magic number');
  const version = next();
  if (version.value !== LEGACY_PROTOCOL_VERSION) fail('TORCH_LEGACY_HEADER', source, version.range, `the protocol version is not ${LEGACY_PROTOCOL_VERSION}`);
  checkSystem(next(), source);
  if (world.storages.size > 0 || world.tensors.length > 0) fail('TORCH_LEGACY_HEADER', source, [0, position], 'the header pickles build tensors');
  const object = next();
  const storages = new Map(world.storages);
  const keyList = next();
  return { root: object.value, protocol: object.protocol, objectRange: object.range, storages, keys: keysOf(keyList, storages, source), keysRange: keyList.range, dataOffset: position };
}

/** {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {'short': 2, 'int': 4, 'long': 4 or 8}} */
function checkSystem({ value, range }: PickleResult & { range: ByteRange }, source: ByteSource): void {
  if (!isDict(value)) return fail('TORCH_LEGACY_HEADER', source, range, 'the system information is no dict');
  if (lookup(value, 'little_endian') === false) fail('TORCH_BYTE_ORDER', source, range, 'the stream was written on a big-endian machine');
  if (lookup(value, 'little_endian') !== true || lookup(value, 'protocol_version') !== LEGACY_PROTOCOL_VERSION) fail('TORCH_LEGACY_HEADER', source, range, 'the system information lacks little_endian or the protocol version');
  const sizes = lookup(value, 'type_sizes');
  if (sizes === undefined) return;
  const long = isDict(sizes) ? lookup(sizes, 'long') : undefined;
  if (!isDict(sizes) || lookup(sizes, 'short') !== 2 || lookup(sizes, 'int') !== 4 || (long !== 4 && long !== 8)) fail('TORCH_LEGACY_HEADER', source, range, 'the type sizes are not those of any machine that torch runs on');
}

/** Clause L-1.4. */
function keysOf({ value, range }: { value: Value; range: ByteRange }, storages: ReadonlyMap<string, Storage>, source: ByteSource): string[] {
  if (!isList(value) || !value.items.every(isText)) return fail('TORCH_LEGACY_KEYS', source, range, 'the fifth pickle is no list of strings');
  const keys = value.items.map((item) => item.value);
  const listed = new Set(keys);
  if (listed.size !== keys.length) fail('TORCH_LEGACY_KEYS', source, range, 'a storage key is listed twice');
  const missing = [...storages.keys()].find((key) => !listed.has(key));
  if (missing !== undefined) fail('TORCH_STORAGE_MISSING', source, range, `storage ${missing} is used by a tensor and not in the key list`);
  const unused = keys.find((key) => !storages.has(key));
  if (unused !== undefined) fail('TORCH_LEGACY_KEYS', source, range, `the key list names ${JSON.stringify(unused.slice(0, 64))}, which no tensor uses: its size is unknown`);
  return keys;
}

interface StoragePlace {
  readonly storage: Storage;
  readonly countOffset: number;
  readonly location: TensorLocation;
}

/** Where the pickles say that the storages are, and where the last one ends. */
function placesOf({ keys, storages, dataOffset }: Pickles, source: ByteSource): { readonly places: readonly StoragePlace[]; readonly end: number } {
  const places: StoragePlace[] = [];
  let position = dataOffset;
  for (const key of keys) {
    const storage = storages.get(key)!;
    const length = storage.elementCount * storage.type.bytesPerElement;
    places.push({ storage, countOffset: position, location: { source, offset: position + COUNT_BYTES, length } });
    position += COUNT_BYTES + length;
  }
  return { places, end: position };
}

export interface LegacyStorage {
  readonly key: string;
  /** Of the u64 element count. Either range may lie behind the end of a file that is cut. */
  readonly countRange: ByteRange;
  readonly dataRange: ByteRange;
}

/** Where the storages of a legacy stream are by its pickles, whatever stands there. None when the pickles cannot be read. Throws on I/O faults. */
export async function legacyStorages(source: ByteSource): Promise<readonly LegacyStorage[]> {
  try {
    const { places } = placesOf(await readPickles(source), source);
    return places.map(({ storage: { key }, countOffset, location: { offset, length } }) => ({ key, countRange: [countOffset, offset], dataRange: [offset, offset + length] }));
  } catch (error) {
    if (error instanceof DiagnosticError) return [];
    throw error;
  }
}

/** Clause L-1.5: the counts must be those of the pickle, and the data end with the file. */
async function locate(pickles: Pickles, source: ByteSource): Promise<Map<string, { storage: Storage; location: TensorLocation }>> {
  const { places, end: position } = placesOf(pickles, source);
  for (let i = 0; i < places.length; i += BATCH) {
    const batch = places.slice(i, i + BATCH).filter(({ countOffset }) => countOffset + COUNT_BYTES <= source.size);
    const counts = await Promise.all(batch.map(({ countOffset }) => source.read(countOffset, COUNT_BYTES)));
    batch.forEach(({ storage, countOffset }, k) => {
      const count = safeU64(viewOf(counts[k]!), 0);
      if (count !== storage.elementCount) fail('TORCH_STORAGE_SIZE', source, [countOffset, countOffset + COUNT_BYTES], `storage ${storage.key} begins with the count ${count ?? 'above 2^53'}; the pickle says ${storage.elementCount}`);
    });
    if (batch.length < Math.min(BATCH, places.length - i)) break;
  }
  if (position > source.size) {
    const cut = places.find(({ location }) => location.offset + location.length > source.size)!;
    fail('TORCH_LEGACY_TRUNCATED', source, [Math.min(cut.countOffset, source.size - 1), source.size], `storage ${cut.storage.key} should end at ${cut.location.offset + cut.location.length}; the file ends at ${source.size}`);
  }
  if (position < source.size) fail('TORCH_LEGACY_TRAILING', source, [position, source.size], `${source.size - position} bytes follow the last storage`);
  return new Map(places.map(({ storage, location }) => [storage.key, { storage, location }]));
}

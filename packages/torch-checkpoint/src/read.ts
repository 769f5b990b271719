/**
 * Opens a checkpoint: container first, then the one pickle, then tensors as views. Tensor data are not read.
 * Bad bytes become diagnostics; only I/O faults throw. Clauses P-1 to P-3, L-1.
 */
import { DiagnosticError, isContiguous, type ByteRange, type ByteSource, type Checkpoint, type Diagnostic, type Producer, type ReadResult, type TensorLocation } from '@weightspec/core';
import { readAvailable, viewOf } from './bytes.js';
import { torchDiagnostic, type TorchCode } from './codes.js';
import { crc32 } from './crc32.js';
import { DETECT_BYTES, kindOfHead } from './detect.js';
import { inflatedMember } from './inflate.js';
import { readLegacy } from './legacy.js';
import { limits } from './limits.js';
import { rememberOrigin, type Origin } from './origin.js';
import { runPickle } from './pickle.js';
import { stateDictOf, tensorFindings, type NamedTensor, type StateDict } from './state-dict.js';
import type { TorchTensorInfo } from './tensor.js';
import type { Storage } from './values.js';
import { spanOf, stateWorld } from './world.js';
import { DEFLATED, END_BYTES, hex, readZip, signatures, type PlacedMember, type ZipArchive } from './zip.js';

export type Variant = 'zip' | 'legacy';

export async function read(source: ByteSource): Promise<ReadResult> {
  let variant: Variant | undefined;
  const found: Diagnostic[] = [];
  try {
    variant = await variantOf(source);
    const checkpoint = variant === 'zip' ? await openZip(source, found) : await openLegacy(source, found);
    return { checkpoint, variant, diagnostics: found };
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return { ...(variant ? { variant } : {}), diagnostics: [...found, ...error.diagnostics] };
  }
}

function fail(code: TorchCode, source: string, byteRange: ByteRange, message: string): never {
  throw new DiagnosticError([torchDiagnostic(code, source, { byteRange, message })]);
}

async function variantOf(source: ByteSource): Promise<Variant> {
  const head = await readAvailable(source, 0, DETECT_BYTES);
  const kind = kindOfHead(head);
  if (kind === 'zip' || kind === 'empty-zip') return 'zip';
  if (kind === 'pickle') return 'legacy';
  if (kind === 'tar') fail('TORCH_TAR', source.name, [257, 262], 'the file is a tar archive, the format of torch before 0.1.10, which is not read');
  // Something in front of an archive hides it from readers of the head, not from readers of the tail.
  const tail = await readAvailable(source, Math.max(0, source.size - END_BYTES), END_BYTES);
  if (tail.length === END_BYTES && viewOf(tail).getUint32(0, true) === signatures.end) return 'zip';
  const shown = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(' ');
  return fail('TORCH_NOT_A_CHECKPOINT', source.name, [0, Math.min(4, source.size)], source.size === 0 ? 'the file is empty' : `the file begins with ${shown}: neither a zip archive (50 4B 03 04) nor a pickle (80 02)`);
}

// Zip archives

async function openZip(source: ByteSource, found: Diagnostic[]): Promise<Checkpoint> {
  const archive = await readZip(source);
  const { name: archiveName, members } = classify(archive, source, found);
  if (archive.withoutCrc) found.push(torchDiagnostic('TORCH_ZIP_NO_CRC', source.name, { byteRange: archive.members[0]!.centralRange, message: 'every checksum in the archive is zero' }));
  const deflated = archive.members.filter((member) => member.method === DEFLATED);
  if (deflated.length > 0) found.push(torchDiagnostic('TORCH_ZIP_DEFLATED', source.name, { byteRange: deflated[0]!.centralRange, message: `${deflated.length} of ${archive.members.length} members are deflated, the first is ${deflated[0]!.name}` }));

  const records = await readSmallRecords(members, archive, source);
  const pickle = members.get('data.pkl')!;
  if (pickle.byteLength > limits.pickleBytes) fail('TORCH_LIMIT', source.name, pickle.centralRange, `data.pkl has ${pickle.byteLength} bytes; the limit is ${limits.pickleBytes}`);
  const content = contentOf(source, pickle);
  const bytes = await readMember(content, pickle, archive, source);
  const world = stateWorld({ legacy: false });
  const result = runPickle({ bytes, start: 0, source: content.source.name, byteOffset: content.offset, availableBytes: bytes.length }, world, { objects: 0, opcodes: 0 });
  const pickleRange = [content.offset, content.offset + bytes.length] as const;
  if (result.end < bytes.length) fail('TORCH_PICKLE_TRAILING', content.source.name, [content.offset + result.end, pickleRange[1]], `${bytes.length - result.end} bytes follow STOP in data.pkl`);
  if (result.protocol > 2) found.push(newerProtocol(result.protocol, content.source.name, pickleRange));
  const state = stateDictOf(result.value, content.source.name, pickleRange);

  const locations = locateStorages(world.storages, members, source, found);
  checkAlignment(members, records, source, found);
  const metadata = {
    container: 'zip',
    archiveName,
    pickleProtocol: result.protocol,
    ...Object.fromEntries([...records].map(([name, value]) => [smallRecords[name]!.key, value.trim()])),
    ...state.metadata,
  };
  const origin: Origin = { root: result.value, source, storages: locations, zip: { archiveName, members: archive.members, withoutCrc: archive.withoutCrc, records } };
  return finish('zip', producerOf(archive, members), metadata, state, origin, { source: content.source.name, range: pickleRange }, found);
}

const newerProtocol = (protocol: number, source: string, range: ByteRange): Diagnostic =>
  torchDiagnostic('TORCH_PROTOCOL_NEWER', source, { byteRange: [range[0], range[0] + 2], message: `the pickle has protocol ${protocol}; torch.save writes 2 unless told otherwise` });

/** Clauses P-1.3, P-2.1 to P-2.4. Members by their name below the archive's folder. */
function classify({ members }: ZipArchive, source: ByteSource, found: Diagnostic[]): { name: string; members: Map<string, PlacedMember> } {
  const first = members[0];
  const folder = first?.name.split('/')[0] ?? '';
  const everything = [first?.centralRange[0] ?? 0, members.at(-1)?.centralRange[1] ?? source.size] as const;
  const script = members.find((member) => member.name === `${folder}/constants.pkl`);
  if (script) fail('TORCH_SCRIPT', source.name, script.centralRange, `${script.name} makes this a TorchScript archive, which torch.load compiles and runs`);
  const inside = new Map<string, PlacedMember>();
  const problems: Diagnostic[] = [];
  const unknown: PlacedMember[] = [];
  const report = (code: TorchCode, member: PlacedMember, message: string): void => void problems.push(torchDiagnostic(code, source.name, { byteRange: member.centralRange, message }));
  for (const member of members) {
    const below = member.name.startsWith(`${folder}/`) ? member.name.slice(folder.length + 1) : undefined;
    if (below === undefined) report('TORCH_MEMBER_OUTSIDE', member, `${JSON.stringify(member.name)} stands outside the archive's folder ${JSON.stringify(folder)}`);
    else if (below !== 'data.pkl' && /\.pkl$/i.test(below)) report('TORCH_MEMBER_PICKLE', member, `${member.name} is a second pickle`);
    else {
      inside.set(below, member);
      if (below !== 'data.pkl' && smallRecords[below] === undefined && !/^data\/[0-9]+$/.test(below)) unknown.push(member);
    }
  }
  for (const needed of ['data.pkl', 'version']) {
    if (!inside.has(needed)) problems.push(torchDiagnostic('TORCH_MEMBER_MISSING', source.name, { byteRange: everything, message: `the archive has no ${folder}/${needed}` }));
  }
  if (problems.length > 0) throw new DiagnosticError(problems.slice(0, 100));
  found.push(...unknown.slice(0, 20).map((member) => torchDiagnostic('TORCH_MEMBER_UNKNOWN', source.name, { byteRange: member.centralRange, message: `${member.name} (${member.byteLength} bytes) is no part of a checkpoint` })));
  return { name: folder, members: inside };
}

/** The bytes of a member: a part of the file, or the inflated bytes as a source of their own. */
function contentOf(source: ByteSource, member: PlacedMember): TensorLocation {
  return member.method === DEFLATED ? { source: inflatedMember(source, member), offset: 0, length: member.byteLength } : { source, offset: member.dataOffset, length: member.byteLength };
}

/** A member that is read as a whole; its CRC is checked. */
async function readMember(content: TensorLocation, member: PlacedMember, { withoutCrc }: ZipArchive, source: ByteSource): Promise<Uint8Array> {
  const bytes = await content.source.read(content.offset, content.length);
  checkCrc(bytes, member, withoutCrc, source);
  return bytes;
}

function checkCrc(bytes: Uint8Array, member: PlacedMember, withoutCrc: boolean, source: ByteSource): void {
  const actual = crc32(bytes);
  if (!withoutCrc && actual !== member.crc) fail('TORCH_ZIP_CRC', source.name, [member.dataOffset, member.dataOffset + Math.max(1, member.compressedBytes)], `${member.name} has CRC ${hex(actual)}; the archive says ${hex(member.crc)}`);
}

/** Clauses P-2.5 to P-2.7. What a record says is judged before its checksum: it is what torch goes by. */
const smallRecords: Readonly<Record<string, { key: string; code: TorchCode; pattern: RegExp; expected: string }>> = {
  version: { key: 'formatVersion', code: 'TORCH_VERSION', pattern: /^([1-9]|10)\n?$/, expected: 'a number from 1 to 10' },
  byteorder: { key: 'byteOrder', code: 'TORCH_BYTE_ORDER', pattern: /^little$/, expected: '"little"' },
  '.format_version': { key: 'torchFormatVersion', code: 'TORCH_RECORD', pattern: /^[0-9]{1,9}\n?$/, expected: 'a number' },
  '.storage_alignment': { key: 'storageAlignment', code: 'TORCH_RECORD', pattern: /^[1-9][0-9]{0,6}\n?$/, expected: 'a number' },
  '.data/serialization_id': { key: 'serializationId', code: 'TORCH_RECORD', pattern: /^[0-9]{1,40}\n?$/, expected: 'up to 40 digits' },
};

async function readSmallRecords(members: ReadonlyMap<string, PlacedMember>, archive: ZipArchive, source: ByteSource): Promise<Map<string, string>> {
  const records = new Map<string, string>();
  for (const [name, { code, pattern, expected }] of Object.entries(smallRecords)) {
    const member = members.get(name);
    if (!member) continue;
    if (member.byteLength > limits.smallRecordBytes) fail(code, source.name, member.centralRange, `${member.name} has ${member.byteLength} bytes`);
    const content = contentOf(source, member);
    const bytes = await content.source.read(content.offset, content.length);
    const value = String.fromCharCode(...bytes);
    if (!pattern.test(value)) fail(code, source.name, [member.dataOffset, member.dataOffset + Math.max(1, member.compressedBytes)], `${name} is ${JSON.stringify(value)}, not ${expected}`);
    checkCrc(bytes, member, archive.withoutCrc, source);
    records.set(name, value);
  }
  return records;
}

/** Clauses T-1.2 to T-1.4: each storage has its record, of the right size. */
function locateStorages(storages: ReadonlyMap<string, Storage>, members: ReadonlyMap<string, PlacedMember>, source: ByteSource, found: Diagnostic[]): Map<string, { storage: Storage; location: TensorLocation }> {
  const locations = new Map<string, { storage: Storage; location: TensorLocation }>();
  const problems: Diagnostic[] = [];
  const pickle = members.get('data.pkl')!;
  for (const storage of storages.values()) {
    const member = members.get(`data/${storage.key}`);
    const byteLength = storage.elementCount * storage.type.bytesPerElement;
    if (!member) problems.push(torchDiagnostic('TORCH_STORAGE_MISSING', source.name, { byteRange: [pickle.dataOffset, pickle.dataOffset + pickle.compressedBytes], message: `the pickle names storage ${storage.key}, but the archive has no data/${storage.key}` }));
    else if (member.byteLength !== byteLength) problems.push(torchDiagnostic('TORCH_STORAGE_SIZE', source.name, { byteRange: [member.dataOffset, member.dataOffset + Math.max(1, member.compressedBytes)], message: `${member.name} has ${member.byteLength} bytes; ${storage.elementCount} elements of ${storage.type.name} take ${byteLength}` }));
    else locations.set(storage.key, { storage, location: contentOf(source, member) });
    if (problems.length >= 100) break;
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  const unused = [...members].filter(([name]) => /^data\/[0-9]+$/.test(name) && !storages.has(name.slice(5)));
  found.push(...unused.slice(0, 20).map(([, member]) => torchDiagnostic('TORCH_MEMBER_UNKNOWN', source.name, { byteRange: member.centralRange, message: `${member.name} (${member.byteLength} bytes) is a storage that no tensor uses` })));
  return locations;
}

/** Clause Z-3.5. */
function checkAlignment(members: ReadonlyMap<string, PlacedMember>, records: ReadonlyMap<string, string>, source: ByteSource, found: Diagnostic[]): void {
  const alignment = Number(records.get('.storage_alignment') ?? 64);
  const unaligned = [...members].filter(([name, member]) => name.startsWith('data/') && member.method !== DEFLATED && member.byteLength > 0 && member.dataOffset % alignment !== 0).map(([, member]) => member);
  if (unaligned.length === 0) return;
  found.push(torchDiagnostic('TORCH_ALIGNMENT', source.name, { byteRange: [unaligned[0]!.dataOffset, unaligned[0]!.dataOffset + unaligned[0]!.byteLength], message: `${unaligned.length} storages do not start at a multiple of ${alignment} bytes, the first is ${unaligned[0]!.name} at ${unaligned[0]!.dataOffset}` }));
}

/** Clause P-2.8. */
function producerOf(archive: ZipArchive, members: ReadonlyMap<string, PlacedMember>): Producer {
  const first = archive.members[0]!;
  const host = Math.floor(first.madeBy / 256);
  const madeByRange = [first.centralRange[0] + 4, first.centralRange[0] + 6] as const;
  const second = ['.format_version', '.storage_alignment', 'byteorder', '.data/serialization_id'].filter((name) => members.has(name));
  const recordEvidence = second.map((name) => ({ message: `has the record ${name}, which torch 2 writes`, byteRange: members.get(name)!.centralRange }));
  if (first.madeBy !== 0) return { name: `a zip tool, from a torch ${second.length > 0 ? '2.x' : '1.x'} archive`, evidence: [{ message: `the directory says made by ${host === 3 ? 'Unix' : `system ${host}`}, version ${first.madeBy % 256}; torch leaves 0 there`, byteRange: madeByRange }, ...recordEvidence] };
  const padding = first.padded ? [{ message: 'records are padded with field "FB", as torch does', byteRange: [first.headerOffset, first.dataOffset] as const }] : [];
  if (second.length > 0) return { name: 'torch.save of torch 2.x', evidence: [...recordEvidence, ...padding] };
  return first.padded ? { name: 'torch.save of torch 1.6 to 1.13', evidence: [...padding, { message: 'none of the records that torch 2 adds', byteRange: madeByRange }] } : { name: 'unknown', evidence: [] };
}

// Legacy streams

async function openLegacy(source: ByteSource, found: Diagnostic[]): Promise<Checkpoint> {
  const { root, protocol, objectRange, storages } = await readLegacy(source);
  const state = stateDictOf(root, source.name, objectRange);
  found.push(torchDiagnostic('TORCH_LEGACY', source.name, { byteRange: [0, objectRange[0]], message: 'the file is a stream of pickles, as torch wrote before 1.6' }));
  if (protocol > 2) found.push(newerProtocol(protocol, source.name, objectRange));
  const producer: Producer = { name: 'torch.save before 1.6, or with _use_new_zipfile_serialization=False', evidence: [{ message: 'the legacy magic number', byteRange: [0, objectRange[0]] }] };
  return finish('legacy', producer, { container: 'legacy', pickleProtocol: protocol, ...state.metadata }, state, { root, source, storages }, { source: source.name, range: objectRange }, found);
}


// Both

function finish(variant: Variant, producer: Producer, metadata: Checkpoint['metadata'], state: StateDict, origin: Origin, pickle: { source: string; range: ByteRange }, found: Diagnostic[]): Checkpoint {
  const tensors = state.tensors.map((named) => tensorInfo(named, origin));
  found.push(...deviceFindings(origin, pickle.source, state), ...tensorFindings(state.tensors, spanOf, pickle.source));
  if (state.otherTensorCount > 0) found.push(torchDiagnostic('TORCH_OTHER_TENSORS', pickle.source, { byteRange: pickle.range, message: `${state.otherTensorCount} tensors beside ${state.key === undefined ? 'the named ones' : `those of ${JSON.stringify(state.key)}`}, such as an optimizer's, are not listed` }));
  if (tensors.length === 0) found.push(torchDiagnostic('TORCH_NO_TENSORS', pickle.source, { byteRange: pickle.range, message: 'the checkpoint holds no tensors' }));
  const checkpoint: Checkpoint = { format: 'torch-checkpoint', variant, producer, metadata, tensors };
  rememberOrigin(checkpoint, origin);
  return checkpoint;
}

/** Clause T-1.2: a location is never interpreted. */
function deviceFindings({ storages }: Origin, source: string, state: StateDict): Diagnostic[] {
  const odd = [...storages.values()].filter(({ storage }) => !/^(cpu|cuda(:[0-9]{1,4})?|mps(:[0-9]{1,4})?|meta)$/.test(storage.location));
  return odd.slice(0, 20).map(({ storage }) => {
    const user = state.tensors.find(({ tensor }) => tensor.storage.key === storage.key);
    return torchDiagnostic('TORCH_DEVICE', source, { ...(user ? { byteRange: user.tensor.byteRange, pointer: `/tensors/${user.name}` } : {}), message: `storage ${storage.key} has the location ${JSON.stringify(storage.location.slice(0, 100))}` });
  });
}

function tensorInfo({ name, tensor, parameter }: NamedTensor, { storages }: Origin): TorchTensorInfo {
  const { storage, dtype, size, stride, storageOffset } = tensor;
  const { location } = storages.get(storage.key)!;
  const span = spanOf(size, stride);
  return {
    name,
    dtype,
    shape: size,
    location: { source: location.source, offset: location.offset + (span === 0 ? 0 : storageOffset * dtype.bytesPerBlock), length: span * dtype.bytesPerBlock },
    ...(isContiguous(size, stride) ? {} : { strides: stride }),
    storage: { key: storage.key, device: storage.location, location },
    storageOffset,
    requiresGrad: parameter?.requiresGrad ?? tensor.requiresGrad,
  };
}

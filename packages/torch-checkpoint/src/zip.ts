/**
 * The zip container as torch writes and reads it, strictly: end records, central directory, then every local header and
 * data descriptor, which must all tell the same story and fill the file without a gap. Member data are not read.
 * Source: PKWARE APPNOTE 6.3.9; pytorch caffe2/serialize/inline_container.cc over miniz. Little-endian. Clauses Z-1 to Z-3.
 * Caveat: miniz appends the header's offset to a local zip64 field past 4 GiB, which the APPNOTE does not know.
 */
import { DiagnosticError, type ByteRange, type ByteSource, type Diagnostic } from '@weightspec/core';
import { equalBytes, readAvailable, safeU64, viewOf } from './bytes.js';
import { torchDiagnostic, type TorchCode } from './codes.js';
import { limits } from './limits.js';

export const END_BYTES = 22;
export const LOCATOR_BYTES = 20;
export const END64_BYTES = 56;
export const CENTRAL_BYTES = 46;
export const LOCAL_BYTES = 30;
export const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator: 0x07064b50, descriptor: 0x08074b50 } as const;
export const STORED = 0;
export const DEFLATED = 8;
export const ZIP64_FIELD = 0x0001;
/** Info-ZIP Unicode path: another name for the member, which torch does not look at. */
const UNICODE_PATH_FIELD = 0x7075;
const FLAG_DESCRIPTOR = 0x0008;
const FLAG_UTF8 = 0x0800;
/** Bits 1 and 2 tell how hard deflate tried. */
const FLAGS_DEFLATE_LEVEL = 0x0006;
const MAX_U32 = 0xffffffff;

export interface Member {
  /** As stored: `archive/data/0`. */
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly method: number;
  readonly flags: number;
  readonly crc: number;
  readonly compressedBytes: number;
  /** Uncompressed. */
  readonly byteLength: number;
  readonly headerOffset: number;
  /** Of the entry in the central directory. */
  readonly centralRange: ByteRange;
  readonly madeBy: number;
}

export interface PlacedMember extends Member {
  /** Where the member's (possibly deflated) bytes start. */
  readonly dataOffset: number;
  /** The local header has torch's padding field "FB". */
  readonly padded: boolean;
}

export interface ZipArchive {
  /** In the order of the central directory. */
  readonly members: readonly PlacedMember[];
  /** All checksums are zero (clause Z-3.4). */
  readonly withoutCrc: boolean;
}

interface Directory {
  readonly offset: number;
  readonly byteLength: number;
  readonly entryCount: number;
}

/** Throws DiagnosticError with everything that is wrong with the container. */
export async function readZip(source: ByteSource): Promise<ZipArchive> {
  const directory = await findDirectory(source);
  const members = parseCentral(await source.read(directory.offset, directory.byteLength), directory, source.name);
  const placed = await placeMembers(members, directory.offset, source);
  return { members: placed, withoutCrc: members.some((member) => member.byteLength > 0) && members.every((member) => member.crc === 0) };
}

function fail(code: TorchCode, source: string, byteRange: ByteRange, message: string): never {
  throw new DiagnosticError([torchDiagnostic(code, source, { byteRange, message })]);
}

/** Clauses Z-1.1 to Z-1.4. */
async function findDirectory(source: ByteSource): Promise<Directory> {
  const { size, name } = source;
  const tail = await readAvailable(source, Math.max(0, size - END_BYTES - LOCATOR_BYTES - END64_BYTES), END_BYTES + LOCATOR_BYTES + END64_BYTES);
  const view = viewOf(tail);
  const end = tail.length - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== signatures.end || view.getUint16(end + 20, true) !== 0) return failWithoutEnd(source);
  const endOffset = size - END_BYTES;
  const endRange = [endOffset, size] as const;
  const wrong = (message: string, byteRange: ByteRange = endRange): never => fail('TORCH_ZIP_DIRECTORY', name, byteRange, message);

  const short = { entryCount: view.getUint16(end + 10, true), byteLength: view.getUint32(end + 12, true), offset: view.getUint32(end + 16, true) };
  if (view.getUint16(end + 4, true) !== 0 || view.getUint16(end + 6, true) !== 0) wrong('the archive claims to span several disks');
  if (view.getUint16(end + 8, true) !== short.entryCount) wrong(`the end record counts ${view.getUint16(end + 8, true)} members on this disk and ${short.entryCount} in all`);

  const locator = end - LOCATOR_BYTES;
  const has64 = locator >= 0 && view.getUint32(locator, true) === signatures.locator;
  if (!has64) {
    if (short.entryCount === 0xffff || short.byteLength === MAX_U32 || short.offset === MAX_U32) wrong('the end record refers to a zip64 record that is not there');
    return checkPlace(source, short, endOffset, endRange);
  }
  const record = locator - END64_BYTES;
  const recordOffset = endOffset - LOCATOR_BYTES - END64_BYTES;
  const recordRange = [Math.max(0, recordOffset), endOffset] as const;
  if (record < 0 || view.getUint32(record, true) !== signatures.end64) wrong('no zip64 end record stands before its locator', recordRange);
  if (safeU64(view, record + 4) !== 44) wrong('the zip64 end record does not have its 44 bytes', recordRange);
  const long = { entryCount: safeU64(view, record + 32), byteLength: safeU64(view, record + 40), offset: safeU64(view, record + 48) };
  if (long.entryCount === undefined || long.byteLength === undefined || long.offset === undefined) return wrong('the zip64 end record holds a number above 2^53 − 1', recordRange);
  if (view.getUint32(record + 16, true) !== 0 || view.getUint32(record + 20, true) !== 0 || view.getUint32(locator + 4, true) !== 0 || view.getUint32(locator + 16, true) > 1) wrong('the archive claims to span several disks', recordRange);
  if (safeU64(view, record + 24) !== long.entryCount) wrong('the zip64 end record counts its members in two ways', recordRange);
  for (const [field, saturated] of [['entryCount', 0xffff], ['byteLength', MAX_U32], ['offset', MAX_U32]] as const) {
    if (short[field] !== saturated && short[field] !== long[field]) wrong(`the end record and the zip64 end record disagree: ${field} is ${short[field]} and ${long[field]}`, [recordOffset, size]);
  }
  const pointedTo = safeU64(view, locator + 8);
  const directory = { entryCount: long.entryCount, byteLength: long.byteLength, offset: long.offset };
  const place = await checkPlace(source, directory, recordOffset, [recordOffset, size]);
  if (pointedTo !== recordOffset) wrong(`the zip64 locator points to ${pointedTo ?? 'an offset above 2^53 − 1'}, but its record stands at ${recordOffset}`, recordRange);
  return place;
}

async function checkPlace(source: ByteSource, directory: Directory, endsAt: number, range: ByteRange): Promise<Directory> {
  const { name } = source;
  const { offset, byteLength, entryCount } = directory;
  if (offset + byteLength !== endsAt) {
    // Everything shifted by the same amount, with a directory where the shift puts it: something was put in front.
    const shift = endsAt - offset - byteLength;
    const head = shift > 0 && byteLength >= 4 ? await readAvailable(source, offset + shift, 4) : new Uint8Array(0);
    if (head.length === 4 && viewOf(head).getUint32(0, true) === signatures.central) fail('TORCH_ZIP_PREFIX', name, [0, shift], `${shift} bytes stand in front of the archive: all its offsets are short by that`);
    fail('TORCH_ZIP_DIRECTORY', name, range, `the directory of ${byteLength} bytes at ${offset} does not end at ${endsAt}, where the end records begin`);
  }
  if (entryCount > limits.members || byteLength > limits.centralDirectoryBytes) fail('TORCH_LIMIT', name, range, `${entryCount} members in a directory of ${byteLength} bytes; the limits are ${limits.members} and ${limits.centralDirectoryBytes}`);
  return directory;
}

/** No end record in the last 22 bytes: either something follows it, or the file was cut. */
async function failWithoutEnd(source: ByteSource): Promise<never> {
  const { size, name } = source;
  const start = Math.max(0, size - END_BYTES - 0xffff);
  const tail = await readAvailable(source, start, size - start);
  for (let i = tail.length - END_BYTES; i >= 0; i--) {
    if (tail[i] === 0x50 && tail[i + 1] === 0x4b && tail[i + 2] === 5 && tail[i + 3] === 6) {
      const end = start + i + END_BYTES;
      fail('TORCH_ZIP_TRAILING_BYTES', name, end === size ? [end - 2, end] : [end, size], end === size ? 'the end record announces a comment that is not there' : `${size - end} bytes follow the end record at ${start + i}`);
    }
  }
  return fail('TORCH_ZIP_TRUNCATED', name, [Math.max(0, size - END_BYTES), size], `no end-of-central-directory record ends at byte ${size}: the archive was cut`);
}

interface ExtraField {
  readonly id: number;
  /** Within the extra block. */
  readonly start: number;
  readonly length: number;
}

/** The fields of an extra block, or undefined when it is malformed, doubles the zip64 field, or renames the member. */
function extraFields(block: Uint8Array): ExtraField[] | undefined {
  const view = viewOf(block);
  const fields: ExtraField[] = [];
  for (let position = 0; position < block.length;) {
    if (position + 4 > block.length) return undefined;
    const id = view.getUint16(position, true);
    const length = view.getUint16(position + 2, true);
    if (position + 4 + length > block.length || id === UNICODE_PATH_FIELD) return undefined;
    if (id === ZIP64_FIELD && fields.some((field) => field.id === ZIP64_FIELD)) return undefined;
    fields.push({ id, start: position + 4, length });
    position += 4 + length;
  }
  return fields;
}

/** Clauses Z-2. */
function parseCentral(bytes: Uint8Array, directory: Directory, source: string): Member[] {
  const view = viewOf(bytes);
  const found: Diagnostic[] = [];
  const members: Member[] = [];
  const seen = new Map<string, Member>();
  let position = 0;
  for (let i = 0; i < directory.entryCount; i++) {
    const start = directory.offset + position;
    const malformed = (message: string): never => fail('TORCH_ZIP_DIRECTORY', source, [start, directory.offset + directory.byteLength], message);
    if (position + CENTRAL_BYTES > bytes.length || view.getUint32(position, true) !== signatures.central) malformed(`no directory entry at ${start}; the directory should hold ${directory.entryCount}, this would be number ${i + 1}`);
    const nameLength = view.getUint16(position + 28, true);
    const extraLength = view.getUint16(position + 30, true);
    const commentLength = view.getUint16(position + 32, true);
    const end = position + CENTRAL_BYTES + nameLength + extraLength + commentLength;
    if (end > bytes.length) malformed('a directory entry reaches past the directory');
    if (commentLength > 0) malformed('a directory entry has a comment');
    if (view.getUint16(position + 34, true) !== 0) malformed('a directory entry points to another disk');
    const nameBytes = bytes.subarray(position + CENTRAL_BYTES, position + CENTRAL_BYTES + nameLength);
    const centralRange = [start, directory.offset + end] as const;
    const report = (code: TorchCode, message: string, byteRange: ByteRange = centralRange): void => {
      found.push(torchDiagnostic(code, source, { byteRange, message }));
    };
    const extraStart = position + CENTRAL_BYTES + nameLength;
    const sizes = centralSizes(view, position, bytes.subarray(extraStart, extraStart + extraLength));
    const flags = view.getUint16(position + 8, true);
    const method = view.getUint16(position + 10, true);
    const { name, problem } = decodeName(nameBytes, flags);
    if (sizes === undefined) {
      report('TORCH_ZIP_EXTRA', `the extra field of ${name} in the directory is malformed, doubled, renames the member, or lacks a size`);
    } else {
      const member: Member = { name, nameBytes, method, flags, crc: view.getUint32(position + 16, true), ...sizes, centralRange, madeBy: view.getUint16(position + 4, true) };
      if (problem !== undefined) report('TORCH_ZIP_NAME', `the name ${JSON.stringify(name)} ${problem}`);
      checkMethod(member, report);
      const folded = name.normalize('NFC').toLowerCase();
      const twin = seen.get(folded);
      if (twin) report('TORCH_ZIP_DUPLICATE', twin.name === name ? `two members are called ${JSON.stringify(name)}` : `${JSON.stringify(name)} and ${JSON.stringify(twin.name)} differ in letter case only`);
      seen.set(folded, member);
      members.push(member);
    }
    if (found.length >= 100) break; // a hostile directory must not make a million findings
    position = end;
  }
  if (found.length > 0) throw new DiagnosticError(found);
  if (position !== bytes.length) fail('TORCH_ZIP_DIRECTORY', source, [directory.offset + position, directory.offset + bytes.length], `${bytes.length - position} bytes are left in the directory behind its ${directory.entryCount} entries`);
  return members;
}

type Report = (code: TorchCode, message: string, byteRange?: ByteRange) => void;

function checkMethod({ name, method, flags, compressedBytes, byteLength }: Member, report: Report): void {
  if (method !== STORED && method !== DEFLATED) return report('TORCH_ZIP_METHOD', `${name} is compressed with method ${method}`);
  const allowed = FLAG_DESCRIPTOR + FLAG_UTF8 + (method === DEFLATED ? FLAGS_DEFLATE_LEVEL : 0);
  if ((flags & ~allowed) !== 0) report('TORCH_ZIP_FLAGS', `${name} has the flag bits 0x${(flags & ~allowed).toString(16)} set`);
  if (method === STORED && compressedBytes !== byteLength) report('TORCH_ZIP_SIZE', `${name} is stored, but takes ${compressedBytes} bytes for ${byteLength}`);
  if (method === DEFLATED && byteLength > 2 ** 20 && byteLength > limits.expansion * compressedBytes) report('TORCH_ZIP_BOMB', `${name} claims to expand from ${compressedBytes} to ${byteLength} bytes`);
}

interface Sizes {
  readonly compressedBytes: number;
  readonly byteLength: number;
  readonly headerOffset: number;
}

/** Sizes and offset of a directory entry, through the zip64 field where they are saturated. */
function centralSizes(view: DataView, position: number, extra: Uint8Array): Sizes | undefined {
  const fields = extraFields(extra);
  if (!fields) return undefined;
  const zip64 = fields.find((field) => field.id === ZIP64_FIELD);
  let at = zip64?.start ?? 0;
  const limit = zip64 ? zip64.start + zip64.length : 0;
  const extraView = viewOf(extra);
  const field = (value: number): number | undefined => {
    if (value !== MAX_U32) return value;
    if (at + 8 > limit) return undefined;
    at += 8;
    return safeU64(extraView, at - 8);
  };
  const byteLength = field(view.getUint32(position + 24, true));
  const compressedBytes = field(view.getUint32(position + 20, true));
  const headerOffset = field(view.getUint32(position + 42, true));
  if (byteLength === undefined || compressedBytes === undefined || headerOffset === undefined || (zip64 && at !== limit)) return undefined;
  return { byteLength, compressedBytes, headerOffset };
}

/** Clause Z-2.1. */
function decodeName(bytes: Uint8Array, flags: number): { name: string; problem?: string } {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { name: String.fromCharCode(...bytes.subarray(0, 64)), problem: 'is no UTF-8' };
  }
  if (bytes.length > limits.memberNameBytes) return { name: `${name.slice(0, 64)}…`, problem: `has ${bytes.length} bytes` };
  if ((flags & FLAG_UTF8) === 0 && bytes.some((byte) => byte >= 0x80)) return { name, problem: 'is not ASCII and not marked as UTF-8, so that readers take it for different letters' };
  if (/\p{Cc}/u.test(name)) return { name, problem: 'has a control character' };
  if (name.includes('\\')) return { name, problem: 'has a backslash, which some tools take for a folder' };
  if (name.startsWith('/') || /^[a-z]:/i.test(name)) return { name, problem: 'is an absolute path' };
  const parts = name.split('/');
  if (parts.at(-1) === '' && parts.length > 1) parts.pop(); // a folder's own entry
  if (parts.some((part) => part === '' || part === '.' || part === '..')) return { name, problem: 'has an empty, "." or ".." part' };
  return { name };
}

/** Headers closer together than this are read in one go, so that thousands of small members do not cost as many reads. */
const COALESCE_GAP = 4_096;
const COALESCE_BYTES = 2 ** 18;
/** Longest data descriptor. */
const DESCRIPTOR_BYTES = 24;
/** Read of a local extra field in the first go; torch pads with up to 63 + 4 + 24 bytes. */
const LIKELY_EXTRA = 128;
const BATCH = 16;

/** Clauses Z-3. Each header is read with the 24 bytes before it: the descriptor of the member in front. */
async function placeMembers(members: readonly Member[], directoryOffset: number, source: ByteSource): Promise<PlacedMember[]> {
  const inFileOrder = members.toSorted((a, b) => a.headerOffset - b.headerOffset);
  checkOrder(inFileOrder, directoryOffset, source.name);
  const windows: { start: number; end: number; members: { member: Member; end: number }[] }[] = [];
  inFileOrder.forEach((member, i) => {
    const end = inFileOrder[i + 1]?.headerOffset ?? directoryOffset;
    const wantedStart = Math.max(0, member.headerOffset - DESCRIPTOR_BYTES);
    const wantedEnd = Math.min(directoryOffset, member.headerOffset + LOCAL_BYTES + member.nameBytes.length + LIKELY_EXTRA);
    const last = windows.at(-1);
    if (last && wantedStart - last.end <= COALESCE_GAP && wantedEnd - last.start <= COALESCE_BYTES) {
      last.end = Math.max(last.end, wantedEnd);
      last.members.push({ member, end });
    } else windows.push({ start: wantedStart, end: wantedEnd, members: [{ member, end }] });
  });
  const found: Diagnostic[] = [];
  const placed = new Map<Member, PlacedMember>();
  for (let i = 0; i < windows.length; i += BATCH) {
    await Promise.all(windows.slice(i, i + BATCH).map(async ({ start, end: windowEnd, members: inside }) => {
      const bytes = await source.read(start, windowEnd - start);
      for (const { member, end } of inside) placed.set(member, await placeMember(member, end, { bytes, start }, source, found));
    }));
    if (found.length > 0) throw new DiagnosticError(found.slice(0, 100));
  }
  return members.map((member) => placed.get(member)!);
}

function checkOrder(inFileOrder: readonly Member[], directoryOffset: number, source: string): void {
  const [first] = inFileOrder;
  if (first && first.headerOffset > 0) fail('TORCH_ZIP_PREFIX', source, [0, Math.min(first.headerOffset, directoryOffset)], `${first.headerOffset} bytes stand before the first member, ${first.name}`);
  if (!first && directoryOffset > 0) fail('TORCH_ZIP_PREFIX', source, [0, directoryOffset], `${directoryOffset} bytes stand before an empty directory`);
  inFileOrder.forEach((member, i) => {
    if (member.headerOffset >= directoryOffset) fail('TORCH_ZIP_LAYOUT', source, member.centralRange, `the directory puts ${member.name} at ${member.headerOffset}, which is not before the directory at ${directoryOffset}`);
    const next = inFileOrder[i + 1];
    const end = next?.headerOffset ?? directoryOffset;
    const least = member.headerOffset + LOCAL_BYTES + member.nameBytes.length + member.compressedBytes;
    if (least > end) fail('TORCH_ZIP_LAYOUT', source, [member.headerOffset, Math.max(member.headerOffset + 1, Math.min(least, directoryOffset))], `${member.name} at ${member.headerOffset} takes ${member.compressedBytes} bytes and its header, and reaches into ${next ? next.name : 'the directory'} at ${end}`);
  });
}

interface Bytes {
  readonly bytes: Uint8Array;
  readonly start: number;
}

/** [offset, offset + length), from what was read if it is there. */
async function bytesAt({ bytes, start }: Bytes, offset: number, length: number, source: ByteSource): Promise<Uint8Array> {
  return offset >= start && offset + length <= start + bytes.length ? bytes.subarray(offset - start, offset - start + length) : source.read(offset, length);
}

async function placeMember(member: Member, end: number, window: Bytes, source: ByteSource, found: Diagnostic[]): Promise<PlacedMember> {
  const { name, headerOffset, flags, method, crc, compressedBytes, byteLength } = member;
  const header = await bytesAt(window, headerOffset, LOCAL_BYTES, source);
  const view = viewOf(header);
  const headerRange = [headerOffset, headerOffset + LOCAL_BYTES] as const;
  const report: Report = (code, message, byteRange = headerRange) => void found.push(torchDiagnostic(code, source.name, { byteRange, message }));
  const nowhere = { ...member, dataOffset: headerOffset, padded: false };
  if (view.getUint32(0, true) !== signatures.local) {
    report('TORCH_ZIP_LAYOUT', `the directory puts ${name} at ${headerOffset}, where no local header stands`);
    return nowhere;
  }
  const nameLength = view.getUint16(26, true);
  const extraLength = view.getUint16(28, true);
  const dataOffset = headerOffset + LOCAL_BYTES + nameLength + extraLength;
  if (dataOffset + compressedBytes > end) {
    report('TORCH_ZIP_LAYOUT', `${name} with its local header of ${LOCAL_BYTES + nameLength + extraLength} bytes ends at ${dataOffset + compressedBytes}, past ${end}`);
    return nowhere;
  }
  const variable = await bytesAt(window, headerOffset + LOCAL_BYTES, nameLength + extraLength, source);
  const localName = variable.subarray(0, nameLength);
  if (!equalBytes(localName, member.nameBytes)) report('TORCH_ZIP_NAME_MISMATCH', `the directory calls this member ${JSON.stringify(name)}, its local header ${JSON.stringify(new TextDecoder().decode(localName.subarray(0, 256)))}`, [headerOffset, headerOffset + LOCAL_BYTES + nameLength]);
  const localFlags = view.getUint16(6, true);
  const localMethod = view.getUint16(8, true);
  if (localFlags !== flags || localMethod !== method) report('TORCH_ZIP_FLAGS', `${name} has flags 0x${flags.toString(16)} and method ${method} in the directory, 0x${localFlags.toString(16)} and ${localMethod} in its local header`, [headerOffset + 6, headerOffset + 10]);
  const described = (flags & FLAG_DESCRIPTOR) !== 0;
  const localCrc = view.getUint32(14, true);
  if (localCrc !== crc && !(described && localCrc === 0)) report('TORCH_ZIP_CRC', `${name} has CRC ${hex(crc)} in the directory and ${hex(localCrc)} in its local header`, [headerOffset + 14, headerOffset + 18]);

  const extra = variable.subarray(nameLength);
  const fields = extraFields(extra);
  if (!fields) report('TORCH_ZIP_EXTRA', `the local extra field of ${name} is malformed, doubled, or renames the member`, [headerOffset + LOCAL_BYTES + nameLength, dataOffset]);
  const zip64 = fields?.find((field) => field.id === ZIP64_FIELD);
  if (!localSizesAgree(view, extra, zip64, member, described)) report('TORCH_ZIP_SIZE', `${name} has ${byteLength} bytes (${compressedBytes} in the file) in the directory, and other sizes in its local header`, [headerOffset + 18, dataOffset]);
  const padded = fields?.some((field) => field.id === 0x4246) ?? false;
  await checkDescriptor(member, dataOffset + compressedBytes, end, described, zip64 !== undefined, window, source, report);
  return { ...member, dataOffset, padded };
}

export const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

/** Clause Z-3.2. Where a descriptor follows, the local header may leave its sizes zero. */
function localSizesAgree(view: DataView, extra: Uint8Array, zip64: ExtraField | undefined, { compressedBytes, byteLength, headerOffset }: Member, described: boolean): boolean {
  const agrees = (value: number | undefined, expected: number): boolean => value === expected || (described && value === 0);
  const compressed = view.getUint32(18, true);
  const uncompressed = view.getUint32(22, true);
  if (!zip64) return agrees(compressed, compressedBytes) && agrees(uncompressed, byteLength);
  if (!(compressed === MAX_U32 || agrees(compressed, compressedBytes)) || !(uncompressed === MAX_U32 || agrees(uncompressed, byteLength))) return false;
  const extraView = viewOf(extra);
  const values = Array.from({ length: zip64.length / 8 }, (_, i) => safeU64(extraView, zip64.start + 8 * i));
  if (zip64.length % 8 !== 0 || values.length === 0 || values.length > 3) return false;
  // An odd count ends with the header's own offset: miniz puts it there past 4 GiB.
  if (values.length % 2 === 1 && values.at(-1) !== headerOffset) return false;
  return values.length === 1 || (agrees(values[0], byteLength) && agrees(values[1], compressedBytes));
}

/** Clauses Z-3.1 to Z-3.3: what lies between the data and the next header is the descriptor, if there is one, and nothing else. */
async function checkDescriptor(member: Member, dataEnd: number, end: number, described: boolean, zip64: boolean, window: Bytes, source: ByteSource, report: Report): Promise<void> {
  const { name, crc, compressedBytes, byteLength } = member;
  const gap = end - dataEnd;
  const range = [dataEnd, Math.max(dataEnd + 1, end)] as const;
  if (!described) {
    if (gap > 0) report('TORCH_ZIP_LAYOUT', `${gap} bytes between the end of ${name} and what follows belong to nothing`, range);
    return;
  }
  const wide = gap === 24 || gap === 20;
  const signed = gap === 24 || gap === 16;
  if (!wide && gap !== 16 && gap !== 12) return report('TORCH_ZIP_LAYOUT', `${gap} bytes between the end of ${name} and what follows are no data descriptor`, range);
  const view = viewOf(await bytesAt(window, dataEnd, gap, source));
  if ((signed && view.getUint32(0, true) !== signatures.descriptor) || (wide && !zip64)) return report('TORCH_ZIP_LAYOUT', `the ${gap} bytes behind ${name} are no data descriptor`, range);
  const at = signed ? 4 : 0;
  if (view.getUint32(at, true) !== crc) report('TORCH_ZIP_CRC', `${name} has CRC ${hex(crc)} in the directory and ${hex(view.getUint32(at, true))} in its data descriptor`, range);
  const stored = wide ? [safeU64(view, at + 4), safeU64(view, at + 12)] : [view.getUint32(at + 4, true), view.getUint32(at + 8, true)];
  if (stored[0] !== compressedBytes || stored[1] !== byteLength) report('TORCH_ZIP_SIZE', `${name} has ${byteLength} bytes (${compressedBytes} in the file) in the directory, ${stored[1]} (${stored[0]}) in its data descriptor`, range);
}

/**
 * The records of a zip archive as two parsers tell them, and the clauses Z of specs/torch-checkpoint/README.md over them.
 * Numbers are BigInt. Where the clauses allow several encodings (local sizes, descriptors), all of them are built from the
 * directory and the file must hold one: the production reader goes the other way round and parses what is there.
 */
import zlib from 'node:zlib';
import type { SyncBytes } from './sync-bytes.js';
import { demand, type TorchMember } from './torch-checkpoint.reading.js';

export interface ZipExtraField {
  readonly id: number;
  readonly body: Uint8Array;
}

/** What a local header and a directory entry have in common. */
export interface ZipHeader {
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: bigint;
  readonly uncompressed: bigint;
  readonly name: Uint8Array;
  readonly extra: readonly ZipExtraField[];
}

export interface ZipEntry extends ZipHeader {
  readonly offset: bigint;
  readonly commentLength: number;
  readonly disk: number;
  /** Of the whole entry. */
  readonly entryLength: bigint;
}

export interface ZipLocal extends ZipHeader {
  /** Up to the data. */
  readonly headerLength: bigint;
}

export interface ZipEnd {
  readonly disks: readonly number[];
  readonly entriesOnDisk: bigint;
  readonly entryCount: bigint;
  readonly directoryLength: bigint;
  readonly directoryOffset: bigint;
}

export interface ZipRecords {
  readonly end: ZipEnd & { readonly commentLength: number };
  /** Where a locator stands before the end record. */
  readonly end64?: ZipEnd & { readonly restLength: bigint; readonly pointedTo: bigint; readonly locatorDisk: number; readonly diskCount: number };
  readonly entries: readonly ZipEntry[];
  localAt(offset: bigint): ZipLocal;
}

const U16 = 0xffffn;
const U32 = 0xffffffffn;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** The members, in the order of the directory. Throws TorchRefused. */
export function membersOf(records: ZipRecords, source: SyncBytes): TorchMember[] {
  const directoryOffset = checkEnds(records, BigInt(source.size));
  const places = records.entries.map((entry) => ({ entry, ...placeOf(entry) }));
  const names = new Set<string>();
  for (const { name } of places) {
    const folded = name.normalize('NFC').toLowerCase();
    demand(!names.has(folded), `Z-2.2: ${name}`);
    names.add(folded);
  }
  const inOrder = places.toSorted((a, b) => (a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0));
  demand((inOrder[0]?.offset ?? directoryOffset) === 0n, 'Z-1.3');
  const members = new Map<ZipEntry, TorchMember>();
  inOrder.forEach(({ entry, name, offset, uncompressed, compressed }, i) => {
    const end = inOrder[i + 1]?.offset ?? directoryOffset;
    const local = records.localAt(offset);
    demand(sameBytes(local.name, entry.name), `Z-2.3: ${name}`);
    demand(local.flags === entry.flags && local.method === entry.method, `Z-2.4: ${name}`);
    const described = (entry.flags & 8) !== 0;
    demand(local.crc === entry.crc || (described && local.crc === 0), `Z-3.3: ${name}`);
    const zip64 = checkExtra(local.extra, name);
    checkLocalSizes(local, zip64, { uncompressed, compressed, offset, described, name });
    const dataOffset = offset + local.headerLength;
    const dataEnd = dataOffset + compressed;
    demand(dataEnd <= end, `Z-3.1: ${name} reaches past ${end}`);
    const between = source.read(Number(dataEnd), Number(end - dataEnd));
    const allowed = described ? descriptors(entry.crc, compressed, uncompressed, zip64 !== undefined) : [''];
    demand(allowed.includes(hexOf(between)), `Z-3.1 to Z-3.3: ${between.length} bytes behind ${name}`);
    members.set(entry, { name, method: entry.method, crc: entry.crc, headerOffset: Number(offset), dataOffset: Number(dataOffset), compressedLength: Number(compressed), length: Number(uncompressed) });
  });
  return places.map(({ entry }) => members.get(entry)!);
}

/** Z-1. Returns where the directory starts. */
function checkEnds({ end, end64, entries }: ZipRecords, size: bigint): bigint {
  demand(end.commentLength === 0, 'Z-1.2');
  demand(end.disks.every((disk) => disk === 0), 'Z-1.4: disks');
  demand(end.entriesOnDisk === end.entryCount, 'Z-1.4: counts');
  const limits = [[end.entryCount, U16], [end.directoryLength, U32], [end.directoryOffset, U32]] as const;
  const endsAt = size - 22n - (end64 ? 76n : 0n);
  if (end64) {
    demand(end64.restLength === 44n && end64.pointedTo === endsAt, 'Z-1.4: zip64 record and its locator');
    demand(end64.disks.every((disk) => disk === 0) && end64.locatorDisk === 0 && end64.diskCount <= 1, 'Z-1.4: disks');
    demand(end64.entriesOnDisk === end64.entryCount, 'Z-1.4: zip64 counts');
    const wide = [end64.entryCount, end64.directoryLength, end64.directoryOffset];
    limits.forEach(([value, saturated], i) => demand(value === saturated || value === wide[i], 'Z-1.4: the end records disagree'));
  } else demand(limits.every(([value, saturated]) => value !== saturated), 'Z-1.4: no zip64 record');
  const { directoryOffset, directoryLength, entryCount } = end64 ?? end;
  demand(directoryOffset <= SAFE && directoryLength <= SAFE, 'T-2.5');
  demand(directoryOffset + directoryLength === endsAt, 'Z-1.4: the directory ends elsewhere');
  demand(entryCount <= 65_536n && directoryLength <= 2n ** 24n, 'K-4.1');
  demand(BigInt(entries.length) === entryCount, 'Z-1.4: entries');
  demand(entries.reduce((sum, entry) => sum + entry.entryLength, 0n) === directoryLength, 'Z-1.4: entries and directory differ in length');
  return directoryOffset;
}

/** Z-2 of one directory entry, with the saturated fields filled in. */
function placeOf(entry: ZipEntry): { name: string; offset: bigint; uncompressed: bigint; compressed: bigint } {
  demand(entry.commentLength === 0 && entry.disk === 0, 'Z-1.4: comment or disk of an entry');
  const name = checkName(entry.name, entry.flags);
  const body = checkExtra(entry.extra, name);
  const fields = [entry.uncompressed, entry.compressed, entry.offset];
  const words = body === undefined ? [] : Array.from({ length: Math.floor(body.length / 8) }, (_, i) => Buffer.from(body).readBigUInt64LE(8 * i));
  const saturated = fields.filter((value) => value === U32).length;
  demand(words.length === saturated && (body?.length ?? 0) === 8 * saturated, `Z-2.5: the zip64 field of ${name}`);
  const [uncompressed, compressed, offset] = fields.map((value) => (value === U32 ? words.shift()! : value)) as [bigint, bigint, bigint];
  demand([uncompressed, compressed, offset].every((value) => value <= SAFE), `Z-2.5: ${name}`);
  demand(entry.method === 0 || entry.method === 8, `Z-2.6: ${name}`);
  demand([0x0008, 0x0800, ...(entry.method === 8 ? [0x0002, 0x0004] : [])].reduce((rest, bit) => rest & ~bit, entry.flags) === 0, `Z-2.4: flags of ${name}`);
  if (entry.method === 0) demand(compressed === uncompressed, `Z-3.2: ${name}`);
  else demand(uncompressed <= 2n ** 20n || uncompressed <= 200n * compressed, `Z-2.7: ${name}`);
  return { name, offset, uncompressed, compressed };
}

/** Z-2.1. */
function checkName(bytes: Uint8Array, flags: number): string {
  const name = Buffer.from(bytes).toString('utf8');
  demand(sameBytes(Buffer.from(name, 'utf8'), bytes), 'Z-2.1: no UTF-8');
  demand(bytes.length <= 4096, 'Z-2.1: length');
  demand((flags & 0x0800) !== 0 || bytes.every((byte) => byte < 0x80), 'Z-2.1: not marked as UTF-8');
  demand(Array.from(name).every((letter) => letter >= ' ' && !(letter >= '\x7f' && letter <= '\x9f') && letter !== '\\'), 'Z-2.1: a letter');
  demand(!/^([A-Za-z]:|\/)/.test(name), 'Z-2.1: absolute');
  demand(name !== '' && !/(^|\/)\.{0,2}\//.test(name) && !/(^|\/)\.{1,2}$/.test(name), 'Z-2.1: a part');
  return name;
}

/** Z-2.5. Returns the body of the zip64 field. */
function checkExtra(extra: readonly ZipExtraField[], name: string): Uint8Array | undefined {
  demand(extra.every(({ id }) => id !== 0x7075), `Z-2.5: Unicode path of ${name}`);
  const [first, ...more] = extra.filter(({ id }) => id === 1);
  demand(more.length === 0, `Z-2.5: two zip64 fields of ${name}`);
  return first?.body;
}

interface Sizes {
  readonly uncompressed: bigint;
  readonly compressed: bigint;
  readonly offset: bigint;
  readonly described: boolean;
  readonly name: string;
}

/** Z-3.2. */
function checkLocalSizes(local: ZipLocal, zip64: Uint8Array | undefined, { uncompressed, compressed, offset, described, name }: Sizes): void {
  const orZero = (value: bigint): bigint[] => (described ? [value, 0n] : [value]);
  const fits = (found: bigint, value: bigint): boolean => orZero(value).includes(found) || (zip64 !== undefined && found === U32);
  demand(fits(local.compressed, compressed) && fits(local.uncompressed, uncompressed), `Z-3.2: ${name}`);
  if (zip64 === undefined) return;
  const pairs = orZero(uncompressed).flatMap((first) => orZero(compressed).map((second) => [first, second]));
  const bodies = [...pairs, ...pairs.map((pair) => [...pair, offset]), [offset]].map((words) => words.map(littleEndian(8)).join(''));
  demand(bodies.includes(hexOf(zip64)), `Z-3.2: zip64 field of ${name}`);
}

/** The data descriptors that say so, in hexadecimal: with and without a signature, 64-bit sizes only behind a zip64 field. */
function descriptors(crc: number, compressed: bigint, uncompressed: bigint, zip64: boolean): string[] {
  const sizes = (width: number): string => [compressed, uncompressed].map(littleEndian(width)).join('');
  const narrow = compressed <= U32 && uncompressed <= U32 ? [sizes(4)] : [];
  return [...narrow, ...(zip64 ? [sizes(8)] : [])].flatMap((text) => ['504b0708', ''].map((signature) => signature + littleEndian(4)(BigInt(crc)) + text));
}

const littleEndian = (width: number) => (value: bigint): string => Array.from({ length: width }, (_, i) => ((value >> BigInt(8 * i)) & 255n).toString(16).padStart(2, '0')).join('');
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** A member's content; deflate is zlib's. Z-2.7. */
export function contentOf(member: TorchMember, source: SyncBytes): Uint8Array {
  const stored = source.read(member.dataOffset, member.compressedLength);
  if (member.method === 0) return stored;
  let plain: Uint8Array;
  let consumed: number;
  try {
    const { buffer, engine } = zlib.inflateRawSync(stored, { maxOutputLength: member.length + 1, info: true }) as unknown as { buffer: Uint8Array; engine: { bytesWritten: number } };
    plain = buffer;
    consumed = engine.bytesWritten;
  } catch (error) {
    demand(false, `Z-2.7: ${member.name}: ${String(error)}`);
  }
  demand(plain.length === member.length && consumed === stored.length, `Z-2.7: ${member.name}`);
  return plain;
}

/** Z-3.3 and Z-3.4 for the bytes of every member. */
export function checkChecksums(members: readonly TorchMember[], source: SyncBytes): void {
  const without = members.some(({ length }) => length > 0) && members.every(({ crc }) => crc === 0);
  for (const member of members) {
    const content = contentOf(member, source);
    demand(without || zlib.crc32(content) === member.crc, `Z-3.3: ${member.name}`);
  }
}

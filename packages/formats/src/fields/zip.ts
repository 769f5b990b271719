/** Names for the records of a zip archive as torch writes it, found from its end, or from its start when the end is lost. Clauses Z-1 to Z-3. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import { pickleNamer } from './pickle.js';
import { lastBefore, overlaps, pagedReader, readRecord, type Field, type Namer, type PagedReader, type RecordRead } from './record.js';

const SIGNATURES = { descriptor: 0x08074b50, local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator: 0x07064b50 } as const;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
/** Of the form without zip64 sizes. */
const DESCRIPTOR_BYTES = 16;
const MAX_ENTRIES = 65_536;

const STORED = 0;

/** A member: its entry in the directory, and where that says that it lies. */
interface Member {
  readonly isStored: boolean;
  readonly name: string;
  readonly entry: ByteRange;
  readonly offset: number;
  readonly dataBytes: number;
}

interface Directory {
  /** Fields of the end records. */
  readonly ends: readonly Field[];
  /** In the order of the directory. */
  readonly listed: readonly Member[];
  /** By offset. */
  readonly placed: readonly Member[];
}

/** `members`: where the bytes of each member lie. */
export interface ZipNames {
  readonly records: readonly Field[];
  readonly members: readonly Field[];
}

export function zipNamer(source: ByteSource): (range: ByteRange) => Promise<ZipNames> {
  const read = pagedReader(source);
  let loading: Promise<Directory> | undefined;
  const pickles = new Map<string, Namer>();
  const picklesOf = (name: string, [start, end]: ByteRange): Namer => {
    const known = pickles.get(name) ?? pickleNamer(source, { start, end, records: [name] });
    pickles.set(name, known);
    return known;
  };
  return async (range) => {
    const { ends, listed, placed } = await (loading ??= readDirectory(source, read));
    const records = ends.filter((field) => overlaps(field, range));
    const members: Field[] = [];
    for (const { name, entry: [start, end] } of listed) {
      if (end > range[0] && start < Math.max(range[1], range[0] + 1)) records.push(...((await signed(source, read, start, 'torch_zip.central_entry', SIGNATURES.central, `directory entry of ${name}`))?.fields ?? []));
    }
    const before = lastBefore(placed, range[0]);
    for (const member of placed.filter((one) => one === before || (one.offset >= range[0] && one.offset < range[1]))) {
      const { name, isStored, offset, dataBytes } = member;
      const header = await signed(source, read, offset, 'torch_zip.local_header', SIGNATURES.local, `local header of ${name}`);
      records.push(...(header?.fields ?? []));
      if (!header?.whole) continue;
      const data = await dataOf(source, read, name, header.end, dataBytes);
      if (isStored && /^[^/]+\/data\.pkl$/.test(name) && data[0]) records.push(...(await picklesOf(name, data[0].byteRange)(range)));
      members.push(...data);
    }
    return { records, members };
  };
}

/** The record at `offset`, if it begins with its signature. */
async function signed(source: ByteSource, read: PagedReader, offset: number, layout: Parameters<typeof readRecord>[3], signature: number, of: string): Promise<RecordRead | undefined> {
  if (!(offset >= 0 && offset < source.size)) return undefined;
  const found = await readRecord(read, source.size, offset, layout, of);
  return found.values.signature === signature ? found : undefined;
}

async function readDirectory(source: ByteSource, read: PagedReader): Promise<Directory> {
  const end = await signed(source, read, source.size - END_BYTES, 'torch_zip.end_of_central_directory', SIGNATURES.end, 'end record');
  const locator = await signed(source, read, source.size - END_BYTES - LOCATOR_BYTES, 'torch_zip.zip64_locator', SIGNATURES.locator, 'zip64 locator');
  const end64 = locator && (await signed(source, read, locator.values.ofs_zip64_end!, 'torch_zip.zip64_end', SIGNATURES.end64, 'zip64 end record'));
  const stated = (end64 ?? end)?.values;
  const listed = stated ? await readMembers(source, read, stated.ofs_directory!, stated.ofs_directory! + stated.len_directory!) : [];
  const known = listed.length > 0 ? listed : [{ name: 'the first member', isStored: false, entry: [0, 0] as const, offset: 0, dataBytes: 0 }];
  return { ends: [end, locator, end64].flatMap((found) => found?.fields ?? []), listed, placed: known.toSorted((a, b) => a.offset - b.offset) };
}

async function readMembers(source: ByteSource, read: PagedReader, offset: number, end: number): Promise<Member[]> {
  const found: Member[] = [];
  for (let at = offset; at < end && found.length < MAX_ENTRIES; ) {
    const entry = await readRecord(read, source.size, at, 'torch_zip.central_entry');
    const nameField = entry.fields.find(({ name }) => name === 'name');
    if (!entry.whole || entry.values.signature !== SIGNATURES.central || !nameField) break;
    const name = new TextDecoder().decode(await read(nameField.byteRange[0], nameField.byteRange[1] - nameField.byteRange[0]));
    found.push({ name, isStored: entry.values.method === STORED, entry: [at, entry.end], offset: entry.values.ofs_header!, dataBytes: entry.values.len_compressed! });
    at = entry.end;
  }
  return found;
}

/** The bytes of a member, and the data descriptor that may follow them. */
async function dataOf(source: ByteSource, read: PagedReader, name: string, start: number, dataBytes: number): Promise<Field[]> {
  const end = start + dataBytes;
  if (dataBytes === 0 || start >= source.size) return [];
  const data: Field = { name, byteRange: [start, Math.min(source.size, end)] };
  if (end + DESCRIPTOR_BYTES > source.size) return [data];
  const signature = await read(end, 4);
  const hasDescriptor = new DataView(signature.buffer, signature.byteOffset, 4).getUint32(0, true) === SIGNATURES.descriptor;
  return hasDescriptor ? [data, { name: 'data descriptor', record: name, byteRange: [end, end + DESCRIPTOR_BYTES] }] : [data];
}

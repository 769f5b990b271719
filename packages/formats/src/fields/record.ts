/** Fields of a file by name and place, read record by record from the tables that the specifications give. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import { layouts, type LayoutName } from './layouts.js';

/** A run of bytes as its specification names it. */
export interface Field {
  readonly name: string;
  /** What it belongs to, where its name alone does not say: a tensor, a member of an archive, an object of a header. */
  readonly record?: string;
  /** What begins here and has no field of its own: the second of several pickles, a storage. */
  readonly begins?: string;
  /** [start, end), cut where the file ends. */
  readonly byteRange: ByteRange;
}

export interface RecordRead {
  readonly fields: readonly Field[];
  /** Numbers by field; u64 above 2^53 - 1 come as NaN. */
  readonly values: Readonly<Record<string, number>>;
  readonly end: number;
  /** False when the file ends, or a length is negative, within the record. */
  readonly whole: boolean;
}

/** Names for the bytes of one file. Made once a file, so that what was walked for one range need not be walked again for the next. */
export type Namer = (range: ByteRange) => Promise<readonly Field[]>;

/** Where a walk over records can be taken up again: the last place noted at or before `offset`. */
export function lastBefore<T extends { readonly offset: number }>(places: readonly T[], offset: number): T | undefined {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle]!.offset <= offset) low = middle + 1;
    else high = middle;
  }
  return places[low - 1];
}

const PAGE_BYTES = 1 << 16;

/** Small reads through one page, so that a walk over thousands of records is not thousands of reads. */
export function pagedReader(source: ByteSource): (offset: number, length: number) => Promise<Uint8Array> {
  let start = 0;
  let page = new Uint8Array(0);
  return async (offset, length) => {
    if (offset < start || offset + length > start + page.length) {
      start = offset;
      page = new Uint8Array(await source.read(offset, Math.min(source.size - offset, Math.max(length, PAGE_BYTES))));
    }
    return page.subarray(offset - start, offset - start + length);
  };
}

export type PagedReader = ReturnType<typeof pagedReader>;

/** Reads the record `layout` at `offset` of a file of `fileSize` bytes. Nothing is checked but that it lies inside. */
export async function readRecord(read: PagedReader, fileSize: number, offset: number, layout: LayoutName, record?: string): Promise<RecordRead> {
  const fields: Field[] = [];
  const values: Record<string, number> = {};
  let at = offset;
  for (const [name, size] of layouts[layout] as readonly (readonly [string, number | string])[]) {
    const primitive = typeof size === 'string' && /^[usf][1248]$/.test(size);
    const byteLength = typeof size === 'number' ? size : primitive ? Number(size[1]) : (values[size] ?? Number.NaN);
    if (!(byteLength >= 0) || at >= fileSize) return { fields, values, end: at, whole: false };
    const end = at + byteLength;
    if (byteLength > 0) fields.push({ name, ...(record === undefined ? {} : { record }), byteRange: [at, Math.min(end, fileSize)] });
    if (end > fileSize) return { fields, values, end: fileSize, whole: false };
    if (primitive) values[name] = numberOf(await read(at, byteLength), size);
    at = end;
  }
  return { fields, values, end: at, whole: true };
}

function numberOf(bytes: Uint8Array, type: string): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'u1': return view.getUint8(0);
    case 'u2': return view.getUint16(0, true);
    case 'u4': return view.getUint32(0, true);
    case 's4': return view.getInt32(0, true);
    case 'f4': return view.getFloat32(0, true);
    case 'u8': {
      const value = view.getBigUint64(0, true);
      return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.NaN;
    }
    default: throw new RangeError(`no field has the type ${type}`);
  }
}

/** Whether a field has a byte in `range`, or stands where an empty range points. */
export const overlaps = ({ byteRange: [start, end] }: Field, [from, to]: ByteRange): boolean => start < Math.max(to, from + 1) && end > from;

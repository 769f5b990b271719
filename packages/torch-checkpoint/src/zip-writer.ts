/**
 * A zip archive as torch writes it through miniz: stored records behind padded headers, descriptors, zip64 end records always.
 * Front to back, one record at a time; a record's checksum follows its data. Little-endian. Clauses Z-4.
 * Caveat: past 4 GiB miniz puts the header's offset into the local zip64 field and leaves its compressed size 0.
 */
import type { ByteSink } from '@weightspec/core';
import { viewOf } from './bytes.js';
import { crc32 } from './crc32.js';
import { CENTRAL_BYTES, END64_BYTES, END_BYTES, LOCAL_BYTES, LOCATOR_BYTES, ZIP64_FIELD, signatures } from './zip.js';

const MAX_U32 = 0xffffffff;
const FLAGS_WITH_DESCRIPTOR = 0x0808;
const FLAGS_EMPTY = 0x0800;
const PADDING_FIELD = 0x4246; // "FB"
const PADDING_BYTE = 0x5a; // "Z"

export interface ZipWriterOptions {
  /** Top folder of every record. */
  readonly archiveName: string;
  /** Records start at multiples of this many bytes. */
  readonly alignment: number;
  /** False writes zeros for every checksum. */
  readonly crc: boolean;
}

interface Entry {
  readonly name: Uint8Array;
  readonly flags: number;
  readonly crc: number;
  readonly byteLength: number;
  readonly headerOffset: number;
}

export class ZipWriter {
  readonly #sink: ByteSink;
  readonly #options: ZipWriterOptions;
  readonly #start: number;
  readonly #entries: Entry[] = [];
  /** Sum of all checksums, for a serialization id. */
  crcSum = 0;

  constructor(sink: ByteSink, options: ZipWriterOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#start = sink.position;
  }

  /** Throws RangeError when `chunks` do not add up to `byteLength`. */
  async record(name: string, byteLength: number, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const nameBytes = new TextEncoder().encode(`${this.#options.archiveName}/${name}`);
    const headerOffset = this.#sink.position - this.#start;
    const flags = byteLength === 0 ? FLAGS_EMPTY : FLAGS_WITH_DESCRIPTOR;
    const zip64 = zip64Field(byteLength, 0, headerOffset);
    await this.#sink.write(localHeader(nameBytes, flags, zip64, headerOffset, this.#options.alignment));
    let crc = 0;
    let written = 0;
    for await (const chunk of chunks) {
      if (this.#options.crc) crc = crc32(chunk, crc);
      written += chunk.length;
      await this.#sink.write(chunk);
    }
    if (written !== byteLength) throw new RangeError(`record ${name} got ${written} bytes instead of ${byteLength}`);
    if (byteLength > 0) await this.#sink.write(descriptor(crc, byteLength, zip64.length > 0));
    this.#entries.push({ name: nameBytes, flags, crc, byteLength, headerOffset });
    this.crcSum = (this.crcSum + crc) % 2 ** 48;
  }

  async finish(): Promise<void> {
    const directoryOffset = this.#sink.position - this.#start;
    for (const entry of this.#entries) await this.#sink.write(centralEntry(entry));
    const directoryBytes = this.#sink.position - this.#start - directoryOffset;
    await this.#sink.write(endRecords(this.#entries.length, directoryOffset, directoryBytes));
  }
}

const setU64 = (view: DataView, offset: number, value: number): void => view.setBigUint64(offset, BigInt(value), true);

/** Holds what does not fit the 32-bit fields; empty when everything does. */
function zip64Field(byteLength: number, compressedBytes: number, headerOffset: number): Uint8Array {
  const values = [...(byteLength >= MAX_U32 ? [byteLength, compressedBytes] : []), ...(headerOffset >= MAX_U32 ? [headerOffset] : [])];
  if (values.length === 0) return new Uint8Array(0);
  const field = new Uint8Array(4 + 8 * values.length);
  const view = viewOf(field);
  view.setUint16(0, ZIP64_FIELD, true);
  view.setUint16(2, 8 * values.length, true);
  values.forEach((value, i) => setU64(view, 4 + 8 * i, value));
  return field;
}

function localHeader(name: Uint8Array, flags: number, zip64: Uint8Array, headerOffset: number, alignment: number): Uint8Array {
  const unpadded = LOCAL_BYTES + name.length + zip64.length + 4;
  const padding = (alignment - ((headerOffset + unpadded) % alignment)) % alignment;
  const header = new Uint8Array(unpadded + padding).fill(PADDING_BYTE);
  header.fill(0, 0, LOCAL_BYTES);
  const view = viewOf(header);
  view.setUint32(0, signatures.local, true);
  view.setUint16(6, flags, true);
  view.setUint16(26, name.length, true);
  view.setUint16(28, zip64.length + 4 + padding, true);
  header.set(name, LOCAL_BYTES);
  header.set(zip64, LOCAL_BYTES + name.length);
  view.setUint16(unpadded - 4, PADDING_FIELD, true);
  view.setUint16(unpadded - 2, padding, true);
  return header;
}

function descriptor(crc: number, byteLength: number, wide: boolean): Uint8Array {
  const bytes = new Uint8Array(wide ? 24 : 16);
  const view = viewOf(bytes);
  view.setUint32(0, signatures.descriptor, true);
  view.setUint32(4, crc, true);
  if (wide) {
    setU64(view, 8, byteLength);
    setU64(view, 16, byteLength);
  } else {
    view.setUint32(8, byteLength, true);
    view.setUint32(12, byteLength, true);
  }
  return bytes;
}

function centralEntry({ name, flags, crc, byteLength, headerOffset }: Entry): Uint8Array {
  const zip64 = zip64Field(byteLength, byteLength, headerOffset);
  const entry = new Uint8Array(CENTRAL_BYTES + name.length + zip64.length);
  const view = viewOf(entry);
  view.setUint32(0, signatures.central, true);
  view.setUint16(8, flags, true);
  view.setUint32(16, crc, true);
  view.setUint32(20, Math.min(byteLength, MAX_U32), true);
  view.setUint32(24, Math.min(byteLength, MAX_U32), true);
  view.setUint16(28, name.length, true);
  view.setUint16(30, zip64.length, true);
  view.setUint32(42, Math.min(headerOffset, MAX_U32), true);
  entry.set(name, CENTRAL_BYTES);
  entry.set(zip64, CENTRAL_BYTES + name.length);
  return entry;
}

function endRecords(entryCount: number, directoryOffset: number, directoryBytes: number): Uint8Array {
  const bytes = new Uint8Array(END64_BYTES + LOCATOR_BYTES + END_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, signatures.end64, true);
  setU64(view, 4, END64_BYTES - 12);
  view.setUint16(12, 0x031e, true);
  view.setUint16(14, 0x2d, true);
  setU64(view, 24, entryCount);
  setU64(view, 32, entryCount);
  setU64(view, 40, directoryBytes);
  setU64(view, 48, directoryOffset);
  view.setUint32(END64_BYTES, signatures.locator, true);
  setU64(view, END64_BYTES + 8, directoryOffset + directoryBytes);
  view.setUint32(END64_BYTES + 16, 1, true);
  const end = END64_BYTES + LOCATOR_BYTES;
  view.setUint32(end, signatures.end, true);
  view.setUint16(end + 8, Math.min(entryCount, 0xffff), true);
  view.setUint16(end + 10, Math.min(entryCount, 0xffff), true);
  view.setUint32(end + 12, Math.min(directoryBytes, MAX_U32), true);
  view.setUint32(end + 16, Math.min(directoryOffset, MAX_U32), true);
  return bytes;
}

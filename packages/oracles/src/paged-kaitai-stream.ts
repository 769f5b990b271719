/**
 * A KaitaiStream over pages instead of one ArrayBuffer. The runtime's own stream wants the whole file in memory and cuts
 * lengths to 32 bits (`length |= 0`), so that 4 GiB + 10 silently become 10 bytes.
 */
import { createRequire } from 'node:module';
import type KaitaiStreamClass from 'kaitai-struct/KaitaiStream.js';
import type { SyncBytes } from './sync-bytes.js';

const KaitaiStream = createRequire(import.meta.url)('kaitai-struct/KaitaiStream') as typeof KaitaiStreamClass.default;

const PAGE_BYTES = 1 << 16;
/** Longer reads are tensor data, which is to be taken by offset and length, not through the parser. */
const MAX_READ_BYTES = 64 << 20;

/** Reads `source` page by page; one page is kept. Numbers may straddle pages. */
export class PagedKaitaiStream extends KaitaiStream {
  readonly #source: SyncBytes;
  #page: DataView = new DataView(new ArrayBuffer(0));
  #pageStart = 0;
  /** Bytes fetched from the source so far. */
  bytesFetched = 0;

  constructor(source: SyncBytes) {
    super(0);
    this.#source = source;
    // The runtime's readers call getInt32 and the like on `_dataView` at absolute positions.
    const paged = Object.fromEntries(
      (['getInt8', 'getUint8', 'getInt16', 'getUint16', 'getInt32', 'getUint32', 'getFloat32', 'getFloat64'] as const)
        .map((get) => [get, (position: number, littleEndian?: boolean) => this.#pageWith(position)[get](position - this.#pageStart, littleEndian)]),
    );
    Object.defineProperty(this, '_dataView', { value: paged });
  }

  override get size(): number {
    return this.#source.size;
  }

  /** A page that holds the up to 8 bytes of a number at `position`. The caller has checked that the file is long enough. */
  #pageWith(position: number): DataView {
    const wanted = Math.min(8, this.size - position);
    if (position < this.#pageStart || position + wanted > this.#pageStart + this.#page.byteLength) {
      const bytes = this.#fetch(position, Math.min(PAGE_BYTES, this.size - position));
      this.#page = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#pageStart = position;
    }
    return this.#page;
  }

  #fetch(position: number, length: number): Uint8Array {
    this.bytesFetched += length;
    return this.#source.read(position, length);
  }

  override readBytes(length: number): Uint8Array {
    if (length > MAX_READ_BYTES) throw new RangeError(`${length} bytes at ${this.pos}: read tensor data by its offset and length`);
    if (length < 0 || this.pos + length > this.size) throw new KaitaiStream.EOFError(length, this.size - this.pos);
    const bytes = this.#fetch(this.pos, length);
    this.pos += length;
    return bytes;
  }

  override readBytesFull(): Uint8Array {
    return this.readBytes(this.size - this.pos);
  }
}

import { readChunks, type TensorLocation, type WeightHandle } from '@weightspec/core';
import { floatsOf, type Storage } from './storage.js';

/** Rows of a weight as f32: `values[at ..]` holds rows [firstRow, firstRow + rowCount), row-major. Valid only during the call. */
export type VisitRows = (values: Float32Array, at: number, firstRow: number, rowCount: number) => void;

/** f32 memory for decoded rows, shared by all weights of a program: only one op works at a time. */
export class Scratch {
  #values = new Float32Array(0);

  take(count: number): Float32Array {
    if (this.#values.length < count) this.#values = new Float32Array(count);
    return this.#values.subarray(0, count);
  }
}

/** Decoded rows should stay in the second-level cache (2^16 f32 are 256 KiB) … */
const RESIDENT_CHUNK_ELEMENTS = 2 ** 16;
/** … but a read from a file or over HTTP should be worth its latency. */
const STREAMED_CHUNK_ELEMENTS = 2 ** 20;
const LOAD_CHUNK_BYTES = 2 ** 24;

/** One weight in its file's element type, in memory or left in its source. A vector is one row. */
export class Weight {
  readonly rows: number;
  readonly columns: number;
  #resident?: readonly Uint8Array[];
  #floats?: Float32Array;

  constructor(
    handle: WeightHandle,
    readonly storage: Storage,
    private readonly scratch: Scratch,
  ) {
    this.columns = handle.shape.at(-1) ?? 1;
    this.rows = handle.shape.length > 1 ? handle.shape[0]! : 1;
  }

  /** Bytes of all parts. */
  get byteLength(): number {
    return this.storage.parts.reduce((sum, { tensor }) => sum + tensor.location.length, 0);
  }

  /** Reads all parts into memory, as they are. */
  async load(): Promise<void> {
    const parts: Uint8Array[] = [];
    for (const { tensor } of this.storage.parts) parts.push(await readAll(tensor.location));
    this.#resident = parts;
    if (!this.storage.decode) this.#floats = floatsOf(parts[0]!);
  }

  /**
   * Calls `visit` with rows [firstRow, endRow), in order, in as many chunks as memory asks for.
   * Returns a promise only when the weight is not in memory.
   */
  eachChunk(firstRow: number, endRow: number, visit: VisitRows): void | Promise<void> {
    if (this.#floats) return visit(this.#floats, firstRow * this.columns, firstRow, endRow - firstRow);
    const resident = this.#resident;
    if (!resident) return this.#streamChunks(firstRow, endRow, visit);
    const step = this.#rowsPerChunk(RESIDENT_CHUNK_ELEMENTS);
    for (let row = firstRow; row < endRow; row += step) {
      const chunk = this.#chunk(row, Math.min(step, endRow - row));
      const bytes = resident.map((part, index) => part.subarray(chunk.offsets[index], chunk.offsets[index]! + chunk.lengths[index]!));
      this.#visitDecoded(bytes, chunk, visit);
    }
  }

  async #streamChunks(firstRow: number, endRow: number, visit: VisitRows): Promise<void> {
    const step = this.#rowsPerChunk(STREAMED_CHUNK_ELEMENTS);
    for (let row = firstRow; row < endRow; row += step) {
      const chunk = this.#chunk(row, Math.min(step, endRow - row));
      const reads = this.storage.parts.map(({ tensor: { location } }, index) => location.source.read(location.offset + chunk.offsets[index]!, chunk.lengths[index]!));
      this.#visitDecoded(await Promise.all(reads), chunk, visit);
    }
  }

  #rowsPerChunk(elements: number): number {
    return Math.max(1, Math.floor(elements / this.columns));
  }

  /** The whole granules around some rows, and where they lie in each part. */
  #chunk(firstRow: number, rowCount: number) {
    const { granule, parts } = this.storage;
    const firstElement = firstRow * this.columns;
    const firstGranule = Math.floor(firstElement / granule);
    const granules = Math.ceil((firstElement + rowCount * this.columns) / granule) - firstGranule;
    return {
      firstRow,
      rowCount,
      /** Of the first row, in the decoded granules. */
      at: firstElement - firstGranule * granule,
      elements: granules * granule,
      offsets: parts.map((part) => firstGranule * part.bytesPerGranule),
      lengths: parts.map((part) => granules * part.bytesPerGranule),
    };
  }

  #visitDecoded(bytes: readonly Uint8Array[], chunk: { firstRow: number; rowCount: number; at: number; elements: number }, visit: VisitRows): void {
    const { decode } = this.storage;
    if (!decode) return visit(floatsOf(bytes[0]!), chunk.at, chunk.firstRow, chunk.rowCount);
    const values = this.scratch.take(chunk.elements);
    decode(bytes, values);
    visit(values, chunk.at, chunk.firstRow, chunk.rowCount);
  }
}

async function readAll(location: TensorLocation): Promise<Uint8Array> {
  const bytes = new Uint8Array(location.length);
  let at = 0;
  for await (const chunk of readChunks(location.source, location.offset, location.length, LOAD_CHUNK_BYTES)) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Brings weights to the device, once, a few MiB at a time: a whole model is never in JavaScript's memory. */
import type { WeightHandle } from '@weightspec/core';
import { BackendError, type Weight } from '@weightspec/kernels';
import { usage, type Gpu } from '../device/gpu.js';
import { ROW_MULTIPLE, rowRanges, type RowRange } from '../plan.js';
import { layoutOf, type Layout, type PlaneName } from './layout.js';
import { groupScales, padRows, repackRows, type PlaneBytes } from './repack.js';

const CHUNK_BYTES = 4 * 2 ** 20;
/** Bytes that may wait in staging memory before the queue is waited for. */
const STAGED_BYTES = 64 * 2 ** 20;

/** A range of a matrix's rows on the device. */
export interface MatrixRange extends RowRange {
  /** Row of the planes at which it starts: others may lie above it. */
  readonly planeRow: number;
  readonly planes: Readonly<Partial<Record<PlaneName, GPUBuffer>>>;
  /** Place of its first element in its first group; 0 where there are none. */
  readonly groupOffset: number;
}

export interface Matrix {
  readonly layout: Layout;
  readonly ranges: readonly MatrixRange[];
}

export interface VectorPart {
  readonly name?: string;
  readonly weight?: Weight;
  readonly length: number;
}

/** One of the matrices that lie one below the other in the same planes. */
export interface StackPart {
  readonly handle: WeightHandle;
  readonly weight: Weight;
}

interface PlacedPart extends StackPart {
  /** Row of the stack at which it starts. */
  readonly firstRow: number;
}

/** Writes to buffers and waits now and then. */
export class Uploader {
  #staged = 0;

  constructor(private readonly gpu: Gpu) {}

  async write(buffer: GPUBuffer, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.gpu.device.queue.writeBuffer(buffer, byteOffset, bytes, 0, bytes.byteLength);
    this.#staged += bytes.byteLength;
    if (this.#staged < STAGED_BYTES) return;
    this.#staged = 0;
    await this.gpu.settled();
  }

  /** Vectors as f32, one after the other, each filled up with zeros to its length; without a weight it is zeros. */
  async vectors(parts: readonly VectorPart[]): Promise<GPUBuffer> {
    const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let start = 0;
    for (const { weight, length } of parts) {
      await weight?.eachChunk(0, 1, (decoded, at) => values.set(decoded.subarray(at, at + weight.columns), start));
      start += length;
    }
    const buffer = this.gpu.storage(`weight ${parts.flatMap(({ name }) => name ?? []).join(', ')}`, values.byteLength);
    await this.write(buffer, 0, new Uint8Array(values.buffer));
    return buffer;
  }

  /** A matrix in the layout of its storage. Throws BackendError (BACKEND_FAILED) naming the limit when four rows exceed it. */
  async matrix(part: StackPart): Promise<Matrix> {
    const { handle, weight } = part;
    const { bufferLimit } = this.gpu;
    const layout = layoutOfPart(part);
    const widest = widestRow(layout);
    const split = rowRanges(weight.rows, widest, limitOf(layout, bufferLimit.bytes));
    if (!split) throw new BackendError('BACKEND_FAILED', `weight ${handle.name}: ${ROW_MULTIPLE} rows of ${widest} bytes exceed ${bufferLimit.name}, which is ${bufferLimit.bytes} here`);
    const ranges: MatrixRange[] = [];
    for (const range of split) ranges.push(await this.#range([{ ...part, firstRow: 0 }], layout, range));
    return { layout, ranges };
  }

  /** Matrices that `fitsStack` lets lie one below the other: the stack, and each of them as a part of it. */
  async stack(parts: readonly StackPart[]): Promise<{ readonly stack: Matrix; readonly parts: readonly Matrix[] }> {
    const layout = layoutOfPart(parts[0]!);
    let rowCount = 0;
    const placed = parts.map((part) => {
      const firstRow = rowCount;
      rowCount += part.weight.rows;
      return { ...part, firstRow };
    });
    const range = await this.#range(placed, layout, { firstRow: 0, rowCount });
    return {
      stack: { layout, ranges: [range] },
      parts: placed.map(({ weight, firstRow }) => ({ layout, ranges: [{ ...range, firstRow: 0, rowCount: weight.rows, planeRow: firstRow }] })),
    };
  }

  async #range(parts: readonly PlacedPart[], layout: Layout, range: RowRange): Promise<MatrixRange> {
    const names = parts.map(({ handle }) => handle.name).join(', ');
    const planes = Object.fromEntries(layout.planes.map(({ name, bytesPerRow }) => [name, this.gpu.storage(`weight ${names}, ${name}`, range.rowCount * bytesPerRow)]));
    for (const { handle, weight, firstRow } of parts) {
      const own: RowRange = { firstRow: Math.max(range.firstRow - firstRow, 0), rowCount: Math.min(range.rowCount, weight.rows) };
      // Decoded to f32 where the storage's own layout does not fit the shape.
      const decoded = layout.kind === 'F32' && handle.storage !== 'F32';
      const chunks = decoded ? decodedChunks(weight, layout, own) : packedChunks(weight, layout, own);
      for await (const { row, bytes } of chunks) {
        for (const { name, bytesPerRow } of layout.planes) await this.write(planes[name]!, (firstRow + row - range.firstRow) * bytesPerRow, bytes[name]!);
      }
    }
    if (layout.groupSize === undefined) return { ...range, planeRow: 0, planes, groupOffset: 0 };
    const { buffer, groupOffset } = await this.#scales(names, parts, layout.groupSize, range);
    return { ...range, planeRow: 0, planes: { ...planes, scales: buffer }, groupOffset };
  }

  /** Scales of the groups that `range` has elements of; parts below the first start with a group of their own. */
  async #scales(names: string, parts: readonly PlacedPart[], groupSize: number, { firstRow, rowCount }: RowRange): Promise<{ buffer: GPUBuffer; groupOffset: number }> {
    const { columns } = parts[0]!.weight;
    const firstGroup = Math.floor((firstRow * columns) / groupSize);
    const endGroup = Math.ceil(((firstRow + rowCount) * columns) / groupSize);
    const buffer = this.gpu.storage(`weight ${names}, scales`, (endGroup - firstGroup) * 4);
    const step = CHUNK_BYTES / 4;
    for (const { handle, weight, firstRow: partRow } of parts) {
      const { source, offset } = weight.storage.parts[1]!.tensor.location;
      const partGroup = (partRow * columns) / groupSize;
      const end = Math.min(endGroup, partGroup + Math.ceil((weight.rows * columns) / groupSize));
      for (let group = Math.max(firstGroup, partGroup); group < end; group += step) {
        const count = Math.min(step, end - group);
        const scales = groupScales(handle.storage, await source.read(offset + 4 * (group - partGroup), 4 * count));
        await this.write(buffer, 4 * (group - firstGroup), new Uint8Array(scales.buffer));
      }
    }
    return { buffer, groupOffset: firstRow * columns - firstGroup * groupSize };
  }
}

const layoutOfPart = ({ handle, weight }: StackPart): Layout => layoutOf(handle.storage, weight.columns, weight.storage.granule);
/** Bytes of the widest plane's rows. */
const widestRow = ({ planes, columns, groupSize }: Layout): number => Math.max(...planes.map(({ bytesPerRow }) => bytesPerRow), groupSize === undefined ? 0 : (4 * columns) / groupSize);
/** A group may begin in one range and end in the next: two more scales. */
const limitOf = ({ groupSize }: Layout, limitBytes: number): number => limitBytes - (groupSize === undefined ? 0 : 8);

/** Whether `parts`, which have equally many columns, can lie one below the other: in one layout, in one buffer, each but the first starting on whole words and groups. */
export function fitsStack(parts: readonly StackPart[], limitBytes: number): boolean {
  const first = layoutOfPart(parts[0]!);
  const startsWhole = ({ weight: { rows, columns } }: StackPart): boolean => rows % ROW_MULTIPLE === 0 && (first.groupSize === undefined || (rows * columns) % first.groupSize === 0);
  const alike = parts.every((part) => part.handle.storage === parts[0]!.handle.storage && layoutOfPart(part).groupSize === first.groupSize);
  const rows = parts.reduce((sum, { weight }) => sum + weight.rows, 0);
  return alike && parts.slice(0, -1).every(startsWhole) && rows * widestRow(first) <= limitOf(first, limitBytes);
}

interface Chunk {
  readonly row: number;
  readonly bytes: PlaneBytes;
}

const rowsPerChunk = (bytesPerRow: number): number => Math.max(ROW_MULTIPLE, Math.floor(CHUNK_BYTES / bytesPerRow / ROW_MULTIPLE) * ROW_MULTIPLE);

async function* packedChunks(weight: Weight, layout: Layout, { firstRow, rowCount }: RowRange): AsyncGenerator<Chunk> {
  const { tensor, bytesPerGranule } = weight.storage.parts[0]!;
  const { source, offset } = tensor.location;
  const bytesPerRow = (weight.columns * bytesPerGranule) / weight.storage.granule;
  const step = rowsPerChunk(bytesPerRow);
  for (let row = firstRow; row < firstRow + rowCount; row += step) {
    const count = Math.min(step, firstRow + rowCount - row);
    yield { row, bytes: repackRows(layout, await source.read(offset + row * bytesPerRow, count * bytesPerRow), count) };
  }
}

async function* decodedChunks(weight: Weight, layout: Layout, { firstRow, rowCount }: RowRange): AsyncGenerator<Chunk> {
  const { bytesPerRow } = layout.planes[0]!;
  const step = rowsPerChunk(bytesPerRow);
  for (let row = firstRow; row < firstRow + rowCount; row += step) {
    const count = Math.min(step, firstRow + rowCount - row);
    const floats = new Float32Array(count * weight.columns);
    await weight.eachChunk(row, row + count, (values, at, first, rows) => floats.set(values.subarray(at, at + rows * weight.columns), (first - row) * weight.columns));
    yield { row, bytes: { values: padRows(new Uint8Array(floats.buffer), count, bytesPerRow) } };
  }
}

/** A small buffer of constants, f32 or u32 each. */
export function constantsBuffer(gpu: Gpu, constants: readonly (readonly [name: string, type: 'u32' | 'f32'])[], values: Readonly<Record<string, number>>): GPUBuffer {
  const data = new DataView(new ArrayBuffer(Math.ceil(constants.length / 4) * 16));
  constants.forEach(([name, type], i) => {
    if (type === 'u32') data.setUint32(4 * i, values[name]!, true);
    else data.setFloat32(4 * i, values[name]!, true);
  });
  const buffer = gpu.device.createBuffer({ size: data.byteLength, usage: usage.uniform | usage.copyTarget });
  gpu.device.queue.writeBuffer(buffer, 0, data.buffer);
  return buffer;
}

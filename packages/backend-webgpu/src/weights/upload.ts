/** Brings weights to the device, once, a few MiB at a time: a whole model is never in JavaScript's memory. */
import type { WeightHandle } from '@weightspec/core';
import { BackendError, type Weight } from '@weightspec/kernels';
import { usage, type Gpu } from '../device/gpu.js';
import { ROW_MULTIPLE, rowRanges, strideOf, type RowRange } from '../plan.js';
import { layoutOf, type Layout, type PlaneName } from './layout.js';
import { groupScales, padRows, repackRows, type PlaneBytes } from './repack.js';

const CHUNK_BYTES = 4 * 2 ** 20;
/** Bytes that may wait in staging memory before the queue is waited for. */
const STAGED_BYTES = 64 * 2 ** 20;

/** A range of a matrix's rows on the device. */
export interface MatrixRange extends RowRange {
  readonly planes: Readonly<Partial<Record<PlaneName, GPUBuffer>>>;
  /** Place of its first element in its first group; 0 where there are none. */
  readonly groupOffset: number;
}

export interface Matrix {
  readonly layout: Layout;
  readonly ranges: readonly MatrixRange[];
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

  /** A vector as f32, filled up with zeros to a row of a buffer. */
  async vector(name: string, weight: Weight): Promise<GPUBuffer> {
    const padded = new Float32Array(strideOf(weight.columns));
    await weight.eachChunk(0, 1, (values, at) => padded.set(values.subarray(at, at + weight.columns)));
    const buffer = this.gpu.storage(`weight ${name}`, padded.byteLength);
    await this.write(buffer, 0, new Uint8Array(padded.buffer));
    return buffer;
  }

  /** A matrix in the layout of its storage. Throws BackendError (BACKEND_FAILED) naming the limit when four rows exceed it. */
  async matrix(handle: WeightHandle, weight: Weight): Promise<Matrix> {
    const { bufferLimit } = this.gpu;
    const layout = layoutOf(handle.storage, weight.columns, weight.storage.granule);
    const widest = Math.max(...layout.planes.map(({ bytesPerRow }) => bytesPerRow), layout.groupSize === undefined ? 0 : (4 * weight.columns) / layout.groupSize);
    // A group may begin in one range and end in the next: two more scales.
    const split = rowRanges(weight.rows, widest, bufferLimit.bytes - (layout.groupSize === undefined ? 0 : 8));
    if (!split) throw new BackendError('BACKEND_FAILED', `weight ${handle.name}: ${ROW_MULTIPLE} rows of ${widest} bytes exceed ${bufferLimit.name}, which is ${bufferLimit.bytes} here`);
    const ranges: MatrixRange[] = [];
    for (const range of split) ranges.push(await this.#range(handle, weight, layout, range));
    return { layout, ranges };
  }

  async #range(handle: WeightHandle, weight: Weight, layout: Layout, range: RowRange): Promise<MatrixRange> {
    const planes = Object.fromEntries(layout.planes.map(({ name, bytesPerRow }) => [name, this.gpu.storage(`weight ${handle.name}, ${name}`, range.rowCount * bytesPerRow)]));
    // Decoded to f32 where the storage's own layout does not fit the shape.
    const decoded = layout.kind === 'F32' && handle.storage !== 'F32';
    const chunks = decoded ? decodedChunks(weight, layout, range) : packedChunks(weight, layout, range);
    for await (const { row, bytes } of chunks) {
      for (const { name, bytesPerRow } of layout.planes) await this.write(planes[name]!, (row - range.firstRow) * bytesPerRow, bytes[name]!);
    }
    if (layout.groupSize === undefined) return { ...range, planes, groupOffset: 0 };
    const { buffer, groupOffset } = await this.#scales(handle, weight, layout.groupSize, range);
    return { ...range, planes: { ...planes, scales: buffer }, groupOffset };
  }

  async #scales(handle: WeightHandle, weight: Weight, groupSize: number, { firstRow, rowCount }: RowRange): Promise<{ buffer: GPUBuffer; groupOffset: number }> {
    const firstElement = firstRow * weight.columns;
    const firstGroup = Math.floor(firstElement / groupSize);
    const endGroup = Math.ceil((firstElement + rowCount * weight.columns) / groupSize);
    const { source, offset } = weight.storage.parts[1]!.tensor.location;
    const buffer = this.gpu.storage(`weight ${handle.name}, scales`, (endGroup - firstGroup) * 4);
    const step = CHUNK_BYTES / 4;
    for (let group = firstGroup; group < endGroup; group += step) {
      const count = Math.min(step, endGroup - group);
      const scales = groupScales(handle.storage, await source.read(offset + 4 * group, 4 * count));
      await this.write(buffer, 4 * (group - firstGroup), new Uint8Array(scales.buffer));
    }
    return { buffer, groupOffset: firstElement - firstGroup * groupSize };
  }
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

/** Where the weights of a program are: vectors as f32 in memory, matrices in memory in their file's element type, or left in their sources. */
import { readChunks, type Program, type TensorLocation, type WeightHandle, type WeightMap } from '@weightspec/core';
import { openWeightStore, type WeightStore } from '@weightspec/kernels';
import { formats, pathOf } from './formats.js';
import type { Heap } from './heap.js';
import { PATH_DECODED } from './layout.js';

/** A tensor of a matrix and how many of its bytes one granule has. */
interface Part {
  readonly location: TensorLocation;
  readonly bytesPerGranule: number;
}

export interface Matrix {
  readonly handle: WeightHandle;
  readonly rows: number;
  readonly columns: number;
  readonly format: number;
  readonly path: number;
  /** Elements that only decode together. */
  readonly granule: number;
  /** Values, and for formats in groups their scales. */
  readonly parts: readonly Part[];
  /** Addresses of the parts; undefined for a matrix that is read at each use. */
  readonly resident?: readonly number[];
}

export interface PlacedWeights {
  /** Addresses of the f32 of vectors, by name. */
  readonly vectors: ReadonlyMap<string, number>;
  readonly matrices: ReadonlyMap<string, Matrix>;
}

const READ_BYTES = 2 ** 24;
/** Elements of a matrix that is decoded are counted in 32 bits. */
const MOST_DECODED_ELEMENTS = 2 ** 31 - 1;

/** A program's weights, checked. Throws BackendError: WEIGHT_MISSING, WEIGHT_INVALID, STORAGE_UNSUPPORTED. */
export async function checkWeights(program: Program, weights: WeightMap): Promise<WeightStore> {
  return openWeightStore(program, weights, 0);
}

export function matricesOf(program: Program, weights: WeightMap): Matrix[] {
  return program.weights.filter(({ shape }) => shape.length > 1).map(({ name }) => matrixOf(weights.get(name)!));
}

function matrixOf(handle: WeightHandle): Matrix {
  const [rows, columns] = [handle.shape[0]!, handle.shape[1]!];
  const { code, granule: fixed, bytesPerGranule } = formats.get(handle.storage)!;
  const granule = fixed ?? (handle.storage === 'lmdeploy-int8' ? columns : handle.groupSize!);
  const parts: Part[] = [{ location: handle.parts.values!.location, bytesPerGranule: bytesPerGranule ?? granule }];
  if (fixed === undefined) parts.push({ location: handle.parts.scales!.location, bytesPerGranule: 4 });
  return { handle, rows, columns, format: code, path: pathOf(handle), granule, parts };
}

export const byteLengthOf = ({ parts }: Matrix): number => parts.reduce((sum, { location }) => sum + location.length, 0);

/** Which matrices fit `budgetBytes`, in the program's order. */
export function residentMatrices(matrices: readonly Matrix[], budgetBytes: number): Set<Matrix> {
  const resident = new Set<Matrix>();
  let left = budgetBytes;
  for (const matrix of matrices) {
    const countable = matrix.path !== PATH_DECODED || matrix.rows * matrix.columns <= MOST_DECODED_ELEMENTS;
    if (!countable || byteLengthOf(matrix) > left) continue;
    resident.add(matrix);
    left -= byteLengthOf(matrix);
  }
  return resident;
}

/** Copies vectors, as f32, and the resident matrices, as they are, into `heap`. */
export async function placeWeights(program: Program, store: WeightStore, matrices: readonly Matrix[], resident: ReadonlySet<Matrix>, heap: Heap): Promise<PlacedWeights> {
  const vectors = new Map<string, number>();
  for (const { name, shape } of program.weights.filter((weight) => weight.shape.length === 1)) {
    const address = heap.allocate(4 * shape[0]!, name);
    await store.weight(name).eachChunk(0, 1, (values, at) => heap.floats(address, shape[0]!).set(values.subarray(at, at + shape[0]!)));
    vectors.set(name, address);
  }
  const placed = new Map<string, Matrix>();
  for (const matrix of matrices) {
    const addresses = resident.has(matrix) ? await loadParts(matrix, heap) : undefined;
    placed.set(matrix.handle.name, { ...matrix, resident: addresses });
  }
  return { vectors, matrices: placed };
}

async function loadParts({ handle, parts }: Matrix, heap: Heap): Promise<number[]> {
  const addresses: number[] = [];
  for (const { location } of parts) {
    const address = heap.allocate(location.length, handle.name);
    let at = address;
    for await (const chunk of readChunks(location.source, location.offset, location.length, READ_BYTES)) {
      heap.bytes(at, chunk.length).set(chunk);
      at += chunk.length;
    }
    addresses.push(address);
  }
  return addresses;
}

/** The whole granules around some rows of a matrix that is left in its source. */
export interface RowRange {
  readonly firstRow: number;
  readonly rowCount: number;
  /** Elements before the first row in those granules. */
  readonly firstElement: number;
  /** By part: where in its tensor, and how many bytes. */
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
}

export function rowRange({ columns, granule, parts }: Matrix, firstRow: number, rowCount: number): RowRange {
  const firstElement = firstRow * columns;
  const firstGranule = Math.floor(firstElement / granule);
  const granules = Math.ceil((firstElement + rowCount * columns) / granule) - firstGranule;
  return {
    firstRow,
    rowCount,
    firstElement: firstElement - firstGranule * granule,
    offsets: parts.map(({ bytesPerGranule }) => firstGranule * bytesPerGranule),
    lengths: parts.map(({ bytesPerGranule }) => granules * bytesPerGranule),
  };
}

export async function readRange({ parts }: Matrix, { offsets, lengths }: RowRange): Promise<Uint8Array[]> {
  return Promise.all(parts.map(({ location }, i) => location.source.read(location.offset + offsets[i]!, lengths[i]!)));
}

/** Bytes that hold any `rowCount` rows of the matrix, by part, on cache lines of their own. */
export function stagingBytes({ columns, granule, parts }: Matrix, rowCount: number): number[] {
  const granules = Math.ceil((rowCount * columns) / granule) + 1;
  return parts.map(({ bytesPerGranule }) => Math.ceil((granules * bytesPerGranule) / 64) * 64);
}


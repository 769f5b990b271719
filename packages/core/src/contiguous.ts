/** The elements of a tensor in row-major order, also where it is a view with strides. */
import type { TensorInfo, TensorLocation } from './checkpoint.js';
import { elementCount } from './dtype.js';
import { readChunks } from './byte-source.js';

/** Row-major strides of `shape`, in elements. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * Math.max(1, shape[i + 1]!);
  return strides;
}

/** Whether strides are row-major and without gaps; those of dimensions of size 1 do not count. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  const expected = contiguousStrides(shape);
  return shape.every((n, i) => n === 1 || strides[i] === expected[i]);
}

/** Gathered at once: a transposed matrix is read from end to end once for each such part of it. */
const OUTPUT_BYTES = 2 ** 25;
const WINDOW_BYTES = 2 ** 20;

/**
 * The elements of a tensor as row-major bytes, in chunks of at most `chunkBytes` (default 1 MiB) of whole elements, whether or not it is
 * a view with strides (a transposed or sliced tensor of a torch checkpoint). Memory: one chunk, or some 35 MiB for views.
 * Throws RangeError for chunks smaller than an element, for strides of a packed type, and for strides that do not belong to the shape.
 */
export async function* contiguousChunks(tensor: TensorInfo, chunkBytes = 2 ** 20): AsyncGenerator<Uint8Array> {
  const { name, location, shape, strides, dtype } = tensor;
  const itemBytes = dtype.bytesPerBlock;
  if (chunkBytes < itemBytes) throw new RangeError(`chunks of ${chunkBytes} bytes cannot hold a ${dtype.name}`);
  const chunk = chunkBytes - (chunkBytes % itemBytes);
  if (!strides || (dtype.blockSize === 1 && isContiguous(shape, strides))) {
    yield* readChunks(location.source, location.offset, strides ? elementCount(shape) * itemBytes : location.length, chunk);
    return;
  }
  if (dtype.blockSize > 1) throw new RangeError(`${name}: ${dtype.name} packs several elements and cannot have strides`);
  if (strides.length !== shape.length) throw new RangeError(`${name}: ${strides.length} strides for ${shape.length} dimensions`);
  const window = new SlidingWindow(location, itemBytes);
  for (const block of blocks(shape, strides, 0, Math.max(1, Math.floor(OUTPUT_BYTES / itemBytes)))) {
    const bytes = await gather(block, window, itemBytes);
    for (let start = 0; start < bytes.length; start += chunk) yield bytes.slice(start, start + chunk);
  }
}

/** A box of output elements that are consecutive in row-major order. */
interface Block {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Of its first element, in elements from the start of the span. */
  readonly offset: number;
}

/** Cuts the tensor along its outermost dimensions into boxes of at most `maxElements`. */
function* blocks(shape: readonly number[], strides: readonly number[], offset: number, maxElements: number): Generator<Block> {
  if (elementCount(shape) === 0) return;
  if (shape.length === 0) {
    yield { shape, strides, offset };
    return;
  }
  const [rows, ...inner] = shape as [number, ...number[]];
  const [rowStride, ...innerStrides] = strides as [number, ...number[]];
  const rowElements = elementCount(inner);
  if (rowElements > maxElements) {
    for (let row = 0; row < rows; row++) yield* blocks(inner, innerStrides, offset + row * rowStride, maxElements);
    return;
  }
  const step = Math.max(1, Math.floor(maxElements / rowElements));
  for (let row = 0; row < rows; row += step) yield { shape: [Math.min(step, rows - row), ...inner], strides, offset: offset + row * rowStride };
}

/** Reads the span a megabyte at a time, wherever it is asked. */
class SlidingWindow {
  readonly #location: TensorLocation;
  readonly #itemBytes: number;
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;

  constructor(location: TensorLocation, itemBytes: number) {
    this.#location = location;
    this.#itemBytes = itemBytes;
  }

  has(byteOffset: number): boolean {
    return byteOffset >= this.start && byteOffset + this.#itemBytes <= this.start + this.bytes.length;
  }

  async moveTo(byteOffset: number): Promise<void> {
    const { source, offset, length } = this.#location;
    this.start = byteOffset;
    this.bytes = await source.read(offset + byteOffset, Math.min(WINDOW_BYTES - (WINDOW_BYTES % this.#itemBytes), length - byteOffset));
  }
}

/**
 * Copies one block. The dimensions are walked in the order of their strides, largest outside, so that the source is read
 * forward even where the tensor is transposed.
 */
async function gather({ shape, strides, offset }: Block, window: SlidingWindow, itemBytes: number): Promise<Uint8Array> {
  const target = contiguousStrides(shape);
  const order = shape.map((_, i) => i).filter((i) => shape[i]! > 1).toSorted((a, b) => strides[b]! - strides[a]!);
  const out = new Uint8Array(elementCount(shape) * itemBytes);
  const counter = order.map(() => 0);
  const inner = order.at(-1);
  const innerCount = inner === undefined ? 1 : shape[inner]!;
  const sourceStep = inner === undefined ? 0 : strides[inner]! * itemBytes;
  const targetStep = inner === undefined ? 0 : target[inner]! * itemBytes;
  for (;;) {
    let from = offset * itemBytes;
    let to = 0;
    for (let d = 0; d < order.length - 1; d++) {
      from += counter[d]! * strides[order[d]!]! * itemBytes;
      to += counter[d]! * target[order[d]!]! * itemBytes;
    }
    for (let i = 0; i < innerCount; i++, from += sourceStep, to += targetStep) {
      if (!window.has(from)) await window.moveTo(from);
      const at = from - window.start;
      for (let byte = 0; byte < itemBytes; byte++) out[to + byte] = window.bytes[at + byte]!;
    }
    let d = order.length - 2;
    while (d >= 0 && ++counter[d]! === shape[order[d]!]!) counter[d--] = 0;
    if (d < 0) return out;
  }
}

/**
 * The elements of a tensor in row-major order, chunk by chunk. A view with strides (a transposed or sliced tensor of a
 * torch checkpoint) is gathered block by block of its outermost dimension, so that a slice of a large storage does not
 * read all of it at once.
 */
import { elementCount, readChunks, type TensorInfo } from '@weightspec/core';

const CHUNK_BYTES = 1 << 20;
/** Spans gathered at once; one row of a transposed matrix spans all of it, hence not less. */
const MAX_SPAN_BYTES = 2 ** 30;
const BLOCK_SPAN_BYTES = 1 << 24;

/** Yields row-major bytes, elementCount × bytesPerBlock in all. Throws RangeError for strides of a packed type, and for a view whose rows span more than 1 GiB. */
export async function* contiguousChunks(tensor: TensorInfo): AsyncGenerator<Uint8Array> {
  const { shape, strides, dtype, location } = tensor;
  if (!strides || isRowMajor(shape, strides)) {
    const byteLength = strides ? elementCount(shape) * dtype.bytesPerBlock : location.length;
    yield* readChunks(location.source, location.offset, byteLength, CHUNK_BYTES);
    return;
  }
  if (dtype.blockSize > 1) throw new RangeError(`${tensor.name}: ${dtype.name} packs several elements and cannot have strides`);
  if (strides.length !== shape.length) throw new RangeError(`${tensor.name}: ${strides.length} strides for ${shape.length} dimensions`);
  if (shape.includes(0)) return;
  const [rows = 1, ...innerShape] = shape;
  const [rowStride = 1, ...innerStrides] = strides;
  const elementBytes = dtype.bytesPerBlock;
  const innerSpan = spanOf(innerShape, innerStrides);
  const rowBytes = elementCount(innerShape) * elementBytes;
  const fitting = rowStride === 0 ? rows : Math.floor((BLOCK_SPAN_BYTES / elementBytes - innerSpan) / rowStride) + 1;
  // Where rows interleave, a block of any number of rows spans about the whole tensor: gather it once.
  const blockRows = rowStride < innerSpan ? rows : Math.max(1, Math.min(rows, fitting));
  for (let row = 0; row < rows; row += blockRows) {
    const count = Math.min(blockRows, rows - row);
    const spanBytes = ((count - 1) * rowStride + innerSpan) * elementBytes;
    if (spanBytes > MAX_SPAN_BYTES || count * rowBytes > MAX_SPAN_BYTES) throw new RangeError(`${tensor.name}: its view spans ${spanBytes} bytes; at most ${MAX_SPAN_BYTES} are gathered at once`);
    const span = await location.source.read(location.offset + row * rowStride * elementBytes, spanBytes);
    yield gather(span, [count, ...innerShape], [rowStride, ...innerStrides], elementBytes);
  }
}

/** Elements from the first to the last of a view, both included. */
const spanOf = (shape: readonly number[], strides: readonly number[]): number => shape.reduce((span, dimension, axis) => span + (dimension - 1) * strides[axis]!, 1);

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

function gather(span: Uint8Array, shape: readonly number[], strides: readonly number[], elementBytes: number): Uint8Array {
  const out = new Uint8Array(elementCount(shape) * elementBytes);
  const index = shape.map(() => 0);
  const last = shape.length - 1;
  let from = 0;
  for (let to = 0; to < out.length; to += elementBytes) {
    for (let byte = 0; byte < elementBytes; byte++) out[to + byte] = span[from + byte]!;
    for (let axis = last; axis >= 0; axis--) {
      from += strides[axis]! * elementBytes;
      if (++index[axis]! < shape[axis]!) break;
      from -= shape[axis]! * strides[axis]! * elementBytes;
      index[axis] = 0;
    }
  }
  return out;
}

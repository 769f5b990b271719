/**
 * Rows of a tensor, and tensors side by side, as tensors of their own. Nothing is read or copied: a view is another place in the same
 * source, a joined tensor a source that gathers its bytes from the parts' sources at each read.
 */
import { assertRange, byteLength, elementCount, type ByteSource, type TensorInfo, type TensorLocation } from '@weightspec/core';

/** Bytes of one row (of one element, for a vector). Throws RangeError for strided tensors and rows that are not whole blocks. */
function rowBytesOf({ name, dtype, shape, strides }: TensorInfo): number {
  if (strides) throw new RangeError(`${name} is not contiguous`);
  if (shape.length === 0) throw new RangeError(`${name} is a scalar`);
  return byteLength(dtype, elementCount(shape.slice(1)));
}

/** Rows [firstRow, firstRow + rowCount) of a matrix, or elements of a vector. Throws RangeError when they are not there. */
export function sliceRows(tensor: TensorInfo, name: string, firstRow: number, rowCount: number): TensorInfo {
  const rowBytes = rowBytesOf(tensor);
  assertRange(`rows of ${tensor.name}`, tensor.shape[0]!, firstRow, rowCount);
  const { source, offset } = tensor.location;
  return { name, dtype: tensor.dtype, shape: [rowCount, ...tensor.shape.slice(1)], location: { source, offset: offset + firstRow * rowBytes, length: rowCount * rowBytes } };
}

/**
 * The parts as one tensor, one after the other along `axis`: 0 puts rows under rows, 1 columns beside columns. Throws RangeError when their
 * dtypes or other dimensions differ, when a part is strided, and when rows are not whole blocks.
 */
export function joinTensors(name: string, parts: readonly TensorInfo[], axis: 0 | 1): TensorInfo {
  const [first] = parts;
  if (!first) throw new RangeError(`${name} has no parts`);
  if (parts.length === 1) return { ...first, name };
  const others = (shape: readonly number[]) => shape.toSpliced(axis, 1).join();
  for (const part of parts) {
    const same = part.dtype.name === first.dtype.name && part.shape.length === first.shape.length && others(part.shape) === others(first.shape);
    if (!same || axis >= part.shape.length) {
      throw new RangeError(`${name}: ${first.dtype.name} [${first.shape.join(', ')}] and ${part.dtype.name} [${part.shape.join(', ')}] cannot be joined along axis ${axis}`);
    }
  }
  const shape = first.shape.with(axis, parts.reduce((sum, part) => sum + part.shape[axis]!, 0));
  const rows = axis === 0 ? 1 : first.shape[0]!;
  const widths = parts.map((part) => (axis === 0 ? part.shape[0]! : 1) * rowBytesOf(part));
  const source = new WovenSource(parts.map(({ location }) => location), widths, rows);
  return { name, dtype: first.dtype, shape, location: { source, offset: 0, length: source.size } };
}

/** `rows` rows, in each of which part i has its next widths[i] bytes. With one row, the parts one after the other. */
class WovenSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #rowBytes: number;

  constructor(
    private readonly parts: readonly TensorLocation[],
    private readonly widths: readonly number[],
    rows: number,
  ) {
    this.name = [...new Set(parts.map(({ source }) => source.name))].join(' + ');
    this.#rowBytes = widths.reduce((sum, width) => sum + width, 0);
    this.size = rows * this.#rowBytes;
  }

  /** One read a part, of those of its bytes that are wanted, which lie in one run. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    assertRange(this.name, this.size, offset, length);
    const out = new Uint8Array(length);
    if (length === 0) return out;
    const rowBytes = this.#rowBytes;
    const end = offset + length;
    const firstRow = Math.floor(offset / rowBytes);
    const lastRow = Math.floor((end - 1) / rowBytes);
    let left = 0;
    const reads = this.parts.map(async ({ source, offset: partOffset }, index) => {
      const width = this.widths[index]!;
      const column = left;
      left += width;
      /** Bytes of the part that come before byte `position` of this source. */
      const before = (row: number, position: number) => row * width + Math.min(width, Math.max(0, position - row * rowBytes - column));
      const from = before(firstRow, offset);
      const to = before(lastRow, end);
      if (from === to) return;
      const bytes = await source.read(partOffset + from, to - from);
      for (let row = firstRow; row <= lastRow; row += 1) {
        const start = Math.max(from, row * width);
        const stop = Math.min(to, (row + 1) * width);
        if (stop > start) out.set(bytes.subarray(start - from, stop - from), row * rowBytes + column + (start - row * width) - offset);
      }
    });
    await Promise.all(reads);
    return out;
  }
}

/** Tensors of F32, F16 and BF16 as f32, a few rows at a time, with what smoothing does to them. */
import { codecOf } from '@weightspec/codecs';
import { elementCount, type TensorInfo } from '@weightspec/core';

const CHUNK_ELEMENTS = 2 ** 18;

/** Every step rounds to f32: first the columns are multiplied, then rows are divided (specs/smoothquant#S-3.4). */
export interface Smoothing {
  /** One factor a column. */
  readonly columns?: Float32Array;
  /** One divisor a row, from `firstRow` on to the last. */
  readonly rows?: { readonly firstRow: number; readonly divisors: Float32Array };
}

export const isFloat = ({ dtype }: TensorInfo): boolean => ['F32', 'F16', 'BF16'].includes(dtype.name);
/** Columns of a matrix; a vector has one a row. */
export const columnsOf = ({ shape }: TensorInfo): number => (shape.length > 1 ? shape.at(-1)! : 1);
export const rowsOf = (tensor: TensorInfo): number => elementCount(tensor.shape) / columnsOf(tensor);

/** Smooths in place `values`, which start at element `first` of a tensor with `columns` columns. */
function smooth(values: Float32Array, first: number, columns: number, { columns: factors, rows }: Smoothing): void {
  if (!factors && !rows) return;
  for (let start = 0, row = Math.floor(first / columns); start < values.length; row++) {
    const end = Math.min(values.length, (row + 1) * columns - first);
    const rowStart = row * columns - first;
    if (factors) for (let i = start; i < end; i++) values[i]! *= factors[i - rowStart]!;
    if (rows && row >= rows.firstRow) {
      const divisor = rows.divisors[row - rows.firstRow]!;
      for (let i = start; i < end; i++) values[i]! /= divisor;
    }
    start = end;
  }
}

/** `count` smoothed elements from `first` on, as f32. */
export async function readSmoothed(tensor: TensorInfo, first: number, count: number, smoothing: Smoothing = {}): Promise<Float32Array> {
  const { dtype, location } = tensor;
  const values = codecOf(dtype).dequantize(await location.source.read(location.offset + first * dtype.bytesPerBlock, count * dtype.bytesPerBlock));
  smooth(values, first, columnsOf(tensor), smoothing);
  return values;
}

export interface Rows {
  readonly firstRow: number;
  readonly rowCount: number;
  readonly values: Float32Array;
}

/** All rows, in chunks of about 2^18 elements. */
export async function* eachRows(tensor: TensorInfo, smoothing: Smoothing = {}): AsyncGenerator<Rows> {
  const columns = columnsOf(tensor);
  const rows = rowsOf(tensor);
  const step = Math.max(1, Math.floor(CHUNK_ELEMENTS / columns));
  for (let firstRow = 0; firstRow < rows; firstRow += step) {
    const rowCount = Math.min(step, rows - firstRow);
    yield { firstRow, rowCount, values: await readSmoothed(tensor, firstRow * columns, rowCount * columns, smoothing) };
  }
}

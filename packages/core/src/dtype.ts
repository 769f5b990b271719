/**
 * Element types, as rows of one table. A block type packs `blockSize` elements in `bytesPerBlock` bytes;
 * one formula then gives every byte length.
 * Sources: safetensors 0.8 `Dtype`, ggml.h `ggml_type` and its traits.
 */
export interface DType {
  /** Upper case, as printed: F32, BF16, Q4_0. */
  readonly name: string;
  /** Elements per block; 1 for plain types. */
  readonly blockSize: number;
  readonly bytesPerBlock: number;
}

const rows: readonly (readonly [name: string, blockSize: number, bytesPerBlock: number])[] = [
  ['F64', 1, 8], ['F32', 1, 4], ['F16', 1, 2], ['BF16', 1, 2],
  ['I64', 1, 8], ['I32', 1, 4], ['I16', 1, 2], ['I8', 1, 1],
  ['U64', 1, 8], ['U32', 1, 4], ['U16', 1, 2], ['U8', 1, 1], ['BOOL', 1, 1],
  ['C64', 1, 8], ['C128', 1, 16],
  ['F8_E4M3', 1, 1], ['F8_E5M2', 1, 1], ['F8_E8M0', 1, 1], ['F8_E4M3FNUZ', 1, 1], ['F8_E5M2FNUZ', 1, 1],
  ['F6_E2M3', 4, 3], ['F6_E3M2', 4, 3], ['F4', 2, 1],
  ['Q4_0', 32, 18], ['Q4_1', 32, 20], ['Q5_0', 32, 22], ['Q5_1', 32, 24], ['Q8_0', 32, 34],
];

/** Every known dtype by its upper-case name. */
export const dtypes: ReadonlyMap<string, DType> = new Map(
  rows.map(([name, blockSize, bytesPerBlock]) => [name, Object.freeze({ name, blockSize, bytesPerBlock })]),
);

/** The dtype called `name`, in any letter case. Throws RangeError for an unknown name. */
export function dtype(name: string): DType {
  const found = dtypes.get(name.toUpperCase());
  if (!found) throw new RangeError(`unknown dtype ${JSON.stringify(name)}; known: ${[...dtypes.keys()].join(', ')}`);
  return found;
}

/**
 * Bytes that `count` elements take. Throws RangeError when they do not fill whole blocks
 * or the result is not a safe integer.
 */
export function byteLength(type: DType, count: number): number {
  if (count % type.blockSize !== 0) {
    throw new RangeError(`${count} elements do not fill whole ${type.name} blocks of ${type.blockSize}`);
  }
  const bytes = (count / type.blockSize) * type.bytesPerBlock;
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`${count} ${type.name} elements are not a countable number of bytes`);
  return bytes;
}

/** Bytes of a tensor, a ragged last block counted as a whole one: for totals, before anything is checked. */
export const tensorBytes = ({ blockSize, bytesPerBlock }: DType, shape: readonly number[]): number => Math.ceil(elementCount(shape) / blockSize) * bytesPerBlock;

/** Product of the dimensions; 1 for a scalar (shape []). Not guarded against overflow past 2^53. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

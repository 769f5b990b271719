import type { TensorOrigin } from './origin.js';

/** Int8 values and one f32 per group: the parts of one logical weight. */
export interface Int8Groups {
  readonly values: Int8Array;
  readonly scales: Float32Array;
}

/**
 * The arithmetic that joins a weight stored as several tensors (`PackedTensor.scheme`).
 * Not a BlockCodec: values and scales lie apart in the file, and the group size is chosen per file.
 */
export interface PackedScheme {
  /** As in `PackedTensor.scheme`. */
  readonly scheme: string;
  /**
   * src: whole groups of f32, flattened. Throws RangeError when the length is not a multiple of `groupSize`,
   * DiagnosticError (CODEC_NON_FINITE_INPUT) naming the first element that is NaN or infinite.
   */
  quantizeGroups(src: Float32Array, groupSize: number, origin?: TensorOrigin): Int8Groups;
  /** values: whole groups; scales: one per group. Returns f32 (into `dst` when given). Throws RangeError when lengths disagree. */
  dequantizeGroups(groups: Int8Groups, groupSize: number, dst?: Float32Array): Float32Array;
}

/** Number of groups in `elementCount` values. Throws RangeError unless they fill whole groups of a positive integer size. */
export function groupCount(elementCount: number, groupSize: number): number {
  if (!Number.isSafeInteger(groupSize) || groupSize < 1) throw new RangeError(`a group size is a positive integer, not ${groupSize}`);
  if (elementCount % groupSize !== 0) throw new RangeError(`${elementCount} elements do not fill whole groups of ${groupSize}`);
  return elementCount / groupSize;
}

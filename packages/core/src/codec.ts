import type { DType } from './dtype.js';

export type Rounding = 'ggml' | 'torch';

/** One element type's arithmetic. Raw functions follow the reference implementation on every input. */
export interface BlockCodec {
  readonly dtype: DType;
  /** src: whole blocks of f32. Returns their encoded bytes (into `dst` when given). Throws RangeError when lengths disagree. */
  quantize(src: Float32Array, options?: { readonly rounding?: Rounding; readonly dst?: Uint8Array }): Uint8Array;
  /** src: whole encoded blocks. Returns f32 values (into `dst` when given). Throws RangeError when lengths disagree. */
  dequantize(src: Uint8Array, dst?: Float32Array): Float32Array;
  /** Worst-case |x − dequantize(quantize(x))| for each element of one block, by the derivation in the codec's docstring. */
  errorBound(block: Float32Array): Float64Array;
}

import type { ByteSource } from './byte-source.js';
import type { DType } from './dtype.js';

/** A contiguous run of bytes in one source. Offsets are absolute; shards are simply other sources. */
export interface TensorLocation {
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;
}

export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Outermost dimension first; a matrix is [out, in]. */
  readonly shape: readonly number[];
  readonly location: TensorLocation;
  /** In elements, outermost first; absent when row-major and contiguous. */
  readonly strides?: readonly number[];
}

/**
 * One logical weight stored as several tensors, e.g. int8 values plus their scales.
 * Not a dtype, because its parts need not be adjacent in the file.
 */
export interface PackedTensor {
  /** Name of the logical weight, e.g. `layers.0.attention.wq.weight`. */
  readonly name: string;
  /** Which arithmetic joins the parts, e.g. `llama2c-q8`. */
  readonly scheme: string;
  /** Shape of the logical weight. */
  readonly shape: readonly number[];
  /** Role (e.g. `values`, `scales`) → name of the tensor that plays it. */
  readonly parts: Readonly<Record<string, string>>;
  /** Elements that share one scale, where the scheme has groups. */
  readonly groupSize?: number;
}

export type MetadataValue = string | number | boolean | null | readonly MetadataValue[] | { readonly [key: string]: MetadataValue };

/** Which tool probably wrote a file, and the bytes that say so. */
export interface Producer {
  /** e.g. `llama2.c export.py version2_export (6e52df9 or later)`, or `unknown`. */
  readonly name: string;
  /** What was seen, in words, with byte ranges where there are any. */
  readonly evidence: readonly { readonly message: string; readonly byteRange?: readonly [number, number] }[];
}

/**
 * What a reader makes of a file: plain data, cheap to diff and to print. Opening never reads tensor bytes
 * (but for the few that tell two layouts apart).
 */
export interface Checkpoint {
  readonly format: string;
  readonly variant: string;
  readonly producer?: Producer;
  readonly metadata: { readonly [key: string]: MetadataValue };
  /** In file order. */
  readonly tensors: readonly TensorInfo[];
  /** Logical weights made of several of `tensors`. */
  readonly packed?: readonly PackedTensor[];
}

/** The tensor called `name`. Throws RangeError when there is none. */
export function findTensor(checkpoint: Checkpoint, name: string): TensorInfo {
  const found = checkpoint.tensors.find((tensor) => tensor.name === name);
  if (!found) throw new RangeError(`no tensor ${JSON.stringify(name)} in this ${checkpoint.format} checkpoint`);
  return found;
}

/** All bytes of one tensor. Throws RangeError past `maxBytes` (default 1 GiB): stream larger ones with readChunks. */
export async function readTensor(tensor: TensorInfo, maxBytes = 2 ** 30): Promise<Uint8Array> {
  const { source, offset, length } = tensor.location;
  if (length > maxBytes) throw new RangeError(`${tensor.name} has ${length} bytes, more than the ${maxBytes} allowed here`);
  return source.read(offset, length);
}

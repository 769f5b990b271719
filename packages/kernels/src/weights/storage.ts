/**
 * How the elements of a weight lie in the bytes of its parts: plain f32, any codec's blocks, llama2.c's int8 groups, and LMDeploy's int8 rows.
 * Source of the arithmetic: @weightspec/codecs. Little-endian hosts only, as every host of JavaScript engines in use is.
 */
import { byteLength, elementCount, type BlockCodec, type TensorInfo, type WeightHandle } from '@weightspec/core';
import { codecs, llama2cQ8, llama2cQ8Wmax, lmdeployInt8 } from '@weightspec/codecs';
import { BackendError } from '../errors.js';

const blockCodecs: Readonly<Record<string, BlockCodec>> = codecs;
const packedSchemes = new Map([llama2cQ8, llama2cQ8Wmax, lmdeployInt8].map((scheme) => [scheme.scheme, scheme]));

/** A tensor of the weight and how many of its bytes one granule has. */
export interface Part {
  readonly tensor: TensorInfo;
  readonly bytesPerGranule: number;
}

export interface Storage {
  /** Elements that only decode together, counted from the start of the tensor: a group may begin in one row and end in the next. */
  readonly granule: number;
  readonly parts: readonly Part[];
  /** Decodes whole granules, given as one byte run a part, into `dst`. Absent for f32, which needs none. */
  readonly decode?: (parts: readonly Uint8Array[], dst: Float32Array) => void;
  /** What is multiplied by the weight is rounded to int8 first, with one scale a token (specs/smoothquant#S-4.2). */
  readonly int8Activations?: boolean;
}

/** Whether weights stored so can be read here. */
export function canRead(storage: string): boolean {
  return storage === 'F32' || packedSchemes.has(storage) || Object.hasOwn(blockCodecs, storage.toLowerCase());
}

/** Throws BackendError: STORAGE_UNSUPPORTED, or WEIGHT_INVALID when parts, shape and byte lengths disagree. */
export function storageOf(handle: WeightHandle): Storage {
  const storage = layoutOf(handle);
  const elements = elementCount(handle.shape);
  if (elements % storage.granule !== 0) invalid(handle, `${elements} elements do not fill whole groups of ${storage.granule}`);
  for (const { tensor, bytesPerGranule } of storage.parts) {
    const expected = (elements / storage.granule) * bytesPerGranule;
    if (tensor.strides) invalid(handle, `${tensor.name} has strides; only row-major tensors can be multiplied`);
    if (tensor.location.length !== expected) invalid(handle, `${tensor.name} has ${tensor.location.length} bytes where the shape [${handle.shape.join(', ')}] needs ${expected}`);
  }
  return storage;
}

function layoutOf(handle: WeightHandle): Storage {
  if (handle.storage === 'F32') return { granule: 1, parts: [{ tensor: part(handle, 'values'), bytesPerGranule: 4 }] };
  const scheme = packedSchemes.get(handle.storage);
  if (scheme) {
    const perRow = scheme === lmdeployInt8;
    const granule = (perRow ? handle.shape.at(-1) : handle.groupSize) ?? 0;
    if (!Number.isSafeInteger(granule) || granule < 1) invalid(handle, `its group size is ${handle.groupSize}`);
    return {
      granule,
      parts: [{ tensor: part(handle, 'values'), bytesPerGranule: granule }, { tensor: part(handle, 'scales'), bytesPerGranule: 4 }],
      decode: ([values, scales], dst) => scheme.dequantizeGroups({ values: int8Of(values!), scales: floatsOf(scales!) }, granule, dst),
      ...(perRow ? { int8Activations: true } : {}),
    };
  }
  const name = handle.storage.toLowerCase();
  const codec = Object.hasOwn(blockCodecs, name) ? blockCodecs[name] : undefined;
  if (!codec) throw new BackendError('STORAGE_UNSUPPORTED', `weight ${handle.name} is stored as ${handle.storage}, which the reference backend cannot read`);
  return {
    granule: codec.dtype.blockSize,
    parts: [{ tensor: part(handle, 'values'), bytesPerGranule: byteLength(codec.dtype, codec.dtype.blockSize) }],
    decode: ([values], dst) => codec.dequantize(values!, dst),
  };
}

function part(handle: WeightHandle, role: string): TensorInfo {
  return handle.parts[role] ?? invalid(handle, `it has no part ${JSON.stringify(role)}`);
}

function invalid(handle: WeightHandle, message: string): never {
  throw new BackendError('WEIGHT_INVALID', `weight ${handle.name}: ${message}`);
}

/** The same bytes as f32; copied when they do not lie on a multiple of four. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

function int8Of(bytes: Uint8Array): Int8Array {
  return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

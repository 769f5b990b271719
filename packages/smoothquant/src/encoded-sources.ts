/** Tensors that are computed when they are read: int8 codes and halves of smoothed originals. Nothing is kept. */
import { codecOf, int8Codes, quantizeChecked } from '@weightspec/codecs';
import { assertRange, dtype, elementCount, type ByteSource, type TensorInfo } from '@weightspec/core';
import { columnsOf, readSmoothed, type Smoothing } from './floats.js';

const F16 = dtype('F16');

/** The bytes of a vector that is in memory, as F32. */
export function floatTensor(name: string, shape: readonly number[], values: Float32Array, like: TensorInfo): TensorInfo {
  const bytes = codecOf(dtype('F32')).quantize(values);
  const source = computedSource(like.location.source.name, bytes.length, (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)));
  return { name, dtype: dtype('F32'), shape, location: { source, offset: 0, length: bytes.length } };
}

/** `original`, smoothed and quantized with one scale a row. */
export function int8Tensor(original: TensorInfo, smoothing: Smoothing, scales: Float32Array): TensorInfo {
  const columns = columnsOf(original);
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const values = await readSmoothed(original, offset, length, smoothing);
    const codes = new Int8Array(length);
    for (let start = 0, row = Math.floor(offset / columns); start < length; row++) {
      const end = Math.min(length, (row + 1) * columns - offset);
      int8Codes(values, start, end, scales[row]!, codes);
      start = end;
    }
    return new Uint8Array(codes.buffer);
  };
  const size = elementCount(original.shape);
  return { name: original.name, dtype: dtype('I8'), shape: original.shape, location: { source: computedSource(original.location.source.name, size, read), offset: 0, length: size } };
}

/** `original`, smoothed and rounded to f16. Reading throws DiagnosticError (CODEC_VALUE_OVERFLOW, CODEC_NON_FINITE_INPUT) for what f16 cannot hold. */
export function halfTensor(original: TensorInfo, smoothing?: Smoothing): TensorInfo {
  if (original.dtype === F16 && !smoothing) return original;
  const source = original.location.source.name;
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const first = Math.floor(offset / 2);
    const values = await readSmoothed(original, first, Math.ceil((offset + length) / 2) - first, smoothing);
    return quantizeChecked(codecOf(F16), values, { tensor: original.name, firstElement: first, source }).slice(offset - 2 * first, offset - 2 * first + length);
  };
  const size = 2 * elementCount(original.shape);
  return { name: original.name, dtype: F16, shape: original.shape, location: { source: computedSource(source, size, read), offset: 0, length: size } };
}

function computedSource(name: string, size: number, read: ByteSource['read']): ByteSource {
  return {
    name,
    size,
    read: async (offset, length) => {
      assertRange(name, size, offset, length);
      return read(offset, length);
    },
  };
}

/**
 * Tensors seen as other tensors: contiguous, in another element type, dequantized, with q and k rows in another order, of zeros.
 * Nothing is read before the view is, and a view holds at most one head (permuted rows) or one tensor (strided views).
 * A view can be read anywhere, at any length, so that writers copy it as they copy a file.
 */
import { codecOf, llama2cQ8, llama2cQ8Wmax, quantizeChecked, type Codec } from '@weightspec/codecs';
import { assertRange, byteLength, contiguousChunks, dtype, elementCount, type ByteSource, type DType, type PackedTensor, type Rounding, type TensorInfo } from '@weightspec/core';
import { permuteRopeRows, type RowOrder } from '@weightspec/models';

export const f32 = dtype('F32');

/** A tensor that is the whole of `source`. */
const whole = (tensor: Pick<TensorInfo, 'name' | 'shape' | 'dtype'>, source: ByteSource): TensorInfo => ({ name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, location: { source, offset: 0, length: source.size } });

/** `tensor` without strides. A strided one is gathered as a whole when it is read, and let go after its last byte. */
export function contiguous(tensor: TensorInfo): TensorInfo {
  if (!tensor.strides) return tensor;
  const size = byteLength(tensor.dtype, elementCount(tensor.shape));
  let gathered: Promise<Uint8Array> | undefined;
  const gather = async (): Promise<Uint8Array> => {
    const out = new Uint8Array(size);
    let at = 0;
    for await (const chunk of contiguousChunks(tensor)) {
      out.set(chunk, at);
      at += chunk.length;
    }
    return out;
  };
  const { name } = tensor.location.source;
  return whole(tensor, {
    name,
    size,
    async read(offset, length) {
      assertRange(name, size, offset, length);
      gathered ??= gather();
      const bytes = await gathered;
      if (offset + length === size) gathered = undefined;
      return bytes.slice(offset, offset + length);
    },
  });
}

/** Values of a tensor by elements, whole units at a time. */
interface Values {
  /** Elements that can only be had together. */
  readonly unit: number;
  /** [first, first + count), both multiples of `unit`. */
  read(first: number, count: number): Promise<Float32Array>;
}

/** The codec of floats and blocks; undefined for integers, F64 and 8-bit floats. */
export function floatCodec(type: DType): Codec | undefined {
  try {
    return codecOf(type);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function valuesOf({ dtype: type, location: { source, offset } }: TensorInfo): Values {
  const codec = codecOf(type);
  return {
    unit: type.blockSize,
    read: async (first, count) => codec.dequantize(await source.read(offset + byteLength(type, first), byteLength(type, count))),
  };
}

/** A contiguous tensor as `type`, encoded where it is read. Throws RangeError for types without a codec. */
export function asType(tensor: TensorInfo, type: DType, rounding: Rounding = 'ggml'): TensorInfo {
  if (tensor.dtype.name === type.name) return tensor;
  return encoded(tensor, valuesOf(contiguous(tensor)), tensor.location.source.name, type, rounding);
}

/** Groups up to this size are read whole; of larger ones, which no exporter writes, a part is as good, since all of it has one scale. */
const MOST_WHOLE_GROUP = 1 << 16;

/** A packed weight as F32. `values` and `scales` are its parts. */
export function unpacked({ name, shape, scheme, groupSize = 1 }: PackedTensor, values: TensorInfo, scales: TensorInfo): TensorInfo {
  const arithmetic = scheme === llama2cQ8Wmax.scheme ? llama2cQ8Wmax : llama2cQ8;
  /** Elements [first, first + count), which are whole groups or lie in one. */
  const read: Values['read'] = async (first, count) => {
    const [group, groups] = [Math.floor(first / groupSize), Math.ceil(count / groupSize)];
    const codes = await values.location.source.read(values.location.offset + first, count);
    const scaleBytes = await scales.location.source.read(scales.location.offset + group * 4, groups * 4);
    return arithmetic.dequantizeGroups({ values: new Int8Array(codes.buffer, codes.byteOffset, count), scales: codecOf(f32).dequantize(scaleBytes) }, Math.min(count, groupSize));
  };
  const readParts: Values['read'] = async (first, count) => {
    const out = new Float32Array(count);
    for (let at = first; at < first + count; ) {
      const end = Math.min(first + count, (Math.floor(at / groupSize) + 1) * groupSize);
      out.set(await read(at, end - at), at - first);
      at = end;
    }
    return out;
  };
  return encoded({ name, shape }, groupSize > MOST_WHOLE_GROUP ? { unit: 1, read: readParts } : { unit: groupSize, read }, values.location.source.name, f32, 'ggml');
}

function encoded({ name, shape }: Pick<TensorInfo, 'name' | 'shape'>, values: Values, sourceName: string, type: DType, rounding: Rounding): TensorInfo {
  const codec = codecOf(type);
  const elements = elementCount(shape);
  const size = byteLength(type, elements);
  const unit = values.unit % type.blockSize === 0 ? values.unit : leastCommonMultiple(values.unit, type.blockSize);
  return whole({ name, dtype: type, shape }, {
    name: sourceName,
    size,
    async read(offset, length) {
      assertRange(sourceName, size, offset, length);
      if (length === 0) return new Uint8Array(0);
      const unitBytes = byteLength(type, unit);
      const first = Math.floor(offset / unitBytes) * unit;
      const end = Math.min(elements, Math.ceil((offset + length) / unitBytes) * unit);
      const floats = await values.read(first, end - first);
      // Float formats keep NaN and infinities; only rounding to fewer bits refuses them.
      const bytes = type.name === 'F32' ? codec.quantize(floats) : quantizeChecked(codec, floats, { tensor: name, source: sourceName, firstElement: first, rounding });
      const start = offset - byteLength(type, first);
      return bytes.subarray(start, start + length);
    },
  });
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

/** q or k (or its bias) with the rows of each head in the other order. One head is held. Throws RangeError when rows are not whole heads or blocks. */
export function permuted(tensor: TensorInfo, headDim: number, to: RowOrder): TensorInfo {
  const flat = contiguous(tensor);
  const rows = flat.shape[0] ?? 0;
  if (headDim < 2 || headDim % 2 !== 0 || rows % headDim !== 0) throw new RangeError(`${tensor.name}: ${rows} rows are not whole heads of ${headDim}`);
  const rowBytes = byteLength(flat.dtype, elementCount(flat.shape.slice(1)));
  const headBytes = headDim * rowBytes;
  const { source, offset: start, length: size } = flat.location;
  let held: { readonly head: number; readonly bytes: Promise<Uint8Array> } | undefined;
  const headOf = (head: number): Promise<Uint8Array> => {
    if (held?.head !== head) {
      const bytes = source.read(start + head * headBytes, headBytes).then((read) => permuteRopeRows(read, rowBytes, headDim, to));
      held = { head, bytes };
    }
    return held.bytes;
  };
  return whole(flat, {
    name: source.name,
    size,
    async read(offset, length) {
      assertRange(source.name, size, offset, length);
      const out = new Uint8Array(length);
      for (let at = offset; at < offset + length; ) {
        const head = Math.floor(at / headBytes);
        const from = at - head * headBytes;
        const count = Math.min(headBytes - from, offset + length - at);
        out.set((await headOf(head)).subarray(from, from + count), at - offset);
        at += count;
      }
      return out;
    },
  });
}

/** A tensor of zeros. */
export function zeros(name: string, shape: readonly number[], type: DType = f32): TensorInfo {
  const size = byteLength(type, elementCount(shape));
  return whole({ name, dtype: type, shape }, {
    name: 'zeros',
    size,
    async read(offset, length) {
      assertRange('zeros', size, offset, length);
      return new Uint8Array(length);
    },
  });
}

/** f32 values [first, first + count) of a tensor in F32. */
export async function floatsAt({ location: { source, offset } }: TensorInfo, first: number, count: number): Promise<Float32Array> {
  return codecOf(f32).dequantize(await source.read(offset + 4 * first, 4 * count));
}

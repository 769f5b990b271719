/**
 * Encoding chunk by chunk, elsewhere: tensors whose bytes are made by an `Encoder`, such as a pool of worker threads, a few chunks
 * ahead of whoever reads. Front to back is fast; any other order works.
 */
import { codecOf, llama2cQ8, quantizeChecked, type Codec } from '@weightspec/codecs';
import { assertRange, byteLength, dtype, elementCount, type ByteSource, type DType, type PackedTensor, type Rounding, type TensorInfo } from '@weightspec/core';

/** Some elements of a tensor, and what they are to become. Plain data: it can be sent to a worker. */
export interface EncodeRequest {
  /** Of the type `from`, whole blocks. */
  readonly bytes: Uint8Array;
  readonly from: string;
  /** A dtype with a codec, or llama2.c's int8 in groups: the codes of all, then their f32 scales. */
  readonly to: { readonly dtype: string; readonly rounding: Rounding } | { readonly groupSize: number };
  readonly tensor: string;
  readonly source: string;
  readonly firstElement: number;
}

export interface Encoder {
  /** Chunks that can be under way at once. */
  readonly parallel: number;
  encode(request: EncodeRequest): Promise<Uint8Array>;
}

/** Decoded values of one chunk, used again for the next: threads collect their garbage late. */
let scratch = new Float32Array(0);

/**
 * What every encoder does with a request. `codecFor`: whose quantizers, such as native ones that write the same bytes.
 * Throws DiagnosticError for values that the type cannot hold.
 */
export function encodeChunk({ bytes, from, to, tensor, source, firstElement }: EncodeRequest, codecFor: (type: DType) => Codec = codecOf): Uint8Array {
  const { blockSize, bytesPerBlock } = dtype(from);
  const count = (bytes.length / bytesPerBlock) * blockSize;
  if (scratch.length < count) scratch = new Float32Array(count);
  const values = codecOf(dtype(from)).dequantize(bytes, scratch.subarray(0, count));
  if ('dtype' in to) return quantizeChecked(codecFor(dtype(to.dtype)), values, { tensor, source, firstElement, rounding: to.rounding });
  const { values: codes, scales } = llama2cQ8.quantizeGroups(values, to.groupSize, { tensor, source, firstElement });
  const out = new Uint8Array(codes.length + 4 * scales.length);
  out.set(new Uint8Array(codes.buffer, codes.byteOffset, codes.length));
  out.set(codecOf(dtype('F32')).quantize(scales), codes.length);
  return out;
}

/** A quarter of a megabyte of f32: enough to be worth sending, little enough that what several threads hold is no matter. */
const CHUNK_ELEMENTS = 1 << 16;

/** Reads chunk `index` of `step` elements of a contiguous tensor, and has it encoded. */
function encodedChunk(tensor: TensorInfo, index: number, step: number, to: EncodeRequest['to'], encoder: Encoder): Promise<Uint8Array> {
  const { dtype: type, location: { source, offset } } = tensor;
  const first = index * step;
  const count = Math.min(step, elementCount(tensor.shape) - first);
  return source.read(offset + byteLength(type, first), byteLength(type, count)).then((bytes) => encoder.encode({ bytes, from: type.name, to, tensor: tensor.name, source: source.name, firstElement: first }));
}

/** A source of equal chunks (but for the last), of which the next ones are under way while one is read. */
function aheadSource(name: string, size: number, chunkBytes: number, ahead: number, produce: (index: number) => Promise<Uint8Array>): ByteSource {
  const underWay = new Map<number, Promise<Uint8Array>>();
  const chunk = (index: number): Promise<Uint8Array> => {
    const known = underWay.get(index);
    if (known) return known;
    const made = produce(index);
    // Whoever reads it hears of its failure; one that is never read must not end the process.
    made.catch(() => undefined);
    underWay.set(index, made);
    return made;
  };
  return {
    name,
    size,
    async read(offset, length) {
      assertRange(name, size, offset, length);
      const out = new Uint8Array(length);
      for (let at = offset; at < offset + length; ) {
        const index = Math.floor(at / chunkBytes);
        for (const other of underWay.keys()) if (other < index || other > index + ahead) underWay.delete(other);
        for (let next = index; next <= index + ahead && next * chunkBytes < size; next++) void chunk(next);
        const bytes = await chunk(index);
        const from = at - index * chunkBytes;
        const count = Math.min(bytes.length - from, offset + length - at);
        out.set(bytes.subarray(from, from + count), at - offset);
        at += count;
      }
      return out;
    },
  };
}

/** A contiguous tensor as `type`, encoded by `encoder`. The bytes are those of `asType`. */
export function encodedAhead(tensor: TensorInfo, type: DType, rounding: Rounding, encoder: Encoder): TensorInfo {
  const size = byteLength(type, elementCount(tensor.shape));
  const to = { dtype: type.name, rounding };
  // 2^16 elements are whole blocks of every type.
  const source = aheadSource(tensor.location.source.name, size, byteLength(type, CHUNK_ELEMENTS), encoder.parallel, (index) => encodedChunk(tensor, index, CHUNK_ELEMENTS, to, encoder));
  return { name: tensor.name, dtype: type, shape: tensor.shape, location: { source, offset: 0, length: size } };
}

export interface Packed {
  readonly entry: PackedTensor;
  readonly values: TensorInfo;
  readonly scales: TensorInfo;
}

/**
 * A contiguous tensor as llama2.c's int8 in groups. Scales that pass by while the values are read are kept until another tensor's are,
 * in `kept`, so that a layout with the scales behind each tensor quantizes once.
 */
export function packedAhead(tensor: TensorInfo, groupSize: number, encoder: Encoder, kept: KeptScales): Packed {
  const { name, shape, location } = tensor;
  const elements = elementCount(shape);
  const block = tensor.dtype.blockSize;
  const unit = groupSize % block === 0 ? groupSize : groupSize * block;
  const step = Math.max(1, Math.floor(CHUNK_ELEMENTS / unit)) * unit;
  const groups = step / groupSize;
  const both = (index: number): Promise<Uint8Array> => encodedChunk(tensor, index, step, { groupSize }, encoder);
  const count = (index: number): number => Math.min(step, elements - index * step);
  const values = aheadSource(location.source.name, elements, step, encoder.parallel, async (index) => {
    const bytes = await both(index);
    if (kept.tensor !== name) Object.assign(kept, { tensor: name, chunks: new Map() });
    kept.chunks.set(index, bytes.slice(count(index)));
    return bytes.subarray(0, count(index));
  });
  const scaleBytes = 4 * (elements / groupSize);
  const scales = aheadSource(location.source.name, scaleBytes, 4 * groups, encoder.parallel, async (index) => {
    const known = kept.tensor === name ? kept.chunks.get(index) : undefined;
    return known ?? (await both(index)).subarray(count(index));
  });
  const scalesName = `${name}.scales`;
  return {
    entry: { name, scheme: llama2cQ8.scheme, shape, parts: { values: name, scales: scalesName }, groupSize },
    values: { name, dtype: dtype('I8'), shape, location: { source: values, offset: 0, length: elements } },
    scales: { name: scalesName, dtype: dtype('F32'), shape: [elements / groupSize], location: { source: scales, offset: 0, length: scaleBytes } },
  };
}

/** Scales of the tensor that was read last, by chunk. */
export interface KeptScales {
  tensor?: string;
  chunks: Map<number, Uint8Array>;
}

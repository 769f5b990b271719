/** What the values of one tensor are, and how far each codec would move them. Streams; memory is some chunks of 2^18 values. */
import { codecs, type Codec } from '@weightspec/codecs';
import { byteLength, dtype, dtypes, elementCount, findTensor, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { asType, contiguous, unpacked } from '@weightspec/convert';
import { lmdeployInt8Weights } from '@weightspec/models';

const CHUNK_ELEMENTS = 1 << 18;

/** What a codec does to the values when it encodes and decodes them. Sums are in float64. */
export interface RoundTrip {
  readonly dtype: string;
  readonly byteLength: number;
  /** Root mean square of the error. */
  readonly rmse: number;
  readonly maxAbs: number;
  /** 20 · log10(rms of the values / rmse); null where either is zero. */
  readonly snrDb: number | null;
}

export interface Analysis {
  readonly elementCount: number;
  /** NaN and infinities; they are in no other figure. */
  readonly nonFinite: number;
  readonly zeros: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  /** Equal bins from min to max. */
  readonly histogram: readonly number[];
  /** Absent with values that are not finite, which codecs refuse. */
  readonly roundTrips?: readonly RoundTrip[];
}

export interface AnalysisOptions {
  readonly bins?: number;
  readonly signal?: AbortSignal;
  /** 0 … 1. */
  readonly progress?: (done: number) => void;
}

/** The values behind the tensor called `name`: of a weight packed as codes and scales, the weight's. Throws RangeError for types without a codec. */
export function valuesOf(checkpoint: Checkpoint, name: string): TensorInfo {
  const tensor = findTensor(checkpoint, name);
  const packed = [...(checkpoint.packed ?? []), ...lmdeployInt8Weights(checkpoint.tensors)].find(({ parts }) => parts.values === name);
  // LMDeploy's groups are rows.
  if (packed) return unpacked({ groupSize: packed.shape.at(-1), ...packed }, contiguous(tensor), contiguous(findTensor(checkpoint, packed.parts.scales!)));
  return asType(contiguous(tensor), dtype('F32'));
}

/** Two passes over `values` (F32): figures and codecs, then the histogram. Throws the signal's reason. */
export async function analyse(values: TensorInfo, { bins = 64, signal, progress }: AnalysisOptions = {}): Promise<Analysis> {
  const elements = elementCount(values.shape);
  const pass = async (from: number, to: number, use: (chunk: Float32Array) => void): Promise<void> => {
    for (let first = 0; first < elements; first += CHUNK_ELEMENTS) {
      const count = Math.min(CHUNK_ELEMENTS, elements - first);
      use(floats(await values.location.source.read(values.location.offset + 4 * first, 4 * count)));
      progress?.(from + ((to - from) * (first + count)) / elements);
      await turn();
      signal?.throwIfAborted();
    }
  };
  const sums = { sum: 0, squares: 0, nonFinite: 0, zeros: 0, min: Infinity, max: -Infinity };
  const trips = codecsFor(values.shape).map((codec) => roundTripper(codec));
  await pass(0, 0.8, (chunk) => {
    accumulate(sums, chunk);
    if (sums.nonFinite === 0) for (const trip of trips) trip.push(chunk);
  });
  const histogram = Array.from({ length: bins }, () => 0);
  await pass(0.8, 1, (chunk) => fill(histogram, chunk, sums.min, sums.max));

  const finite = elements - sums.nonFinite;
  const mean = finite > 0 ? sums.sum / finite : 0;
  return {
    elementCount: elements,
    nonFinite: sums.nonFinite,
    zeros: sums.zeros,
    min: finite > 0 ? sums.min : 0,
    max: finite > 0 ? sums.max : 0,
    mean,
    std: finite > 0 ? Math.sqrt(Math.max(0, sums.squares / finite - mean * mean)) : 0,
    histogram,
    ...(sums.nonFinite === 0 && elements > 0 ? { roundTrips: trips.map((trip) => trip.result(elements, sums.squares)) } : {}),
  };
}

/** A macrotask, so that a worker hears a cancel between two chunks. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

const floats = (bytes: Uint8Array): Float32Array => (bytes.byteOffset % 4 === 0 ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4) : new Float32Array(bytes.slice().buffer));

/** Blocks must not go across rows. */
function codecsFor(shape: readonly number[]): Codec[] {
  const columns = shape.at(-1) ?? 1;
  return Object.values(codecs).filter((codec) => codec.dtype.name !== 'F32' && (codec.dtype.blockSize === 1 || (shape.length > 1 && columns % codec.dtype.blockSize === 0)));
}

function roundTripper(codec: Codec) {
  let encoded = new Uint8Array(0);
  let decoded = new Float32Array(0);
  let squares = 0;
  let maxAbs = 0;
  return {
    push(values: Float32Array): void {
      if (decoded.length !== values.length) {
        encoded = new Uint8Array(byteLength(codec.dtype, values.length));
        decoded = new Float32Array(values.length);
      }
      codec.dequantize(codec.quantize(values, { dst: encoded }), decoded);
      for (let i = 0; i < values.length; i++) {
        const error = Math.abs(decoded[i]! - values[i]!);
        if (error > maxAbs) maxAbs = error;
        squares += error * error;
      }
    },
    result(elements: number, valueSquares: number): RoundTrip {
      const rmse = Math.sqrt(squares / elements);
      const rms = Math.sqrt(valueSquares / elements);
      return { dtype: codec.dtype.name, byteLength: byteLength(codec.dtype, elements), rmse, maxAbs, snrDb: rmse > 0 && rms > 0 && rmse < Infinity ? 20 * Math.log10(rms / rmse) : null };
    },
  };
}

interface Sums {
  sum: number;
  squares: number;
  nonFinite: number;
  zeros: number;
  min: number;
  max: number;
}

function accumulate(sums: Sums, values: Float32Array): void {
  let { sum, squares, nonFinite, zeros, min, max } = sums;
  for (const value of values) {
    if (!Number.isFinite(value)) {
      nonFinite++;
      continue;
    }
    sum += value;
    squares += value * value;
    if (value === 0) zeros++;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  Object.assign(sums, { sum, squares, nonFinite, zeros, min, max });
}

function fill(histogram: number[], values: Float32Array, min: number, max: number): void {
  const perUnit = max > min ? histogram.length / (max - min) : 0;
  for (const value of values) {
    if (Number.isFinite(value)) histogram[Math.min(histogram.length - 1, Math.floor((value - min) * perUnit))]!++;
  }
}

/** Whether values of a tensor can be shown: its type has a codec, or it is packed with scales. */
export function valuesShown(checkpoint: Checkpoint): (tensor: TensorInfo) => boolean {
  // Once for all: there may be a hundred thousand.
  const packed = new Set([...(checkpoint.packed ?? []), ...lmdeployInt8Weights(checkpoint.tensors)].map(({ parts }) => parts.values));
  return ({ name, dtype: { name: type } }) => (dtypes.has(type) && Object.hasOwn(codecs, type.toLowerCase())) || packed.has(name);
}

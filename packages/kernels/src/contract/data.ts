import { dtype, type ByteSource, type WeightHandle } from '@weightspec/core';
import type { Row } from './float64.js';

/** Numbers in [0, 1) that are the same on every run (mulberry32, T. Ettinger, public domain), seeded by a name. */
export function randomFrom(name: string): () => number {
  let state = Array.from(name).reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A weight and what it means. */
export interface TestWeight {
  readonly handle: WeightHandle;
  /** By row; a vector has one. */
  readonly rows: readonly Row[];
  /** What rounding errors of decoding are proportional to: |value|, or |scale · q| + |min|. */
  readonly magnitudes: readonly Row[];
}

/** The ByteSource of a test: the bytes are somewhere in the middle, so that an offset forgotten shows. */
function sourceOf(name: string, bytes: Uint8Array): { source: ByteSource; offset: number; length: number } {
  const offset = 12;
  const file = new Uint8Array(bytes.length + 2 * offset).fill(0xa5);
  file.set(bytes, offset);
  const read = async (at: number, length: number): Promise<Uint8Array> => {
    if (at < 0 || at + length > file.length) throw new RangeError(`${name}: [${at}, ${at + length}) of ${file.length}`);
    return file.slice(at, at + length);
  };
  return { source: { name, size: file.length, read }, offset, length: bytes.length };
}

const toRows = (values: readonly number[], columns: number): number[][] =>
  Array.from({ length: values.length / columns }, (_, row) => values.slice(row * columns, (row + 1) * columns));

/** An F32 weight. `values` are rounded to f32 first. */
export function f32Weight(name: string, shape: readonly number[], values: readonly number[]): TestWeight {
  const floats = Float32Array.from(values);
  const bytes = new Uint8Array(floats.buffer);
  const tensor = { name, dtype: dtype('F32'), shape, location: sourceOf(name, bytes) };
  const rows = toRows([...floats], shape.at(-1)!);
  return { handle: { name, shape, storage: 'F32', parts: { values: tensor } }, rows, magnitudes: rows.map((row) => row.map(Math.abs)) };
}

/** An F32 weight of numbers in [−2, 2). */
export function randomWeight(name: string, shape: readonly number[]): TestWeight {
  const random = randomFrom(`${name} ${shape.join()}`);
  return f32Weight(name, shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 4 * random() - 2));
}

interface Element {
  readonly value: number;
  readonly magnitude: number;
}
const plain = (value: number): Element => ({ value, magnitude: Math.abs(value) });
const scaled = (scale: number, q: number, min = 0): Element => ({ value: scale * q + min, magnitude: Math.abs(scale * q) + Math.abs(min) });

/** IEEE 754 binary16 of normal numbers: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
const half = (bits: number): number => (bits >>> 15 === 1 ? -1 : 1) * 2 ** (((bits >>> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
/** bfloat16 of normal numbers: 1 sign, 8 exponent (bias 127), 7 fraction bits. */
const brainFloat = (bits: number): number => (bits >>> 15 === 1 ? -1 : 1) * 2 ** (((bits >>> 7) & 255) - 127) * (1 + (bits & 127) / 128);

/** One block of a storage: its bytes, and how they decode. Layouts: ggml-common.h, IEEE 754, bfloat16. */
interface BlockKind {
  readonly elements: number;
  readonly bytes: number;
  /** Makes random bytes sane, e.g. a scale of moderate size. */
  tame(block: DataView): void;
  decode(block: DataView): Element[];
}

/** Makes the half at `at` a number of size 2^−4 … 2^−3 or 1 … 2. */
const tameHalf = (block: DataView, at: number): void => block.setUint16(at, (block.getUint16(at, true) & 0x9fff) | 0x2c00, true);
const nibbles = (block: DataView, at: number): number[] => {
  const bytes = Array.from({ length: 16 }, (_, i) => block.getUint8(at + i));
  return [...bytes.map((byte) => byte & 15), ...bytes.map((byte) => byte >> 4)];
};
/** Nibbles with their fifth bits, which stand in 32 bits before them. */
const fiveBits = (block: DataView, at: number): number[] => nibbles(block, at + 4).map((low, i) => low + 16 * ((block.getUint32(at, true) >>> i) & 1));

const blockKinds: Readonly<Record<string, BlockKind>> = {
  F32: { elements: 1, bytes: 4, tame: (b) => b.setFloat32(0, b.getInt32(0, true) / 2 ** 30, true), decode: (b) => [plain(b.getFloat32(0, true))] },
  F16: { elements: 1, bytes: 2, tame: (b) => tameHalf(b, 0), decode: (b) => [plain(half(b.getUint16(0, true)))] },
  BF16: { elements: 1, bytes: 2, tame: (b) => b.setUint16(0, (b.getUint16(0, true) & 0x81ff) | 0x3e00, true), decode: (b) => [plain(brainFloat(b.getUint16(0, true)))] },
  Q4_0: { elements: 32, bytes: 18, tame: (b) => tameHalf(b, 0), decode: (b) => nibbles(b, 2).map((q) => scaled(half(b.getUint16(0, true)), q - 8)) },
  Q4_1: {
    elements: 32, bytes: 20,
    tame(b) {
      tameHalf(b, 0);
      tameHalf(b, 2);
    },
    decode: (b) => nibbles(b, 4).map((q) => scaled(half(b.getUint16(0, true)), q, half(b.getUint16(2, true)))),
  },
  Q5_0: { elements: 32, bytes: 22, tame: (b) => tameHalf(b, 0), decode: (b) => fiveBits(b, 2).map((q) => scaled(half(b.getUint16(0, true)), q - 16)) },
  Q5_1: {
    elements: 32, bytes: 24,
    tame(b) {
      tameHalf(b, 0);
      tameHalf(b, 2);
    },
    decode: (b) => fiveBits(b, 4).map((q) => scaled(half(b.getUint16(0, true)), q, half(b.getUint16(2, true)))),
  },
  Q8_0: { elements: 32, bytes: 34, tame: (b) => tameHalf(b, 0), decode: (b) => Array.from({ length: 32 }, (_, i) => scaled(half(b.getUint16(0, true)), b.getInt8(2 + i))) },
};

/** Storages that a test weight can be made in; a backend is tried on those that it says it supports. */
export const testStorages: readonly string[] = [...Object.keys(blockKinds), 'llama2c-q8', 'llama2c-q8-wmax', 'lmdeploy-int8'];

/** Int8 values with scales in a second part. */
export const isInt8Groups = (storage: string): boolean => storage.startsWith('llama2c') || storage === 'lmdeploy-int8';

/** A weight of random codes. Rows of block types must be whole blocks; llama2.c's int8 groups of 8 straddle rows where they can, LMDeploy's are rows. */
export function storedWeight(name: string, storage: string, shape: readonly number[]): TestWeight {
  return isInt8Groups(storage) ? groupedWeight(name, storage, shape) : blockWeight(name, storage, shape);
}

function blockWeight(name: string, storage: string, shape: readonly number[]): TestWeight {
  const random = randomFrom(`${name} ${storage}`);
  const kind = blockKinds[storage]!;
  const blocks = shape.reduce((a, b) => a * b, 1) / kind.elements;
  const bytes = Uint8Array.from({ length: blocks * kind.bytes }, () => Math.floor(256 * random()));
  const elements = Array.from({ length: blocks }, (_, i) => new DataView(bytes.buffer, i * kind.bytes, kind.bytes)).flatMap((block) => {
    kind.tame(block);
    return kind.decode(block);
  });
  const tensor = { name, dtype: dtype(storage), shape, location: sourceOf(name, bytes) };
  return described({ name, shape, storage, parts: { values: tensor } }, elements);
}

function groupedWeight(name: string, storage: string, shape: readonly number[]): TestWeight {
  const random = randomFrom(`${name} ${storage}`);
  const groupSize = storage === 'lmdeploy-int8' ? shape.at(-1)! : 8;
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Int8Array.from({ length: count }, () => Math.floor(255 * random()) - 127);
  const scales = Float32Array.from({ length: count / groupSize }, () => random());
  const divisor = storage === 'llama2c-q8-wmax' ? 127 : 1;
  const elements = Array.from(values, (q, i) => scaled(scales[Math.floor(i / groupSize)]! / divisor, q));
  const parts = {
    values: { name, dtype: dtype('I8'), shape, location: sourceOf(name, new Uint8Array(values.buffer)) },
    scales: { name: `${name}.scales`, dtype: dtype('F32'), shape: storage === 'lmdeploy-int8' ? [scales.length, 1] : [scales.length], location: sourceOf(`${name}.scales`, new Uint8Array(scales.buffer)) },
  };
  return described({ name, shape, storage, parts, ...(storage === 'lmdeploy-int8' ? {} : { groupSize }) }, elements);
}

function described(handle: WeightHandle, elements: readonly Element[]): TestWeight {
  const columns = handle.shape.at(-1)!;
  return { handle, rows: toRows(elements.map((e) => e.value), columns), magnitudes: toRows(elements.map((e) => e.magnitude), columns) };
}

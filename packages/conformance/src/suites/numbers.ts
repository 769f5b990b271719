/** Bytes as hexadecimal, f32 and float64 in files, and the comparisons that all suites share. */
import { ConformanceError, type ConformanceCode } from '../codes.js';

export const fromHex = (text: string): Uint8Array => Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));

export function littleEndianF32(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** `count` float64 from element `first` on. */
export function littleEndianF64(bytes: Uint8Array, first: number, count: number): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: count }, (_, i) => view.getFloat64(8 * (first + i), true));
}

/** Throws ConformanceError (CONFORM_SHAPE) unless there are `count` numbers. */
export function assertCount(actual: ArrayLike<number>, count: number): void {
  if (actual.length !== count) throw new ConformanceError('CONFORM_SHAPE', `${actual.length} numbers instead of ${count}`);
}

/** Throws with `code`, naming the element that is furthest out of its bound. NaN is out of any bound. */
export function assertWithin(code: ConformanceCode, actual: ArrayLike<number>, expected: ArrayLike<number>, bound: (index: number) => number, where: (index: number) => string): void {
  assertCount(actual, expected.length);
  let worst = -1;
  let excess = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const over = Math.abs(actual[i]! - expected[i]!) - bound(i);
    if (over <= 0) continue;
    const size = Number.isNaN(over) ? Number.POSITIVE_INFINITY : over;
    if (worst < 0 || size > excess) [worst, excess] = [i, size];
  }
  if (worst >= 0) throw new ConformanceError(code, `${where(worst)} is ${actual[worst]}, not ${expected[worst]} ± ${bound(worst)}`);
}

const f32Bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Throws ConformanceError (CONFORM_BITS) naming the first of the f32 numbers whose bits differ; zeros are equal, since JSON's have no sign. */
export function assertSameBits(actual: Float32Array, expected: Float32Array): void {
  assertCount(actual, expected.length);
  const [got, wanted] = [f32Bits(Float32Array.from(actual)), f32Bits(expected)];
  const wrong = wanted.findIndex((bits, i) => got[i] !== bits && !(actual[i] === 0 && expected[i] === 0));
  if (wrong >= 0) throw new ConformanceError('CONFORM_BITS', `element ${wrong} is ${actual[wrong]}, not ${expected[wrong]}`);
}

/** Throws with `code`, naming the first byte that differs. */
export function assertSameBytes(code: ConformanceCode, actual: Uint8Array, expected: Uint8Array): void {
  const wrong = expected.findIndex((byte, i) => actual[i] !== byte);
  if (wrong >= 0) throw new ConformanceError(code, `byte ${wrong} is ${actual[wrong] ?? 'missing'}, not ${expected[wrong]}`);
  if (actual.length !== expected.length) throw new ConformanceError(code, `${actual.length} bytes instead of ${expected.length}`);
}

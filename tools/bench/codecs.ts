import { codecs, dequantizeGroups, quantizeGroups } from '@weightspec/codecs';
import { byteLength } from '@weightspec/core';
import { type BenchResult, measure } from './bench.js';

export const heading = 'codecs: f32 bytes, one thread, 64 MiB of Gaussian weights, destination given; baseline = one Float32Array.set of them all';

const elementCount = 1 << 24;
const sliceCount = 64;

/** Sums of uniform numbers from a fixed linear congruential generator: near enough to Gaussian, and the same in every run. */
function gaussianWeights(count: number): Float32Array {
  let state = 1;
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => 0.02 * (uniform() + uniform() + uniform() + uniform() - 2));
}

const slicesOf = (length: number) => Array.from({ length: sliceCount }, (_, i) => [(length / sliceCount) * i, (length / sliceCount) * (i + 1)] as const);

/** The same slices of two arrays, cut beforehand: a subarray is an allocation. */
function pairs<A extends Float32Array | Uint8Array, B extends Float32Array | Uint8Array>(first: A, second: B): (readonly [A, B])[] {
  const cut = <T extends Float32Array | Uint8Array>(array: T) => slicesOf(array.length).map(([start, end]) => array.subarray(start, end) as T);
  const cutSecond = cut(second);
  return cut(first).map((slice, i) => [slice, cutSecond[i]!] as const);
}

export async function bench(): Promise<BenchResult[]> {
  const weights = gaussianWeights(elementCount);
  const decoded = new Float32Array(elementCount);
  const rate = (slices: (() => void)[]) => measure(weights.byteLength, slices);
  const copy = rate([() => decoded.set(weights)]);
  const baseline = { name: 'copy', gigabytesPerSecond: copy };
  const results: BenchResult[] = [{ name: 'copy', gigabytesPerSecond: copy }];
  const add = (name: string, requiredRatio: number, slices: (() => void)[]) => results.push({ name, gigabytesPerSecond: rate(slices), baseline, requiredRatio });
  for (const [name, codec] of Object.entries(codecs)) {
    const encoded = new Uint8Array(byteLength(codec.dtype, elementCount));
    const encoding = pairs(weights, encoded);
    add(`${name} quantize, torch`, 1 / 30, encoding.map(([src, dst]) => () => void codec.quantize(src, { dst, rounding: 'torch' })));
    add(`${name} quantize`, 1 / 30, encoding.map(([src, dst]) => () => void codec.quantize(src, { dst })));
    add(`${name} dequantize`, 1 / 15, pairs(encoded, decoded).map(([src, dst]) => () => void codec.dequantize(src, dst)));
  }
  const groups = pairs(weights, decoded).map(([src, dst]) => ({ src, dst, encoded: quantizeGroups(src, 64) }));
  add('llama2c-q8 quantize (allocates)', 1 / 30, groups.map(({ src }) => () => void quantizeGroups(src, 64)));
  add('llama2c-q8 dequantize', 1 / 15, groups.map(({ dst, encoded }) => () => void dequantizeGroups(encoded, 64, dst)));
  return results;
}

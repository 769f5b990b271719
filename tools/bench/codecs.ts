import { codecs, dequantizeGroups, quantizeGroups } from '@weightspec/codecs';
import { byteLength } from '@weightspec/core';
import { type BenchResult, measure } from './bench.js';

export const heading = 'codecs: f32 bytes, one thread, 64 MiB of Gaussian weights, destination given; baseline = Float32Array.set of the same values';

const elementCount = 1 << 24;

/** Sums of uniform numbers from a fixed linear congruential generator: near enough to Gaussian, and the same in every run. */
function gaussianWeights(count: number): Float32Array {
  let state = 1;
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => 0.02 * (uniform() + uniform() + uniform() + uniform() - 2));
}

export async function bench(): Promise<BenchResult[]> {
  const weights = gaussianWeights(elementCount);
  const decoded = new Float32Array(elementCount);
  const rate = (run: () => void) => measure(weights.byteLength, run);
  const baseline = { name: 'copy', gigabytesPerSecond: rate(() => decoded.set(weights)) };
  const results: BenchResult[] = [{ name: 'copy', gigabytesPerSecond: baseline.gigabytesPerSecond }];
  for (const [name, codec] of Object.entries(codecs)) {
    const encoded = new Uint8Array(byteLength(codec.dtype, elementCount));
    const quantize = rate(() => codec.quantize(weights, { dst: encoded }));
    const torch = rate(() => codec.quantize(weights, { dst: encoded, rounding: 'torch' }));
    const dequantize = rate(() => codec.dequantize(encoded, decoded));
    results.push(
      { name: `${name} quantize`, gigabytesPerSecond: quantize, baseline, requiredRatio: 1 / 30 },
      { name: `${name} quantize, torch`, gigabytesPerSecond: torch, baseline, requiredRatio: 1 / 30 },
      { name: `${name} dequantize`, gigabytesPerSecond: dequantize, baseline, requiredRatio: 1 / 15 },
    );
  }
  const groups = quantizeGroups(weights, 64);
  results.push(
    { name: 'llama2c-q8 quantize (allocates)', gigabytesPerSecond: rate(() => void quantizeGroups(weights, 64)), baseline, requiredRatio: 1 / 30 },
    { name: 'llama2c-q8 dequantize', gigabytesPerSecond: rate(() => void dequantizeGroups(groups, 64, decoded)), baseline, requiredRatio: 1 / 15 },
  );
  return results;
}

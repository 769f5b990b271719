import { readFileSync } from 'node:fs';
import { codecs } from '@weightspec/codecs';
import { dtype, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { open } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { analyse, valuesOf, valuesShown } from './analysis.js';

function f32(values: Float32Array, shape: readonly number[]): TensorInfo {
  const source = memorySource(new Uint8Array(values.buffer.slice(0)), 'values');
  return { name: 'w', dtype: dtype('F32'), shape, location: { source, offset: 0, length: source.size } };
}
const ramp = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => (i % 64) - 32);

describe('what the values of a tensor are', () => {
  it('counts every value once in equal bins from the smallest to the largest', async () => {
    const { histogram, min, max, mean, std, zeros } = await analyse(f32(ramp(640), [10, 64]), { bins: 64 });
    expect(histogram).toEqual(Array.from({ length: 64 }, () => 10));
    expect({ min, max, mean, zeros }).toEqual({ min: -32, max: 31, mean: -0.5, zeros: 10 });
    // Variance of 64 consecutive integers: (64² − 1) / 12.
    expect(std).toBeCloseTo(Math.sqrt((64 ** 2 - 1) / 12), 12);
  });

  it('leaves NaN and infinities out, counts them, and then says nothing of codecs', async () => {
    const values = ramp(64).with(3, Number.NaN).with(5, Infinity);
    const found = await analyse(f32(values, [1, 64]));
    expect(found.nonFinite).toBe(2);
    expect(found.histogram.reduce((sum, n) => sum + n, 0)).toBe(62);
    expect(found.roundTrips).toBeUndefined();
  });

  it('puts a constant into the first bin', async () => {
    const { histogram, min, max } = await analyse(f32(new Float32Array(32).fill(2), [32]), { bins: 4 });
    expect([histogram, min, max]).toEqual([[32, 0, 0, 0], 2, 2]);
  });

  it('has the error that encoding and decoding by hand has, across chunks', async () => {
    // Two chunks and a part; values that no step of Q4_0 hits.
    const values = Float32Array.from({ length: 2 ** 19 + 64 }, (_, i) => Math.sin(i));
    const { roundTrips } = await analyse(f32(values, [(2 ** 19 + 64) / 32, 32]));
    const decoded = codecs.q4_0.dequantize(codecs.q4_0.quantize(values));
    const errors = Float64Array.from(values, (value, i) => Math.abs(decoded[i]! - value));
    const q4 = roundTrips!.find(({ dtype: name }) => name === 'Q4_0')!;
    expect(q4.maxAbs).toBe(errors.reduce((a, b) => Math.max(a, b), 0));
    expect(q4.rmse).toBeCloseTo(Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length), 12);
    expect(q4.byteLength).toBe((values.length / 32) * 18);
    const snr = Object.fromEntries(roundTrips!.map(({ dtype: name, snrDb }) => [name, snrDb!]));
    expect(snr.F16!).toBeGreaterThan(snr.Q8_0!);
    expect(snr.Q8_0!).toBeGreaterThan(snr.Q5_0!);
    expect(snr.Q5_0!).toBeGreaterThan(snr.Q4_0!);
  });

  it('leaves block types out where rows are not whole blocks', async () => {
    const { roundTrips } = await analyse(f32(ramp(66), [2, 33]));
    expect(roundTrips!.map(({ dtype: name }) => name)).toEqual(['F16', 'BF16']);
  });

  it('stops between two chunks when it is cancelled', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const progress = (done: number): void => {
      seen.push(done);
      controller.abort(new Error('cancelled'));
    };
    await expect(analyse(f32(new Float32Array(2 ** 20), [2 ** 20]), { signal: controller.signal, progress })).rejects.toThrow('cancelled');
    expect(seen).toHaveLength(1);
  });
});

describe('the values behind a tensor of a checkpoint', () => {
  const opened = async (path: string): Promise<Checkpoint> => (await open(memorySource(readFileSync(new URL(`../../../../../fixtures/${path}`, import.meta.url)), path))).checkpoint!;

  it('are codes times scales where it is packed, and none where it is plain integers', async () => {
    const checkpoint = await opened('llama2c/valid/v2-shared.bin');
    const [entry] = checkpoint.packed!;
    const codes = checkpoint.tensors.find(({ name }) => name === entry!.parts.values)!;
    const scales = checkpoint.tensors.find(({ name }) => name === entry!.parts.scales)!;
    expect(valuesShown(checkpoint)(codes)).toBe(true);
    const values = valuesOf(checkpoint, codes.name);
    const bytes = await values.location.source.read(values.location.offset, 4 * entry!.groupSize!);
    const [code] = new Int8Array(await codes.location.source.read(codes.location.offset, 1));
    const scale = new DataView((await scales.location.source.read(scales.location.offset, 4)).buffer).getFloat32(0, true);
    expect(new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)).toBe(Math.fround(code! * scale));
    expect(valuesShown({ ...checkpoint, packed: [] })(codes)).toBe(false);
  });
});

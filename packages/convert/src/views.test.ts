/** Views must give at any place and length what the whole gives: writers, samples and joins read them anywhere. */
import { codecs, quantizeGroups } from '@weightspec/codecs';
import { byteLength, dtype, elementCount, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { permuteRopeRows } from '@weightspec/models';
import { array, assert, asyncProperty, nat, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asType, contiguous, permuted, unpacked, zeros } from './views.js';

const values = Float32Array.from({ length: 24 * 64 }, (_, i) => Math.sin(i * 0.61) * 3);
function tensorOf(type: keyof typeof codecs, shape: readonly number[]): TensorInfo {
  const bytes = codecs[type].quantize(values.subarray(0, elementCount(shape)));
  return { name: 'w', dtype: codecs[type].dtype, shape, location: { source: memorySource(Buffer.concat([Buffer.alloc(5), bytes]), 'file'), offset: 5, length: bytes.length } };
}
const bytesAt = ({ location: { source, offset } }: TensorInfo, start: number, length: number) => source.read(offset + start, length);

const noise = tensorOf('f32', [24, 64]);
const scale = quantizeGroups(values, 24);
const part = (name: string, bytes: Uint8Array, type: string, shape: readonly number[]): TensorInfo => ({ name, dtype: dtype(type), shape, location: { source: memorySource(bytes, name), offset: 0, length: bytes.length } });
const int8 = unpacked(
  { name: 'w', scheme: 'llama2c-q8', shape: [24, 64], parts: { values: 'w', scales: 's' }, groupSize: 24 },
  part('w', new Uint8Array(scale.values.buffer), 'I8', [24, 64]),
  part('s', codecs.f32.quantize(scale.scales), 'F32', [64]),
);
/** 24 × 64 seen as 64 × 24. */
const transposed: TensorInfo = { ...noise, shape: [64, 24], strides: [1, 64] };

const views: readonly (readonly [string, () => TensorInfo, () => Uint8Array])[] = [
  ['F16 as F32', () => asType(tensorOf('f16', [24, 64]), dtype('F32')), () => codecs.f32.quantize(codecs.f16.dequantize(codecs.f16.quantize(values)))],
  ['F32 as BF16', () => asType(noise, dtype('BF16')), () => codecs.bf16.quantize(values)],
  ['F32 as Q4_0', () => asType(noise, dtype('Q4_0')), () => codecs.q4_0.quantize(values)],
  ['Q5_1 as F32', () => asType(tensorOf('q5_1', [24, 64]), dtype('F32')), () => codecs.f32.quantize(codecs.q5_1.dequantize(codecs.q5_1.quantize(values)))],
  ['Q8_0 as F16', () => asType(tensorOf('q8_0', [24, 64]), dtype('F16')), () => codecs.f16.quantize(codecs.q8_0.dequantize(codecs.q8_0.quantize(values)))],
  ['int8 in groups of 24 as F32', () => int8, () => codecs.f32.quantize(Float32Array.from(scale.values, (code, i) => Math.fround(code * scale.scales[Math.floor(i / 24)]!)))],
  ['int8 in groups of 24 as Q4_0', () => asType(int8, dtype('Q4_0')), () => codecs.q4_0.quantize(Float32Array.from(scale.values, (code, i) => Math.fround(code * scale.scales[Math.floor(i / 24)]!)))],
  ['permuted rows', () => permuted(noise, 8, 'hf'), () => permuteRopeRows(codecs.f32.quantize(values), 256, 8, 'hf')],
  ['permuted rows of Q4_0, back', () => permuted(permuted(tensorOf('q4_0', [24, 64]), 12, 'hf'), 12, 'meta'), () => codecs.q4_0.quantize(values)],
  ['a transposed view', () => contiguous(transposed), () => codecs.f32.quantize(values.map((_, i) => values[(i % 24) * 64 + Math.floor(i / 24)]!))],
  ['a transposed view, permuted, as F16', () => asType(permuted(transposed, 16, 'meta'), dtype('F16')), () => codecs.f16.quantize(codecs.f32.dequantize(permuteRopeRows(codecs.f32.quantize(values.map((_, i) => values[(i % 24) * 64 + Math.floor(i / 24)]!)), 96, 16, 'meta')))],
  ['zeros', () => zeros('b', [24, 64]), () => new Uint8Array(24 * 64 * 4)],
];

describe.each(views)('%s', (_, view, expected) => {
  it('has the length of its type and the bytes of the whole', async () => {
    const tensor = view();
    expect(tensor.location.length).toBe(byteLength(tensor.dtype, elementCount(tensor.shape)));
    expect(Buffer.compare(await bytesAt(tensor, 0, tensor.location.length), expected())).toBe(0);
  });
  it('gives the same bytes wherever and however many are read, one after the other and at once', async () => {
    const tensor = view();
    const whole = expected();
    const range = tuple(nat(whole.length), nat(whole.length)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    await assert(asyncProperty(array(range, { minLength: 1, maxLength: 4 }), async (ranges) => {
      const read = await Promise.all(ranges.map(([start, end]) => bytesAt(tensor, start, end - start)));
      read.forEach((bytes, i) => expect(Buffer.compare(bytes, whole.subarray(...ranges[i]!))).toBe(0));
    }), { numRuns: 60 });
  });
  it('refuses to read past its end', async () => {
    const { location } = view();
    await expect(location.source.read(location.offset + location.length - 1, 7)).rejects.toThrow(RangeError);
  });
});

describe('views', () => {
  it('read a part of a group that is larger than memory should hold, not the whole', async () => {
    const groupSize = 70_000;
    const codes = Int8Array.from({ length: 2 * groupSize }, (_, i) => (i % 255) - 127);
    const asked: number[] = [];
    const source = memorySource(new Uint8Array(codes.buffer), 'w');
    const counting = { ...part('w', new Uint8Array(codes.buffer), 'I8', [2, groupSize]), location: { offset: 0, length: codes.length, source: { name: 'w', size: codes.length, read: (offset: number, length: number) => (asked.push(length), source.read(offset, length)) } } };
    const view = unpacked({ name: 'w', scheme: 'llama2c-q8', shape: [2, groupSize], parts: { values: 'w', scales: 's' }, groupSize }, counting, part('s', codecs.f32.quantize(Float32Array.of(0.5, 2)), 'F32', [2]));
    const [first, count] = [groupSize - 3, 7];
    const expected = Float32Array.from({ length: count }, (_, i) => codes[first + i]! * (first + i < groupSize ? 0.5 : 2));
    expect(codecs.f32.dequantize(await bytesAt(view, 4 * first, 4 * count))).toEqual(expected);
    expect(asked).toEqual([3, 4]);
  });
  it('refuse rows that are not whole heads, and types without a codec', () => {
    for (const headDim of [0, 1, 3, 7, 16]) expect(() => permuted(noise, headDim, 'hf')).toThrow(RangeError);
    expect(() => asType(noise, dtype('I8'))).toThrow(/no codec for I8/);
  });
});

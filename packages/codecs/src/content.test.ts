import { dtype } from '@weightspec/core';
import { describe, expect, it } from 'vitest';
import { contentScanner } from './content.js';
import { codecs } from './index.js';

const scan = (name: string, ...chunks: Uint8Array[]) => {
  const scanner = contentScanner(dtype(name))!;
  for (const chunk of chunks) scanner.push(chunk);
  return scanner.findings();
};

describe('contentScanner', () => {
  it.each(['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'])('%s: finite weights have no findings', (name) => {
    const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i + 1));
    expect(scan(name, codecs[name.toLowerCase() as keyof typeof codecs].quantize(values))).toEqual({ nonFiniteCount: 0, allZeroBytes: false });
  });
  it('F32: counts NaN and both infinities across chunks and points at the first', () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2, NaN, -Infinity, 3, Infinity).buffer);
    expect(scan('F32', bytes.subarray(0, 8), bytes.subarray(8))).toEqual({ nonFiniteCount: 3, firstNonFiniteByte: 8, allZeroBytes: false });
  });
  it('reads unaligned chunks', () => {
    const shifted = new Uint8Array(9);
    shifted.set(new Uint8Array(Float32Array.of(0, NaN).buffer), 1);
    expect(scan('F32', shifted.subarray(1))).toEqual({ nonFiniteCount: 1, firstNonFiniteByte: 4, allZeroBytes: false });
  });
  it.each([['Q8_0', 0], ['Q4_1', 2]] as const)('%s: an infinite f16 at byte %i of a block counts that block once', (name, field) => {
    const bytes = codecs[name === 'Q8_0' ? 'q8_0' : 'q4_1'].quantize(Float32Array.from({ length: 96 }, (_, i) => i));
    const blockBytes = dtype(name).bytesPerBlock;
    bytes.set([0x00, 0x7c], blockBytes + field);
    expect(scan(name, bytes)).toMatchObject({ nonFiniteCount: 1, firstNonFiniteByte: blockBytes });
  });
  it.each(['Q4_0', 'Q5_0'])('%s: a block of zeros tells ggml from torch', (name) => {
    const codec = codecs[name.toLowerCase() as 'q4_0' | 'q5_0'];
    const values = Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? i - 16 : 0));
    for (const rounding of ['ggml', 'torch'] as const) {
      expect(scan(name, codec.quantize(values, { rounding })).zeroBlocks).toEqual({ rounding, byteOffset: dtype(name).bytesPerBlock });
    }
  });
  it.each(['F32', 'F16', 'BF16'])('%s: finds a single infinity at every place of a chunk', (name) => {
    const { bytesPerBlock } = dtype(name);
    const infinity = name === 'F16' ? 0x7c00 : 0x7f80;
    for (let i = 0; i < 37; i++) {
      const bytes = codecs[name.toLowerCase() as 'f32'].quantize(Float32Array.from({ length: 37 }, (_, k) => (k % 2 ? -1 : 1) * 2 ** ((k % 20) - 10)));
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      view.setUint16((i + 1) * bytesPerBlock - 2, infinity, true);
      if (bytesPerBlock === 4) view.setUint16(i * 4, 0, true);
      expect(scan(name, bytes)).toEqual({ nonFiniteCount: 1, firstNonFiniteByte: i * bytesPerBlock, allZeroBytes: false });
    }
  });
  it('says when every byte is zero', () => {
    expect(scan('F16', new Uint8Array(64)).allZeroBytes).toBe(true);
    expect(scan('Q8_0', new Uint8Array(68)).allZeroBytes).toBe(true);
  });
  it('refuses ragged chunks', () => {
    expect(() => contentScanner(dtype('Q4_0'))!.push(new Uint8Array(17))).toThrow(/whole Q4_0 blocks/);
  });
});

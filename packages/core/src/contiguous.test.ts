import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySource } from '@weightspec/io';
import { contiguousChunks, dtype, type ByteSource, type TensorInfo } from './index.js';

const bytesOf = async (tensor: TensorInfo, chunkBytes?: number): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of contiguousChunks(tensor, chunkBytes)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
};

describe('contiguousChunks', () => {
  it('gives what indexing with the strides gives, in chunks of the size that was asked for', async () => {
    const dimensions = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(9)), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(dimensions, fc.constantFrom('U8', 'F16', 'F32', 'C128'), fc.integer({ min: 1, max: 5 }), async (dims, typeName, chunkElements) => {
        const type = dtype(typeName);
        const shape = dims.map(([n]) => n);
        const strides = dims.map(([, stride]) => stride);
        const span = 1 + shape.reduce((sum, n, i) => sum + (n - 1) * strides[i]!, 0);
        const data = Uint8Array.from({ length: span * type.bytesPerBlock }, (_, i) => (i * 31) % 256);
        const expected: number[] = [];
        const visit = (dimension: number, offset: number): void => {
          if (dimension === shape.length) expected.push(...data.subarray(offset * type.bytesPerBlock, (offset + 1) * type.bytesPerBlock));
          else for (let i = 0; i < shape[dimension]!; i++) visit(dimension + 1, offset + i * strides[dimension]!);
        };
        visit(0, 0);
        const tensor: TensorInfo = { name: 't', dtype: type, shape, strides, location: { source: memorySource(data), offset: 0, length: data.length } };
        const chunkBytes = chunkElements * type.bytesPerBlock;
        for await (const chunk of contiguousChunks(tensor, chunkBytes)) expect(chunk.length).toBeLessThanOrEqual(chunkBytes);
        expect(await bytesOf(tensor, chunkBytes)).toEqual(Uint8Array.from(expected));
      }),
      { numRuns: 200 },
    );
  });
  it('transposes a matrix of more than one block and window', async () => {
    const [rows, columns] = [1500, 2100];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const data = new Uint8Array(values.buffer);
    const tensor: TensorInfo = { name: 't', dtype: dtype('F32'), shape: [columns, rows], strides: [1, columns], location: { source: memorySource(data), offset: 0, length: data.length } };
    const transposed = new Float32Array((await bytesOf(tensor)).buffer);
    let wrong = 0;
    for (let c = 0; c < columns; c++) for (let r = 0; r < rows; r++) if (transposed[c * rows + r] !== r * columns + c) wrong++;
    expect(wrong).toBe(0);
  });
  it('gathers a slice of a large storage in blocks, reading no more than the slice spans', async () => {
    const reads: number[] = [];
    const source: ByteSource = { name: 'big', size: 2 ** 34, async read(_offset, length) { reads.push(length); return new Uint8Array(length); } };
    const slice: TensorInfo = { name: 'x', dtype: dtype('F32'), shape: [4096, 16], strides: [65536, 1], location: { source, offset: 0, length: 2 ** 30 } };
    let byteCount = 0;
    for await (const chunk of contiguousChunks(slice)) byteCount += chunk.length;
    expect(byteCount).toBe(4096 * 16 * 4);
    expect(Math.max(...reads)).toBeLessThanOrEqual(2 ** 24);
  });
  it('refuses strides of a packed type, strides of another shape, and chunks smaller than an element', async () => {
    const location = { source: memorySource(new Uint8Array(64)), offset: 0, length: 64 };
    const wrong: TensorInfo[] = [
      { name: 'packed', dtype: dtype('Q4_0'), shape: [2, 32], strides: [1, 2], location },
      { name: 'short', dtype: dtype('F32'), shape: [2, 2], strides: [1], location },
    ];
    for (const tensor of wrong) await expect(bytesOf(tensor)).rejects.toThrow(RangeError);
    await expect(bytesOf({ name: 'plain', dtype: dtype('F32'), shape: [2], location }, 3)).rejects.toThrow(RangeError);
  });
});

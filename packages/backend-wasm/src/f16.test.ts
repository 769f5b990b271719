import { describe, expect, it } from 'vitest';
import { dtype, type Program, type WeightHandle } from '@weightspec/core';
import { openBackend } from './index.js';
import { relaxedChoices } from './testing/relaxed.js';

/** IEEE 754 binary16, by its definition. */
function valueOf(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = (bits % 1024) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return exponent === 0 ? sign * 2 ** -14 * fraction : sign * 2 ** (exponent - 15) * (1 + fraction);
}

function handleOf(name: string, storage: string, shape: readonly number[], bytes: Uint8Array): [string, WeightHandle] {
  const source = { name, size: bytes.length, read: async (offset: number, length: number) => bytes.slice(offset, offset + length) };
  return [name, { name, shape, storage, parts: { values: { name, dtype: dtype(storage), shape, location: { source, offset: 0, length: bytes.length } } } }];
}

describe.each(relaxedChoices)('relaxed SIMD: %s', (relaxedSimd) => {
  // Of 16 columns all are multiplied eight at a time, of 9 one alone, and of 7 each.
  it.each([16, 9, 7])('every f16 is multiplied exactly, in rows of %i', async (columns) => {
    const rows = Math.ceil(65_536 / columns);
    const codes = Uint16Array.from({ length: rows * columns }, (_, i) => i % 65_536);
    // Token t is 1 in column t and 0 elsewhere: only zeros, infinities and NaN of other columns could be seen in its results.
    const unit = new Float32Array(rows * columns);
    for (let t = 0; t < columns; t += 1) unit[t * columns + t] = 1;
    const program: Program = {
      architecture: 'matmul alone', vocabSize: rows, maxSeqLen: columns, layers: 0, kvWidth: 1,
      buffers: [{ name: 'x', width: columns }, { name: 'y', width: rows }],
      weights: ['x', 'w'].map((name) => ({ name, shape: [rows, columns] })),
      ops: [{ op: 'embed', weight: 'x', out: 'x' }, { op: 'matmul', x: 'x', weight: 'w', out: 'y' }],
      logits: 'y',
    };
    const weights = new Map([handleOf('x', 'F32', [rows, columns], new Uint8Array(unit.buffer)), handleOf('w', 'F16', [rows, columns], new Uint8Array(codes.buffer))]);
    const executable = await (await openBackend({ threads: 1, relaxedSimd })).compile(program, weights);
    const results = await executable.run(Array.from({ length: columns }, (_, t) => t), 0, { all: true });
    const wrong: unknown[] = [];
    for (let t = 0; t < columns; t += 1) {
      for (let row = 0; row < rows; row += 1) {
        let expected = 0;
        for (let c = 0; c < columns; c += 1) expected += valueOf(codes[row * columns + c]!) * (c === t ? 1 : 0);
        if (!Object.is(results[t * rows + row]! + 0, expected)) wrong.push({ row, t, expected, result: results[t * rows + row] });
      }
    }
    expect(wrong).toEqual([]);
  });
});

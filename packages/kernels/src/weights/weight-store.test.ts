import { describe, expect, it } from 'vitest';
import { byteLength, dtype, elementCount, type ByteSource, type Program, type WeightHandle } from '@weightspec/core';
import { openWeightStore, referenceBackend } from '../index.js';

/** A source of any size without its bytes: byte i of each f32 spells ±1 by the element's row. Remembers what was read. */
function endlessSource(size: number) {
  const reads: number[] = [];
  const source: ByteSource = {
    name: 'endless',
    size,
    read: (offset, length) => {
      if (offset < 0 || offset + length > size) return Promise.reject(new RangeError(`[${offset}, ${offset + length}) of ${size}`));
      reads.push(length);
      const bytes = new Uint8Array(length);
      const one = new Uint8Array(Float32Array.of(1).buffer);
      for (let i = 0; i < length; i += 1) bytes[i] = one[(offset + i) % 4] ?? 0;
      return Promise.resolve(bytes);
    },
  };
  return { source, reads };
}

function handle(source: ByteSource, name: string, shape: readonly number[], offset = 0): WeightHandle {
  const type = dtype('F32');
  return { name, shape, storage: 'F32', parts: { values: { name, dtype: type, shape, location: { source, offset, length: byteLength(type, elementCount(shape)) } } } };
}

/** embed → rmsnorm → matmul */
function smallProgram(vocabSize: number, width: number): Program {
  return {
    architecture: 'test', vocabSize, maxSeqLen: 8, layers: 0, kvWidth: 1,
    buffers: [{ name: 'x', width }, { name: 'y', width: vocabSize }],
    weights: [{ name: 'table', shape: [vocabSize, width] }, { name: 'norm', shape: [width] }, { name: 'out', shape: [vocabSize, width] }],
    ops: [
      { op: 'embed', weight: 'table', out: 'x' },
      { op: 'rmsnorm', x: 'x', weight: 'norm', eps: 0, out: 'x' },
      { op: 'matmul', x: 'x', weight: 'out', out: 'y' },
    ],
    logits: 'y',
  };
}
const weightsOn = (source: ByteSource, program: Program): Map<string, WeightHandle> =>
  new Map(program.weights.map(({ name, shape }) => [name, handle(source, name, shape)]));

describe('weight store', () => {
  const program = smallProgram(16, 4);
  const { source } = endlessSource(2 ** 10);

  it('keeps vectors always and matrices in the program’s order as far as the budget goes', async () => {
    const at = async (budgetBytes: number) => {
      const { residentBytes, streamedBytes } = await openWeightStore(program, weightsOn(source, program), budgetBytes);
      return [residentBytes, streamedBytes];
    };
    expect(await at(0)).toEqual([16, 512]);
    expect(await at(16 + 256 - 1)).toEqual([16, 512]);
    expect(await at(16 + 256)).toEqual([272, 256]);
    expect(await at(16 + 512)).toEqual([528, 0]);
  });
  it('names every missing weight (WEIGHT_MISSING)', async () => {
    const weights = weightsOn(source, program);
    weights.delete('norm');
    weights.delete('out');
    await expect(openWeightStore(program, weights)).rejects.toThrow(/^WEIGHT_MISSING: .*norm, out/);
  });
  it('refuses another shape, too few bytes, strides and a group size of 0 (WEIGHT_INVALID)', async () => {
    const good = handle(source, 'out', [16, 4]);
    const values = good.parts.values;
    if (!values) throw new Error('no part');
    const bad: readonly WeightHandle[] = [
      handle(source, 'out', [4, 16]),
      { ...good, parts: { values: { ...values, location: { ...values.location, length: 255 } } } },
      { ...good, parts: { values: { ...values, strides: [1, 16] } } },
      { ...good, parts: {} },
      { ...good, storage: 'llama2c-q8', groupSize: 0, parts: { values, scales: values } },
    ];
    for (const wrong of bad) await expect(openWeightStore(program, weightsOn(source, program).set('out', wrong))).rejects.toThrow(/^WEIGHT_INVALID: /);
  });
  it('names a storage that it cannot read (STORAGE_UNSUPPORTED)', async () => {
    const weights = weightsOn(source, program).set('out', { ...handle(source, 'out', [16, 4]), storage: 'Q3_K' });
    await expect(openWeightStore(program, weights)).rejects.toThrow(/^STORAGE_UNSUPPORTED: weight out is stored as Q3_K/);
  });
});

describe('a matrix larger than memory', () => {
  it('is read in bounded chunks, of which only one is held', async () => {
    const [vocabSize, width] = [40_000, 256];
    const huge = endlessSource(2 ** 36);
    const program = smallProgram(vocabSize, width);
    const weights = new Map(program.weights.map(({ name, shape }, i) => [name, handle(huge.source, name, shape, i * 2 ** 35 - (i === 2 ? 2 ** 26 : 0))]));
    const executable = await referenceBackend.compile(program, weights, { memoryBudgetBytes: 2 ** 20 });
    expect(Math.max(...huge.reads)).toBe(4 * width);
    const logits = await executable.run([39_999, 7], 0);
    expect(Math.max(...huge.reads)).toBeLessThanOrEqual(2 ** 22);
    // Embedding: one row a token. Classifier: every row once.
    expect(huge.reads.reduce((a, b) => a + b)).toBe(4 * width + 2 * 4 * width + 4 * width * vocabSize);
    expect(logits.length).toBe(vocabSize);
    expect(logits.every((logit) => logit === width)).toBe(true);
  });
});

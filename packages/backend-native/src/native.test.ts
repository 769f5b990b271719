/** What the contract suite does not ask of a backend: files, threads, several models, and int8 groups of all sizes. */
import { appendFileSync, existsSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { dtype, type Program, type WeightHandle } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { fileSource } from '@weightspec/io/node';
import { referenceBackend } from '@weightspec/kernels';
import { instructionSets, openBackend } from './index.js';

const built = existsSync(new URL('../dist/weightspec.node', import.meta.url));
const instructions = built ? instructionSets() : [];
const isas = instructions.includes('avx512') ? [...instructions, 'amx-emulated'] : instructions;
const folder = mkdtempSync(join(tmpdir(), 'weightspec-native-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Numbers that are the same on every run, in [0, 1). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** logits = weight · table[token]: [rows, columns] in any storage. */
function multiplication(weight: WeightHandle, table: WeightHandle): { program: Program; weights: Map<string, WeightHandle> } {
  const [rows, columns] = weight.shape as [number, number];
  const program: Program = {
    architecture: 'matmul', vocabSize: rows, maxSeqLen: 64, layers: 1, kvWidth: 1,
    buffers: [{ name: 'x', width: columns }, { name: 'y', width: rows }],
    weights: [{ name: 'table', shape: [rows, columns] }, { name: 'weight', shape: [rows, columns] }],
    ops: [{ op: 'embed', weight: 'table', out: 'x' }, { op: 'matmul', x: 'x', weight: 'weight', out: 'y' }],
    logits: 'y',
  };
  return { program, weights: new Map([['table', table], ['weight', weight]]) };
}

function floats(name: string, shape: readonly [number, number], seed: number): WeightHandle {
  const random = randomNumbers(seed);
  const bytes = new Uint8Array(Float32Array.from({ length: shape[0] * shape[1] }, () => 2 * random() - 1).buffer);
  return { name, shape, storage: 'F32', parts: { values: { name, dtype: dtype('F32'), shape, location: { source: memorySource(bytes), offset: 0, length: bytes.length } } } };
}

/** Random codes; halves, which the block types begin with, are made numbers near 2^−4. */
function blocks(storage: string, shape: readonly [number, number], seed: number): WeightHandle {
  const random = randomNumbers(seed);
  const { bytesPerBlock } = dtype(storage);
  const bytes = Uint8Array.from({ length: (shape[0] * shape[1]) / 32 * bytesPerBlock }, () => 256 * random());
  for (let at = 0; at < bytes.length; at += bytesPerBlock) bytes[at + 1] = 0x2c;
  if (storage.endsWith('_1')) for (let at = 0; at < bytes.length; at += bytesPerBlock) bytes[at + 3] = 0x2c;
  return { name: 'weight', shape, storage, parts: { values: { name: 'weight', dtype: dtype(storage), shape, location: { source: memorySource(bytes), offset: 0, length: bytes.length } } } };
}

function groups(shape: readonly [number, number], groupSize: number, seed: number): WeightHandle {
  const random = randomNumbers(seed);
  const values = Uint8Array.from({ length: shape[0] * shape[1] }, () => 256 * random());
  const scales = new Uint8Array(Float32Array.from({ length: values.length / groupSize }, () => random() / 64).buffer);
  const part = (name: string, type: string, bytes: Uint8Array, partShape: readonly number[]) => ({ name, dtype: dtype(type), shape: partShape, location: { source: memorySource(bytes), offset: 0, length: bytes.length } });
  return { name: 'weight', shape, storage: 'llama2c-q8', groupSize, parts: { values: part('weight', 'I8', values, shape), scales: part('scales', 'F32', scales, [scales.length / 4]) } };
}

const tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

describe.skipIf(!built).each(isas.flatMap((isa) => [{ isa, repackBudgetBytes: 0 }, { isa, repackBudgetBytes: 2 ** 20 }]))('$isa, $repackBudgetBytes bytes to repack', ({ isa, repackBudgetBytes }) => {
  /** A sum of n terms each off by at most half a step of its block's scale, 1/254 of the largest activation, which is below 1. */
  const isClose = (actual: Float32Array, expected: Float32Array, bound: number): void => {
    expect(actual.length).toBe(expected.length);
    expect(actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0)).toBeLessThan(bound);
  };
  it.each([
    [[48, 32], 32], [[48, 96], 32], [[48, 96], 96], [[17, 192], 64], [[48, 256], 128], [[48, 256], 256],
  ] as const)('multiplies int8 groups: [%j] in groups of %i', async (shape, groupSize) => {
    const { program, weights } = multiplication(groups(shape, groupSize, 7), floats('table', shape, 8));
    const backend = await openBackend({ isa, threads: 2, repackBudgetBytes, activations: 'int8' });
    const [ours, exact] = await Promise.all([backend, referenceBackend].map(async (each) => (await each.compile(program, weights)).run(tokens, 0, { all: true })));
    // |weight| ≤ 128/64 = 2; rounding errors of activations average out, so that n · 2 / 254 is never nearly reached.
    isClose(ours!, exact!, (shape[1] * 2) / 254);
    expect(ours).not.toEqual(exact);
    const alone = await (await backend.compile(program, weights)).run([tokens.at(-1)!], 0);
    isClose(alone, exact!.slice(-shape[0]), (shape[1] * 2) / 254);
  });
  it.each(['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'].map((storage) => [storage]))('%s: the same bits with 1, 2 and 5 threads, and in every run', async (storage) => {
    const shape = [176, 288] as const;
    const weight = storage.startsWith('Q') ? blocks(storage, shape, 11) : { ...floats('weight', shape, 11), storage };
    if (!storage.startsWith('Q') && storage !== 'F32') {
      // Exponent bits of moderate numbers in every second byte, and anything else.
      const random = randomNumbers(13);
      const bytes = Uint8Array.from({ length: 2 * shape[0] * shape[1] }, (_, i) => (i % 2 === 0 ? 256 * random() : 0x2c + 2 * random()));
      Object.assign(weight, { parts: { values: { name: 'weight', dtype: dtype(storage), shape, location: { source: memorySource(bytes), offset: 0, length: bytes.length } } } });
    }
    const { program, weights } = multiplication(weight, floats('table', shape, 12));
    const results: Float32Array[] = [];
    const firstRuns: Float32Array[] = [];
    for (const threads of [1, 2, 5]) {
      const backend = await openBackend({ isa, threads, repackBudgetBytes, activations: 'int8' });
      const executable = await backend.compile(program, weights);
      // Copies of weights are made from the second run on: a new model has none.
      firstRuns.push(await (await backend.compile(program, weights)).run([7], 0));
      for (let i = 0; i < 3; i += 1) results.push(await executable.run(tokens, 0, { all: true }), await executable.run([7], 0));
    }
    for (const [i, result] of results.entries()) expect(result).toEqual(results[i % 2]);
    for (const result of firstRuns) expect(result).toEqual(results[1]);
    expect(results[0]!.every(Number.isFinite)).toBe(true);
    expect(new Set(results[0]).size).toBeGreaterThan(shape[0]);
  });
  it('runs several models of one backend at once', async () => {
    const shape = [192, 256] as const;
    const backend = await openBackend({ isa, threads: 2, repackBudgetBytes, activations: 'int8' });
    const executables = await Promise.all([1, 2, 3].map(async (seed) => {
      const { program, weights } = multiplication(blocks('Q8_0', shape, seed), floats('table', shape, seed));
      return backend.compile(program, weights);
    }));
    const alone: Float32Array[] = [];
    for (const executable of executables) alone.push(await executable.run(tokens, 0, { all: true }));
    for (let i = 0; i < 10; i += 1) {
      expect(await Promise.all(executables.map((executable) => executable.run(tokens, 0, { all: true })))).toEqual(alone);
    }
  });
});

describe.skipIf(!built)('weights in files', () => {
  const shape = [64, 64] as const;
  async function onDisk(name: string) {
    const inMemory = multiplication(floats('weight', shape, 3), floats('table', shape, 4));
    const path = join(folder, name);
    const parts = await Promise.all([...inMemory.weights.values()].map(({ parts: { values } }) => values!.location.source.read(0, values!.location.length)));
    // An odd offset: nothing in a file promises alignment.
    writeFileSync(path, Buffer.concat([Buffer.alloc(13), ...parts]));
    const source = await fileSource(path);
    let offset = 13;
    const weights = new Map([...inMemory.weights].map(([key, handle]) => {
      const { length } = handle.parts.values!.location;
      const moved = { ...handle, parts: { values: { ...handle.parts.values!, location: { source, offset, length } } } };
      offset += length;
      return [key, moved] as const;
    }));
    return { path, source, program: inMemory.program, weights, inMemory };
  }

  it('gives what copies in memory give, and takes none of the budget', async () => {
    const { source, program, weights, inMemory } = await onDisk('plain.bin');
    const backend = await openBackend({ threads: 2 });
    const mapped = await backend.compile(program, weights, { memoryBudgetBytes: 0 });
    const copied = await backend.compile(program, inMemory.weights);
    expect(await mapped.run(tokens, 0, { all: true })).toEqual(await copied.run(tokens, 0, { all: true }));
    await mapped.dispose();
    await source.close();
  });
  it('refuses copies beyond the budget (BACKEND_FAILED)', async () => {
    const { program, weights } = multiplication(floats('weight', shape, 3), floats('table', shape, 4));
    const backend = await openBackend({ threads: 1 });
    await expect(backend.compile(program, weights, { memoryBudgetBytes: 2 * 64 * 64 * 4 - 1 })).rejects.toThrow(/^BACKEND_FAILED: 32768 bytes of weights are in no file/);
    await backend.compile(program, weights, { memoryBudgetBytes: 2 * 64 * 64 * 4 });
  });
  it.each<readonly [string, (path: string) => void]>([
    ['cut short', (path) => truncateSync(path, 100)],
    ['grown', (path) => appendFileSync(path, 'x')],
    ['replaced', (path) => {
      writeFileSync(`${path}.new`, Buffer.alloc(13 + 2 * 64 * 64 * 4));
      renameSync(`${path}.new`, path);
    }],
    ['removed', (path) => rmSync(path)],
  ])('says so before a run when the file was %s (BACKEND_FAILED)', async (name, change) => {
    const { path, source, program, weights } = await onDisk(`${name}.bin`);
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
    await executable.run(tokens, 0);
    change(path);
    await expect(executable.run(tokens, 0)).rejects.toThrow(/^BACKEND_FAILED: .*changed, cut short or replaced/);
    await executable.dispose();
    await source.close();
  });
  it('refuses a weight that ends beyond its file (WEIGHT_INVALID)', async () => {
    const { source, program, weights } = await onDisk('short.bin');
    const handle = weights.get('table')!;
    const far = { ...handle, parts: { values: { ...handle.parts.values!, location: { ...handle.parts.values!.location, offset: 13 + 64 * 64 * 4 + 1 } } } };
    await expect((await openBackend({ threads: 1 })).compile(program, new Map([...weights, ['table', far]]))).rejects.toThrow(/^WEIGHT_INVALID: /);
    await source.close();
  });
});

describe.skipIf(!built)('the likeliest token', () => {
  /** Logits of a token are its row of the table. */
  function rowsAsLogits(rows: readonly (readonly number[])[]): { program: Program; weights: Map<string, WeightHandle> } {
    const shape = [rows.length, rows.length] as const;
    const bytes = new Uint8Array(Float32Array.from(rows.flat()).buffer);
    const table: WeightHandle = { ...floats('table', shape, 1), parts: { values: { name: 'table', dtype: dtype('F32'), shape, location: { source: memorySource(bytes), offset: 0, length: bytes.length } } } };
    return { weights: new Map([['table', table]]), program: { architecture: 'table', vocabSize: rows.length, maxSeqLen: 8, layers: 1, kvWidth: 1, buffers: [{ name: 'y', width: rows.length }], weights: [{ name: 'table', shape }], ops: [{ op: 'embed', weight: 'table', out: 'y' }], logits: 'y' } };
  }
  async function ids(choosing: AsyncIterable<number>): Promise<number[]> {
    const chosen: number[] = [];
    for await (const id of choosing) chosen.push(id);
    return chosen;
  }
  const { NaN: nan, NEGATIVE_INFINITY: none } = Number;

  it('is the first of the largest, never NaN, and follows itself; −1 where there is none, which ends it', async () => {
    const { program, weights } = rowsAsLogits([[-3, -1, -1, -2], [nan, 1, 2, 2], [5, nan, nan, 7], [nan, none, none, nan]]);
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
    expect(await ids(executable.greedy!([3, 0], 0, 3))).toEqual([1, 2, 3]);
    expect(await ids(executable.greedy!([0], 1, 6))).toEqual([1, 2, 3, -1]);
    await executable.dispose();
  });
  it('throws a RangeError at the end of the context, and the signal’s reason between tokens', async () => {
    const { program, weights } = rowsAsLogits([[0, 1], [1, 0]]);
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
    await expect(ids(executable.greedy!([0], 0, 9))).rejects.toThrow(RangeError);
    const controller = new AbortController();
    const reason = new Error('enough');
    const choosing = executable.greedy!([0], 0, 8, { signal: controller.signal });
    expect((await choosing.next()).value).toBe(1);
    controller.abort(reason);
    await expect(choosing.next()).rejects.toBe(reason);
    expect(await executable.run([1], 1)).toEqual(Float32Array.of(1, 0));
    await executable.dispose();
  });
});

describe.skipIf(!built)('openBackend', () => {
  it('names the instruction sets there are when asked for another (BACKEND_UNAVAILABLE)', async () => {
    await expect(openBackend({ isa: 'mmx' })).rejects.toThrow(`BACKEND_UNAVAILABLE: there is no instruction set mmx here; there are ${isas.join(', ')}`);
    expect((await openBackend({ isa: 'scalar' })).isa).toBe('scalar');
  });
  it('refuses threads that are not a count', async () => {
    for (const threads of [0, 1.5, 1025]) await expect(openBackend({ threads })).rejects.toThrow(RangeError);
  });
  it.each([[1024, 'f32'], [5120, 'int8']] as const)('rounds activations to int8 by itself only from 8 MiB of weights on: %i rows of 3072 in q4_0 are multiplied with %s', async (rows, taken) => {
    const shape = [rows, 3072] as const;
    const { program, weights } = multiplication(blocks('Q4_0', shape, 21), floats('table', shape, 22));
    const [itself, f32, int8] = await Promise.all([undefined, 'f32', 'int8'].map(async (activations) => {
      const executable = await (await openBackend({ threads: 2, activations: activations as 'f32' | 'int8' | undefined })).compile(program, weights);
      return executable.run([3], 0);
    }));
    expect(f32).not.toEqual(int8);
    expect(itself).toEqual(taken === 'f32' ? f32 : int8);
  });
  it('stops in the middle of a run when its signal is aborted, and can go on', async () => {
    const shape = [2048, 2048] as const;
    const { program, weights } = multiplication(floats('weight', shape, 5), floats('table', shape, 6));
    const ops = Array.from({ length: 400 }, () => program.ops).flat();
    const executable = await (await openBackend({ isa: 'scalar', threads: 2 })).compile({ ...program, ops }, weights);
    const controller = new AbortController();
    const reason = new Error('enough');
    const started = performance.now();
    const running = executable.run([1], 0, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 30);
    await expect(running).rejects.toBe(reason);
    const elapsed = performance.now() - started;
    const logits = await executable.run([1], 0);
    expect(logits).toHaveLength(2048);
    expect(performance.now() - started - elapsed).toBeGreaterThan(elapsed);
  });
});

/**
 * The WebGPU backend on whatever adapter there is, SwiftShader where no other is asked for: the contract, twice; ops done together, in
 * every storage; the choice of the likeliest token; and a process that ends.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import type { WebGpuBackend } from '@weightspec/backend-webgpu';
import { roundActivations } from '@weightspec/codecs';
import { dtype, type Program, type TensorInfo, type WeightHandle, type WeightMap } from '@weightspec/core';
import { greedySampler } from '@weightspec/engine';
import { referenceBackend } from '@weightspec/kernels';
import { backendContract } from '@weightspec/kernels/contract';
import { smallCase } from '../../packages/backend-wasm/src/testing/small.js';
import { workspaceRoot } from './packed-project.js';
import { webGpuOr } from './swiftshader.js';

const MODEL = 'fixtures/golden/recite/model.bin';

/** As on a card, and in the other form of every kernel that has two: no subgroups, few invocations, matrices cut to 8 KiB. */
const whole = await webGpuOr({ invocations: 64 });
const cut = await webGpuOr({ invocations: 4, subgroups: false, maxBufferBytes: 8192 });

describe.skipIf(typeof whole === 'string').each([['workgroups of 64', whole], ['buffers of 8 KiB, no subgroups', cut]] as const)('%s', (_, backend) => {
  if (typeof backend === 'string') return;
  afterAll(() => backend.close());
  backendContract({ describe, it, expect }, backend);
});

/** In so little of the contract's decoder neither gate and up nor the whole of either fit: norms are done with each range of each, swiglu alone. */
const smallest = await webGpuOr({ maxBufferBytes: 512 });

describe.skipIf(typeof smallest === 'string')('buffers of 512 bytes', () => {
  if (typeof smallest === 'string') return;
  afterAll(() => smallest.close());
  const tests: (readonly [name: string, body: () => Promise<void>])[] = [];
  backendContract({ describe: (suite, body) => (suite.endsWith(': a whole decoder') ? body() : undefined), it: (name, body) => tests.push([name, body]), expect }, smallest);
  // A trace has all tokens in one batch, for which this is too small.
  it.each(tests.filter(([name]) => !name.includes('trace')))('%s', async (_, body) => {
    expect(await body()).toBeUndefined();
  });
});

const inMemory = (name: string, type: string, shape: readonly number[], bytes: Uint8Array): TensorInfo => {
  const source = { name, size: bytes.length, read: async (offset: number, length: number) => bytes.slice(offset, offset + length) };
  return { name, dtype: dtype(type), shape, location: { source, offset: 0, length: bytes.length } };
};
const f32 = (name: string, shape: readonly number[], values: Float32Array): WeightHandle => ({ name, shape, storage: 'F32', parts: { values: inMemory(name, 'F32', shape, new Uint8Array(values.buffer)) } });

/** out = W[token]: one embedding of two rows, [1, 2] and [3, 4]. */
function oneEmbedding(): { program: Program; weights: WeightMap } {
  const program: Program = {
    architecture: 'one embedding', vocabSize: 2, maxSeqLen: 8, layers: 0, kvWidth: 1, buffers: [{ name: 'y', width: 2 }], weights: [{ name: 'W', shape: [2, 2] }], ops: [{ op: 'embed', weight: 'W', out: 'y' }], logits: 'y',
  };
  return { program, weights: new Map([['W', f32('W', [2, 2], Float32Array.of(1, 2, 3, 4))]]) };
}

/** Positions around 256, where attention starts to be cut into ranges and the cache grows. */
const PROMPT_TOKENS = 250;
const END_POSITION = 258;
const longShape = { dim: 64, hidden: 96, vocab: 70, heads: 4, layers: 2, positions: 320 };
const longTokens = Array.from({ length: END_POSITION }, (_, i) => (17 * i + (i % 5)) % longShape.vocab);
/** As in the contract's decoder: 8 · ops · (widest sum + 16) · 2^−24 of the largest logit. */
const relativeBound = 8 * 33 * (longShape.hidden + 16) * 2 ** -24;

describe.skipIf(typeof whole === 'string').each([['subgroups', { invocations: 16 }], ['no subgroups', { invocations: 4, subgroups: false }]] as const)('ops done together, %s', (_, options) => {
  it.each(['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'llama2c-q8', 'lmdeploy-int8'])('compute from %s what they compute one by one, and what the reference backend does', async (storage) => {
    const backend = (await webGpuOr(options)) as WebGpuBackend;
    const { program, weights } = smallCase(storage, longShape);
    const executables = [await backend.compile(program, weights), await referenceBackend.compile(program, weights)] as const;
    const prompt = longTokens.slice(0, PROMPT_TOKENS);
    const agree = (actual: Float32Array, expected: Float32Array): void => {
      const bound = relativeBound * Math.max(...expected.map(Math.abs));
      expect(actual.findIndex((value, i) => !(Math.abs(value - expected[i]!) <= bound))).toBe(-1);
      expect(expected.some((value) => value !== 0)).toBe(true);
    };
    const [together, reference] = executables;
    // LMDeploy rounds activations to int8: a code next to a tie, and there are many, falls to either side.
    const comparable = storage !== 'lmdeploy-int8';
    const [logits, expected] = [await together.run(prompt, 0), await reference.run(prompt, 0)];
    if (comparable) agree(logits, expected);
    for (let position = PROMPT_TOKENS; position < END_POSITION; position += 1) {
      const token = [longTokens[position]!];
      const next = await together.run(token, position);
      if (comparable) agree(next, await reference.run(token, position));
      if (!comparable || position === 256) agree(next, await together.run(token, position, { trace: () => undefined }));
    }
    backend.close();
  });
});

describe.skipIf(typeof whole === 'string')('ops done together that no model here has', () => {
  it('are two products with one bias, a sum in a third buffer, and a gate after up with biases', async () => {
    const backend = (await webGpuOr({ invocations: 16 })) as WebGpuBackend;
    const weights = new Map<string, WeightHandle>();
    const weight = (name: string, ...shape: number[]): string => {
      weights.set(name, f32(name, shape, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(weights.size + i * i))));
      return name;
    };
    const widths = { x: 12, a: 12, b: 16, c: 16, d: 16, up: 20, gate: 20, y: 20 };
    const program: Program = {
      architecture: 'none', vocabSize: 20, maxSeqLen: 4, layers: 0, kvWidth: 1, logits: 'y', buffers: Object.entries(widths).map(([name, width]) => ({ name, width })),
      ops: [
        { op: 'embed', weight: weight('E', 20, 12), out: 'x' },
        { op: 'matmul', x: 'x', weight: weight('A', 12, 12), out: 'a' },
        { op: 'matmul', x: 'x', weight: weight('B', 16, 12), bias: weight('b', 16), out: 'b' },
        { op: 'matmul', x: 'a', weight: weight('C', 16, 12), bias: weight('c', 16), out: 'c' },
        { op: 'add', a: 'b', b: 'c', out: 'd' },
        { op: 'matmul', x: 'd', weight: weight('U', 20, 16), bias: weight('u', 20), out: 'up' },
        { op: 'matmul', x: 'd', weight: weight('G', 20, 16), bias: weight('g', 20), out: 'gate' },
        { op: 'swiglu', gate: 'gate', up: 'up', out: 'y' },
      ],
      weights: Array.from(weights, ([name, { shape }]) => ({ name, shape })),
    };
    const executable = await backend.compile(program, weights);
    const reference = await referenceBackend.compile(program, weights);
    for (const tokens of [[3], [3, 19, 0]]) {
      const expected = await reference.run(tokens, 0, { all: true });
      const actual = await executable.run(tokens, 0, { all: true });
      const bound = 8 * program.ops.length * (20 + 16) * 2 ** -24 * Math.max(...expected.map(Math.abs));
      expect(actual.findIndex((value, i) => !(Math.abs(value - expected[i]!) <= bound))).toBe(-1);
      expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1);
    }
    backend.close();
  });
});

describe.skipIf(typeof whole === 'string')('the likeliest token', () => {
  const ids = async (generated: AsyncIterable<number>): Promise<number[]> => {
    const all: number[] = [];
    for await (const id of generated) all.push(id);
    return all;
  };
  /** Logits of token t are row t, bit for bit. */
  function rowsAsLogits(vocabSize: number, rows: readonly (readonly (readonly [id: number, value: number])[])[], others: number) {
    const table = new Float32Array(vocabSize * vocabSize);
    table.fill(others, 0, rows.length * vocabSize);
    rows.forEach((row, token) => row.forEach(([id, value]) => (table[token * vocabSize + id] = value)));
    const { program } = oneEmbedding();
    const weights = [{ name: 'W', shape: [vocabSize, vocabSize] }];
    return { table, program: { ...program, vocabSize, weights, buffers: [{ name: 'y', width: vocabSize }] }, weights: new Map([['W', f32('W', [vocabSize, vocabSize], table)]]) };
  }
  const [nan, infinity] = [Number.NaN, Number.POSITIVE_INFINITY];

  it.each([[40, 'one workgroup'], [2048, 'one workgroup, full'], [2049, 'two'], [4200, 'three']])('of %i logits (%s) is the one that a greedy sampler takes: the first of equals, and never NaN', async (vocabSize) => {
    const backend = (await webGpuOr()) as WebGpuBackend;
    const last = vocabSize - 1;
    const rows = [
      [[last, 2], [7, 1]], [[last, 2], [7, 2], [9, 2]], [[0, nan], [5, 1], [6, nan]], [[3, infinity], [last, infinity], [0, 3e38]], [[2, -infinity], [last, 1e-45]], [[8, 1e-38], [last, 1.1e-38]],
    ] as const;
    for (const others of [0, -0, -1, -infinity, nan]) {
      const { table, program, weights } = rowsAsLogits(vocabSize, rows, others);
      const executable = await backend.compile(program, weights);
      for (const token of rows.keys()) {
        const expected = greedySampler().sample(table.subarray(token * vocabSize, (token + 1) * vocabSize));
        expect([token, others, ...(await ids(executable.greedy!([1, token], 0, 1)))]).toEqual([token, others, expected]);
      }
      await executable.dispose();
    }
    backend.close();
  });
  it('is −1 where nothing is a number above −∞, and ends it; −0 is no less than 0', async () => {
    const backend = (await webGpuOr()) as WebGpuBackend;
    for (const [others, expected] of [[nan, [-1]], [-infinity, [-1]], [-0, [0, 0, 0]]] as const) {
      const { program, weights } = rowsAsLogits(40, [[[4, others === 0 ? 0 : -infinity]]], others);
      const executable = await backend.compile(program, weights);
      expect(await ids(executable.greedy!([0], 0, 3))).toEqual(expected);
      // What was run ahead of a −1 was no token: its position is yet to be filled.
      await expect(executable.run([0], expected.length + 1)).rejects.toThrow(/leaves a gap/);
      await executable.run([0], expected.length);
    }
    backend.close();
  });
  it('follows the one before on the device, past a longer prompt than a batch and past position 256', async () => {
    const backend = (await webGpuOr({ maxBufferBytes: 320 * 64 * 4 })) as WebGpuBackend;
    const { program, weights } = smallCase('Q8_0', longShape);
    const executable = await backend.compile(program, weights);
    const prompt = longTokens.slice(0, PROMPT_TOKENS);
    const expected: number[] = [];
    let logits = await executable.run(prompt, 0);
    for (let position = PROMPT_TOKENS; position < PROMPT_TOKENS + 12; position += 1) {
      const id = greedySampler().sample(logits);
      expected.push(id);
      logits = await executable.run([id], position);
    }
    expect(await ids(executable.greedy!(prompt, 0, 12))).toEqual(expected);
    // And goes on where another run, or one cut short, has left off.
    for await (const id of executable.greedy!(prompt.slice(-1), PROMPT_TOKENS - 1, 12)) {
      expect(id).toBe(expected[0]);
      await expect(executable.run([1], 0)).rejects.toThrow(/already running/);
      break;
    }
    expect(await ids(executable.greedy!(expected.slice(0, 1), PROMPT_TOKENS, 5))).toEqual(expected.slice(1, 6));
    backend.close();
  });
  it('is refused beyond the context, stops when aborted or disposed of, and says that the device was lost', async () => {
    const backend = (await webGpuOr()) as WebGpuBackend;
    const { program, weights } = smallCase('F32');
    const executable = await backend.compile(program, weights);
    await ids(executable.greedy!([1], 0, program.maxSeqLen));
    for (const [tokens, position, count] of [[[1], 0, program.maxSeqLen + 1], [[1], 0, 0], [[1], 0, 1.5], [[-1], 0, 1], [[], 0, 1], [[1], program.maxSeqLen, 1]] as const) {
      await expect(ids(executable.greedy!(tokens, position, count))).rejects.toThrow(RangeError);
    }
    const controller = new AbortController();
    const reason = new Error('enough');
    const aborted = (async () => {
      for await (const _ of executable.greedy!([1], 0, 9, { signal: controller.signal })) controller.abort(reason);
    })();
    await expect(aborted).rejects.toBe(reason);
    const disposed = (async () => {
      for await (const _ of executable.greedy!([1], 0, 9)) await executable.dispose();
    })();
    await expect(disposed).rejects.toThrow(/disposed/);
    const other = await backend.compile(program, weights);
    const lost = (async () => {
      for await (const _ of other.greedy!([1], 0, 9)) backend.close();
    })();
    await expect(lost).rejects.toThrow(/BACKEND_FAILED: .*lost/);
  });
});

describe.skipIf(typeof whole === 'string')('activations of lmdeploy-int8', () => {
  const WIDTH = 64;
  const row = (values: (i: number) => number): Float32Array => Float32Array.from({ length: WIDTH }, (_, i) => values(i));
  /** Next to each tie q + 1/2: on it, and one f32 below it. The scale of such a row is 1, because its largest is 127. */
  const ties = row((i) => [127, 0.5, 0.49999997, 1.5, 1.4999999, -0.5, -2.5, -2.4999998, 126.5, 126.49999, 0, 1e-20][i] ?? (i % 2 === 0 ? 1 : -1) * (i + 0.5));
  const rows = [ties, row((i) => ties[i]! * 2 ** -20), row((i) => 3 * ties[i]!), row(() => 0), ...[1, 2, 3, 4].map((seed) => row((i) => Math.sin(seed * 1000 + i * i) * 10 ** (seed - 2)))];

  it('are rounded as LMDeploy rounds them, next to ties too', async () => {
    const backend = (await webGpuOr({ invocations: 64 })) as WebGpuBackend;
    const identity = Uint8Array.from({ length: WIDTH * WIDTH }, (_, i) => Number(i % (WIDTH + 1) === 0));
    const table = new Float32Array(WIDTH * WIDTH);
    rows.forEach((values, r) => table.set(values, r * WIDTH));
    const parts = { values: inMemory('I', 'I8', [WIDTH, WIDTH], identity), scales: inMemory('I.scale', 'F32', [WIDTH, 1], new Uint8Array(row(() => 1).buffer)) };
    const program: Program = {
      architecture: 'rounding', vocabSize: WIDTH, maxSeqLen: WIDTH, layers: 0, kvWidth: 1, buffers: ['x', 'y'].map((name) => ({ name, width: WIDTH })), weights: ['W', 'I'].map((name) => ({ name, shape: [WIDTH, WIDTH] })),
      ops: [{ op: 'embed', weight: 'W', out: 'x' }, { op: 'matmul', x: 'x', weight: 'I', out: 'y' }], logits: 'y',
    };
    const executable = await backend.compile(program, new Map([['W', f32('W', [WIDTH, WIDTH], table)], ['I', { name: 'I', shape: [WIDTH, WIDTH], storage: 'lmdeploy-int8', parts }]]));
    const rounded = await executable.run(rows.map((_, r) => r), 0, { all: true });
    backend.close();
    expect([...rounded.subarray(0, 12)]).toEqual([127, 1, 0, 2, 1, -1, -3, -2, 127, 126, 0, 0]);
    const expected = new Float64Array(WIDTH);
    rows.forEach((values, r) => {
      roundActivations(values, 0, WIDTH, expected);
      // One rounding of code · scale to f32; −0 and 0 are the same number.
      expect([...rounded.subarray(r * WIDTH, (r + 1) * WIDTH)].map((value) => value + 0)).toEqual([...expected].map((value) => Math.fround(value) + 0));
    });
  });
});

describe.skipIf(typeof whole === 'string')('a lost device', () => {
  it('fails runs and compilations with BACKEND_FAILED, and says that it was lost', async () => {
    const backend = (await webGpuOr()) as WebGpuBackend;
    const { program, weights } = oneEmbedding();
    const executable = await backend.compile(program, weights);
    expect([...(await executable.run([1], 0))]).toEqual([3, 4]);
    backend.close();
    await expect(executable.run([1], 0)).rejects.toThrow(/BACKEND_FAILED: .*lost/);
    await expect(backend.compile(program, weights)).rejects.toThrow(/BACKEND_FAILED: .*lost/);
  });
});

describe.skipIf(typeof whole === 'string')('limits', () => {
  it('are named when a matrix, or a batch, cannot be cut to them (BACKEND_FAILED)', async () => {
    const backend = (await webGpuOr({ maxBufferBytes: 16 })) as WebGpuBackend;
    const { program, weights } = oneEmbedding();
    await expect(backend.compile(program, weights)).rejects.toThrow(/BACKEND_FAILED: weight W: 4 rows of 16 bytes exceed maxBufferBytes, which is 16 here/);
    backend.close();
  });
});

describe.skipIf(typeof whole === 'string')('weightspec run --backend webgpu', () => {
  it('writes the text that the reference backend writes, and ends', { timeout: 120_000 }, () => {
    const run = (backend: string) => spawnSync(process.execPath, ['packages/cli/bin/weightspec.js', 'run', MODEL, '-p', 'The', '-n', '12', '--backend', backend], { cwd: workspaceRoot, encoding: 'utf8', timeout: 100_000 });
    const reference = run('reference');
    const { status, signal, stdout, stderr } = run('webgpu');
    expect({ status, signal }).toEqual({ status: 0, signal: null });
    expect(stderr).toContain('(webgpu)');
    expect(stdout).toBe(reference.stdout);
    expect(stdout.length).toBeGreaterThan(5);
  });
  it('exits with 2 and the npm command where the package webgpu is missing (BACKEND_UNAVAILABLE)', () => {
    const asUrl = (script: string): string => `data:text/javascript,${encodeURIComponent(script)}`;
    const hook = asUrl(`export const resolve = (name, context, next) => { if (name === 'webgpu') throw new Error('Cannot find package'); return next(name, context); };`);
    const { status, stderr } = spawnSync(process.execPath, ['--import', asUrl(`import { register } from 'node:module'; register(${JSON.stringify(hook)});`), 'packages/cli/bin/weightspec.js', 'run', MODEL, '-p', 'The', '--backend', 'webgpu'], { cwd: workspaceRoot, encoding: 'utf8', timeout: 60_000 });
    expect(status).toBe(2);
    expect(stderr).toContain('BACKEND_UNAVAILABLE: the webgpu backend needs the package webgpu here; get it with: npm install webgpu@0.6.2');
  });
  it('exits with 2 and names the driver where there is none (BACKEND_UNAVAILABLE)', () => {
    const env = { ...process.env, VK_ICD_FILENAMES: '/nothing/here.json', VK_DRIVER_FILES: '/nothing/here.json' };
    const { status, stderr } = spawnSync(process.execPath, ['packages/cli/bin/weightspec.js', 'run', MODEL, '-p', 'The', '--backend', 'webgpu'], { cwd: workspaceRoot, env, encoding: 'utf8', timeout: 60_000 });
    expect(status).toBe(2);
    expect(stderr).toMatch(/BACKEND_UNAVAILABLE: WebGPU finds no graphics adapter.*VK_ICD_FILENAMES/s);
  });
});

/** The WebGPU backend on whatever adapter there is, SwiftShader where no other is asked for: the contract, twice, and a process that ends. */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import type { WebGpuBackend } from '@weightspec/backend-webgpu';
import { roundActivations } from '@weightspec/codecs';
import { dtype, type Program, type TensorInfo, type WeightHandle, type WeightMap } from '@weightspec/core';
import { backendContract } from '@weightspec/kernels/contract';
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

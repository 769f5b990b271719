/** The WebGPU backend on whatever adapter there is, SwiftShader where no other is asked for: the contract, twice, and a process that ends. */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import type { WebGpuBackend } from '@weightspec/backend-webgpu';
import { dtype, type Program, type WeightMap } from '@weightspec/core';
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

/** out = W[token]: one embedding of two rows, [1, 2] and [3, 4]. */
function oneEmbedding(): { program: Program; weights: WeightMap } {
  const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const source = { name: 'memory', size: 16, read: async (offset: number, length: number) => bytes.slice(offset, offset + length) };
  const values = { name: 'W', dtype: dtype('F32'), shape: [2, 2], location: { source, offset: 0, length: 16 } };
  const program: Program = {
    architecture: 'one embedding', vocabSize: 2, maxSeqLen: 8, layers: 0, kvWidth: 1, buffers: [{ name: 'y', width: 2 }], weights: [{ name: 'W', shape: [2, 2] }], ops: [{ op: 'embed', weight: 'W', out: 'y' }], logits: 'y',
  };
  return { program, weights: new Map([['W', { name: 'W', shape: [2, 2], storage: 'F32', parts: { values } }]]) };
}

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

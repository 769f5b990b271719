import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Backend, Executable } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import { openBackend, type HelperThread, type Task, type ThreadProvider } from './index.js';
import { FAILED } from './layout.js';
import { nodeThreads } from './node/index.js';
import { relaxedChoices } from './testing/relaxed.js';
import { smallCase } from './testing/small.js';

const storages = ['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'llama2c-q8', 'lmdeploy-int8'];
/** More than are worked on at once. */
const tokens = Array.from({ length: 70 }, (_, i) => (11 * i) % 70);

/** By number of threads. As long as an executable lives, so do its backend's threads: what is compiled here takes turns with them. */
async function openBackends(relaxedSimd: boolean): Promise<Backend[]> {
  const backends = await Promise.all([1, 1, 2, 3, 4].map((threads) => openBackend({ threads, relaxedSimd })));
  const { program, weights } = smallCase();
  const keepers = await Promise.all(backends.map((backend) => backend.compile(program, weights)));
  afterAll(() => Promise.all(keepers.map((keeper) => keeper.dispose())));
  return backends;
}

async function logitsOf(executable: Executable, batches: readonly number[]): Promise<Float32Array> {
  const rows: number[] = [];
  let position = 0;
  for (const count of batches) {
    rows.push(...(await executable.run(tokens.slice(position, position + count), position, { all: true })));
    position += count;
  }
  await executable.dispose();
  return Float32Array.from(rows);
}

describe.each(relaxedChoices)('relaxed SIMD: %s', async (relaxedSimd) => {
  const backends = await openBackends(relaxedSimd);

  describe.each(storages)('%s: the same bits', (storage) => {
    const { program, weights } = smallCase(storage);
    const once = backends[1]!.compile(program, weights).then((executable) => logitsOf(executable, [70]));

    it.each([2, 3, 4])('on %i threads as on one', async (threads) => {
      expect(await logitsOf(await backends[threads]!.compile(program, weights), [70])).toEqual(await once);
    });
    it('in batches of any length', async () => {
      expect(await logitsOf(await backends[2]!.compile(program, weights), [1, 1, 1, 7, 60])).toEqual(await once);
    });
    it('from weights that are read at each use, or only partly held in memory', async () => {
      for (const memoryBudgetBytes of [0, 20_000]) {
        const executable = await backends[2]!.compile(program, weights, { memoryBudgetBytes });
        expect(executable.placement!.some((where) => where.includes('read at each use'))).toBe(true);
        expect(await logitsOf(executable, [70])).toEqual(await once);
      }
    });
  });
});

/** Node's threads, counted; `alter` changes what each one does. */
function countingProvider(alter: (thread: HelperThread) => Partial<HelperThread> = () => ({})) {
  const counts = { started: 0, ended: 0 };
  const provider: ThreadProvider = {
    ...nodeThreads,
    cores: 3,
    spawn() {
      const thread = nodeThreads.spawn();
      counts.started += 1;
      const end = (): void => {
        counts.ended += 1;
        thread.end();
      };
      return { ...thread, ...alter(thread), end };
    },
  };
  return { counts, provider };
}

describe('threads', () => {
  const { program, weights } = smallCase();

  it('are as many as cores unless said otherwise, and go when the last executable does', async () => {
    const { counts, provider } = countingProvider();
    const backend = await openBackend({ threadProvider: provider, relaxedSimd: false });
    const first = await backend.compile(program, weights);
    expect(first.placement).toEqual(program.ops.map(() => 'wasm, 3 threads'));
    const second = await backend.compile(program, weights);
    expect(counts).toEqual({ started: 4, ended: 0 });
    await first.dispose();
    await first.dispose();
    const third = await backend.compile(program, weights);
    expect(counts).toEqual({ started: 4, ended: 0 });
    expect(await third.run([1, 2], 0)).toEqual(await second.run([1, 2], 0));
    await second.dispose();
    await third.dispose();
    expect(counts).toEqual({ started: 4, ended: 4 });
  });
  it('that cannot start are done without, unless their number was asked for (BACKEND_FAILED)', async () => {
    const { counts, provider } = countingProvider(() => ({ start: () => Promise.reject(new Error('no more threads')) }));
    const executable = await (await openBackend({ threadProvider: provider, relaxedSimd: false })).compile(program, weights);
    expect(executable.placement![0]).toBe('wasm, 1 thread');
    expect((await executable.run([1], 0)).every(Number.isFinite)).toBe(true);
    await executable.dispose();
    expect(counts.ended).toBe(counts.started);
    await expect((await openBackend({ threads: 2, threadProvider: provider })).compile(program, weights)).rejects.toThrow(/^BACKEND_FAILED: 2 threads were asked for, .*no more threads/);
  });
  it('are not waited for after one has trapped (BACKEND_FAILED)', async () => {
    const memories: WebAssembly.Memory[] = [];
    const { counts, provider } = countingProvider(() => ({ start: async ({ memory }: Task) => void memories.push(memory as WebAssembly.Memory) }));
    const executable = await (await openBackend({ threads: 2, threadProvider: provider })).compile(program, weights);
    Atomics.store(new Int32Array(memories[0]!.buffer), FAILED / 4, 1);
    for (const attempt of [1, 2]) await expect(executable.run([attempt], 0)).rejects.toThrow(/^BACKEND_FAILED: /);
    await executable.dispose();
    expect(counts).toEqual({ started: 1, ended: 1 });
  });
  it('are a positive number', async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) await expect(openBackend({ threads })).rejects.toThrow(RangeError);
  });
});

describe('where WebAssembly cannot do it', () => {
  it.each([
    ['there is no WebAssembly', undefined, /no WebAssembly here/],
    ['there is no SIMD', { validate: () => false }, /no SIMD instructions/],
    ['there is no shared memory', { validate: (bytes: Uint8Array) => bytes.length < 100 }, /no shared memory/],
  ])('%s: BACKEND_UNAVAILABLE', async (_, WebAssembly, message) => {
    vi.stubGlobal('WebAssembly', WebAssembly);
    try {
      const error = await openBackend().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(BackendError);
      expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE', message: expect.stringMatching(message) });
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

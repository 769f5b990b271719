import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import { referenceBackend } from '@weightspec/kernels';
import { openBackend } from './index.js';
import { noise, smallCase } from './testing/small.js';

const { program, weights } = smallCase('Q8_0');

describe('every op', () => {
  it('is computed by the kernels: without them nothing comes out of any', async () => {
    const instantiate = vi.spyOn(WebAssembly, 'instantiate').mockImplementation((async () => ({ exports: { run: () => 1 } })) as never);
    try {
      const executable = await (await openBackend({ threads: 1 })).compile(program, weights);
      const seen: string[] = [];
      await executable.run([1, 2, 3], 0, {
        trace(op, _, rows) {
          seen.push(op.op);
          expect([op.op, rows.every((value) => value === 0)]).toEqual([op.op, true]);
        },
      });
      expect(seen).toEqual(program.ops.map(({ op }) => op));
    } finally {
      instantiate.mockRestore();
    }
  });
  it('is computed without asking another backend', async () => {
    const compile = vi.spyOn(referenceBackend, 'compile');
    const executable = await (await openBackend({ threads: 2, relaxedSimd: false })).compile(program, weights);
    expect((await executable.run([1], 0)).some((value) => value !== 0)).toBe(true);
    expect(compile).not.toHaveBeenCalled();
    expect(executable.placement).toEqual(program.ops.map(() => 'wasm, 2 threads'));
    await executable.dispose();
    compile.mockRestore();
  });
  it('or storage that there is no kernel for is not supported', async () => {
    const backend = await openBackend({ threads: 1 });
    expect(backend.supports('matmul', 'Q8_0')).toBe(true);
    for (const storage of ['I64', 'constructor', '__proto__', '']) expect(backend.supports('matmul', storage)).toBe(false);
    expect(backend.supports('softmax' as never)).toBe(false);
  });
});

describe('an executable', () => {
  it('refuses a second run before the first has ended, and any after dispose, which lets a run end', async () => {
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights, { memoryBudgetBytes: 0 });
    const first = executable.run([1], 0);
    await expect(executable.run([1], 0)).rejects.toThrow(/already running/);
    await first;
    const last = executable.run([1], 0);
    await executable.dispose();
    expect(await last).toEqual(await first);
    await expect(executable.run([1], 0)).rejects.toThrow(/disposed/);
  });
  it('forgets the positions of a run that was cut off', async () => {
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
    await executable.run([1, 2, 3], 0);
    const controller = new AbortController();
    const cut = executable.run([2, 2], 1, { signal: controller.signal, trace: () => controller.abort() });
    await expect(cut).rejects.toThrow(/abort/i);
    await expect(executable.run([1], 2)).rejects.toThrow(RangeError);
    await executable.run([2], 1);
    await executable.dispose();
  });
  it('hears an abort while it reads weights', async () => {
    const executable = await (await openBackend({ threads: 1 })).compile(program, weights, { memoryBudgetBytes: 0 });
    const controller = new AbortController();
    const run = executable.run([1], 0, { signal: controller.signal });
    controller.abort();
    await expect(run).rejects.toThrow(/abort/i);
    await executable.dispose();
  });
  it('says that a source fails, and can go on', async () => {
    let broken = false;
    const flaky = new Map([...weights].map(([name, handle]) => {
      const { values } = handle.parts;
      const { source } = values!.location;
      const read = async (offset: number, length: number) => {
        if (broken) throw new Error('the disk is gone');
        return source.read(offset, length);
      };
      return [name, { ...handle, parts: { values: { ...values!, location: { ...values!.location, source: { ...source, read } } } } }];
    }));
    const executable = await (await openBackend({ threads: 2 })).compile(program, flaky, { memoryBudgetBytes: 0 });
    const before = await executable.run([1], 0);
    broken = true;
    await expect(executable.run([1], 0)).rejects.toThrow('the disk is gone');
    broken = false;
    expect(await executable.run([1], 0)).toEqual(before);
    await executable.dispose();
  });
  it('traces more tokens than it works on at once', async () => {
    const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
    const tokens = Array.from({ length: 100 }, (_, i) => i % 70);
    const plain = await executable.run(tokens, 0, { all: true });
    const rows: number[] = [];
    const traced = await executable.run(tokens, 0, { all: true, trace: (_, __, values) => rows.push(values.length) });
    expect(traced).toEqual(plain);
    expect(rows[0]).toBe(100 * 64);
    await executable.dispose();
  });
  it('names the limit when the KV cache leaves the 4 GiB of 32-bit addresses (BACKEND_FAILED)', async () => {
    const wide = 2 ** 20;
    const values = noise(wide, 1);
    const source = { name: 'w', size: 4 * wide, read: async (offset: number, length: number) => new Uint8Array(values.buffer, offset, length) };
    const table = { name: 'w', shape: [1, wide], storage: 'F32', parts: { values: { name: 'w', dtype: weights.get('norm')!.parts.values!.dtype, shape: [1, wide], location: { source, offset: 0, length: 4 * wide } } } };
    const executable = await (await openBackend({ threads: 1 })).compile({
      architecture: 'wide', vocabSize: 1, maxSeqLen: 1024, layers: 2, kvWidth: wide,
      buffers: [{ name: 'x', width: wide }, { name: 'y', width: 1 }],
      weights: [{ name: 'w', shape: [1, wide] }],
      ops: [
        { op: 'embed', weight: 'w', out: 'x' },
        { op: 'attention', q: 'x', k: 'x', v: 'x', out: 'x', heads: 1, kvHeads: 1, headDim: wide, layer: 0 },
        { op: 'matmul', x: 'x', weight: 'w', out: 'y' },
      ],
      logits: 'y',
    }, new Map([['w', table]]));
    await expect(executable.run([0], 0)).rejects.toThrow(/^BACKEND_FAILED: a KV cache of 1 positions .* 4 GiB/);
    await executable.dispose();
  });
});

describe('a process', () => {
  it('ends by itself, whether or not it has disposed of its executables', async () => {
    const script = (last: string) => `
      import { openBackend } from '@weightspec/backend-wasm';
      import { smallCase } from './dist/testing/small.js';
      const { program, weights } = smallCase();
      const executable = await (await openBackend({ threads: 2 })).compile(program, weights);
      console.log((await executable.run([1], 0)).length);
      ${last}`;
    for (const last of ['', 'await executable.dispose();']) {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script(last)], { cwd: new URL('..', import.meta.url), timeout: 30_000 });
      expect(stdout).toBe('70\n');
    }
  });
});

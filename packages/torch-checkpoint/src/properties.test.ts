/** Random state dicts written and read back, views made contiguous, and damage of every kind: never a crash, never "valid" where bytes are missing. */
import { contiguousChunks, dtype, elementCount, verdictOf, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import * as fc from 'fast-check';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32, crc32InTables } from './crc32.js';
import { torchCheckpoint, writeTorch, type TorchFlavor } from './index.js';

const types = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL', 'C64', 'C128'];
const newTypes = ['U16', 'U32', 'U64', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'];

const bytesOf = async (tensor: TensorInfo, chunkBytes?: number): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of contiguousChunks(tensor, chunkBytes)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
};
const written = async (tensors: readonly TensorInfo[], flavor: TorchFlavor): Promise<Uint8Array> => {
  const sink = memorySink();
  await writeTorch(tensors, sink, { flavor });
  return sink.bytes();
};
const read = (bytes: Uint8Array) => torchCheckpoint.read(memorySource(bytes));

/** A tensor over bytes 0, 1, 2, … of its own. */
function tensorOf(name: string, typeName: string, shape: readonly number[]): TensorInfo {
  const type = dtype(typeName);
  const length = elementCount(shape) * type.bytesPerBlock;
  return { name, dtype: type, shape, location: { source: memorySource(Uint8Array.from({ length }, (_, i) => (i * 7 + name.length) % 251), name || 'tensor'), offset: 0, length } };
}

const names = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.constantFrom('__proto__', 'constructor', 'a\u0000b', 'model'));
const shapes = fc.array(fc.nat(5), { maxLength: 4 });

describe('writeTorch', () => {
  it.each(['torch-1.13', 'torch-2', 'legacy'] as const)('%s: random state dicts read back equal', async (flavor) => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.tuple(names, fc.constantFrom(...types, ...(flavor === 'torch-2' ? newTypes : [])), shapes), { selector: ([name]) => name, minLength: 1, maxLength: 12 }), async (entries) => {
        const tensors = entries.map(([name, type, shape]) => tensorOf(name, type, shape));
        const { checkpoint, diagnostics } = await read(await written(tensors, flavor));
        expect(diagnostics.filter(({ severity }) => severity !== 'info')).toEqual([]);
        expect(checkpoint!.tensors.map((t) => [t.name, t.dtype.name, t.shape])).toEqual(tensors.map((t) => [t.name, t.dtype.name, t.shape]));
        for (const [i, tensor] of tensors.entries()) expect(await bytesOf(checkpoint!.tensors[i]!)).toEqual(await bytesOf(tensor));
        expect((await torchCheckpoint.validate(checkpoint!, { deep: true })).diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });
  it.each([[999], [1000], [1001], [2000], [2001]])('%i tensors, around the batches of the pickler, read back', async (count) => {
    const { checkpoint } = await read(await written(Array.from({ length: count }, (_, i) => tensorOf(`t.${i}`, 'U8', [1])), 'torch-1.13'));
    expect(checkpoint!.tensors.length).toBe(count);
  });
  it.each([['F8_E4M3', 'torch-1.13'], ['Q4_0', 'torch-2'], ['F4', 'torch-2']] as const)('refuses %s in %s (TORCH_WRITE_TENSOR)', async (type, flavor) => {
    await expect(written([tensorOf('w', type, [32])], flavor)).rejects.toThrow('TORCH_WRITE_TENSOR');
  });
  it('refuses two tensors with one name (TORCH_WRITE_TENSOR)', async () => {
    await expect(written([tensorOf('w', 'F32', [1]), tensorOf('w', 'F32', [1])], 'torch-2')).rejects.toThrow('TORCH_WRITE_TENSOR');
  });
});

describe('crc32', () => {
  it('is zlib\'s, whole and in pieces, from the tables and from the runtime', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, at) => {
        const cut = Math.min(at, bytes.length);
        for (const own of [crc32, crc32InTables]) {
          expect(own(bytes)).toBe(zlibCrc32(bytes));
          expect(own(bytes.subarray(cut), own(bytes.subarray(0, cut)))).toBe(zlibCrc32(bytes));
        }
      }),
    );
  });
});

describe.each(['torch-1.13', 'torch-2', 'legacy'] as const)('a damaged %s file', (flavor) => {
  const tensors = [tensorOf('a', 'F32', [3, 2]), tensorOf('b', 'BF16', [4]), tensorOf('c', 'I8', [])];
  const deep = async (bytes: Uint8Array): Promise<string> => {
    const { checkpoint, diagnostics } = await read(bytes);
    if (!checkpoint) return 'invalid';
    return verdictOf([...diagnostics, ...(await torchCheckpoint.validate(checkpoint, { deep: true })).diagnostics]);
  };
  it('is never valid when it is cut, wherever', async () => {
    const whole = await written(tensors, flavor);
    const passed: number[] = [];
    for (let length = 0; length < whole.length; length++) if ((await deep(whole.subarray(0, length))) !== 'invalid') passed.push(length);
    expect(passed).toEqual([]);
  });
  it('never crashes or hangs on any flipped byte; in an archive, no flip outside unused fields passes a deep check', async () => {
    const whole = await written(tensors, flavor);
    const passed: number[] = [];
    for (let i = 0; i < whole.length; i++) {
      const damaged = Uint8Array.from(whole);
      damaged[i]! ^= 0xff;
      if ((await deep(damaged)) !== 'invalid') passed.push(i);
    }
    if (flavor === 'legacy') return; // a legacy stream has no checksums: its data and names can be any
    const view = new DataView(whole.buffer, whole.byteOffset);
    const unused = new Set(unusedFields(whole, view));
    expect(passed.filter((i) => !unused.has(i))).toEqual([]);
  });
});

/** Versions, times, padding and attributes: what no clause and no reader looks at. */
function unusedFields(bytes: Uint8Array, view: DataView): number[] {
  const offsets: number[] = [];
  const add = (start: number, end: number): void => {
    for (let i = start; i < end; i++) offsets.push(i);
  };
  for (let i = 0; i + 4 <= bytes.length; i++) {
    const signature = view.getUint32(i, true);
    if (signature === 0x04034b50) {
      add(i + 4, i + 6);
      add(i + 10, i + 14);
      const extra = i + 30 + view.getUint16(i + 26, true);
      add(extra, extra + 2); // the field's id
      add(extra + 4, extra + view.getUint16(i + 28, true));
    } else if (signature === 0x02014b50) {
      add(i + 4, i + 8);
      add(i + 12, i + 16);
      add(i + 36, i + 42);
    } else if (signature === 0x06064b50) add(i + 12, i + 16);
    else if (signature === 0x07064b50) add(i + 16, i + 20); // total disks: 0 and 1 are both read
  }
  return offsets;
}

describe('hostile pickles', () => {
  /** In a legacy stream the first pickle is run as it stands. */
  const codesOf = async (...pickle: number[]): Promise<string[]> => (await read(Uint8Array.from([0x80, 2, ...pickle]))).diagnostics.map(({ code }) => code);
  const fast = async (run: () => Promise<string[]>): Promise<string[]> => {
    const start = performance.now();
    const before = process.memoryUsage.rss();
    const codes = await run();
    expect(performance.now() - start).toBeLessThan(2000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(150 * 2 ** 20);
    return codes;
  };
  it.each([['empty lists', 0x5d], ['empty dicts', 0x7d], ['empty tuples', 0x29], ['None', 0x4e], ['marks', 0x28]])('12 MB of %s are refused within bounds (TORCH_LIMIT)', async (_, opcode) => {
    expect(await fast(() => read(new Uint8Array(12_000_000).fill(opcode).fill(0x80, 0, 1).fill(2, 1, 2)).then(({ diagnostics }) => diagnostics.map(({ code }) => code)))).toEqual(['TORCH_LIMIT']);
  });
  it('a million floats in one list are refused within bounds (TORCH_LIMIT)', async () => {
    const pickle = new Uint8Array(9_000_003);
    pickle.set([0x80, 2, 0x5d]);
    for (let i = 3; i < pickle.length; i += 9) pickle[i] = 0x47;
    expect(await fast(async () => (await read(pickle)).diagnostics.map(({ code }) => code))).toEqual(['TORCH_LIMIT']);
  });
  it('shared lists that unfold to 10^20 entries cost nothing (memo bomb)', async () => {
    const levels = Array.from({ length: 20 }, (_, i) => [0x5d, 0x71, i, 0x28, ...Array.from({ length: 10 }, () => (i === 0 ? [0x4e] : [0x68, i - 1])).flat(), 0x65]);
    // Each level stays on the stack; the outermost then collects them, so that STOP finds one object.
    expect(await fast(() => codesOf(0x28, ...levels.flat(), 0x74, 0x2e))).toEqual(['TORCH_LEGACY_HEADER']);
  });
  it('a memo index of 2^32 − 1 allocates nothing (TORCH_LIMIT)', async () => {
    expect(await fast(() => codesOf(0x4e, 0x72, 0xff, 0xff, 0xff, 0xff, 0x2e))).toEqual(['TORCH_LIMIT']);
  });
});

describe('names that are special in JavaScript', () => {
  it('are keys like any other', async () => {
    const { checkpoint } = await read(await written([tensorOf('__proto__', 'U8', [1]), tensorOf('constructor', 'U8', [1])], 'torch-1.13'));
    expect((checkpoint as Checkpoint).tensors.map(({ name }) => name)).toEqual(['__proto__', 'constructor']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

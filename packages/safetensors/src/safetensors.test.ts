/** The two collections of sound and damaged files, real models, the writer, the deep check, and how much is read. */
import { DiagnosticError, dtype, verdictOf, type ByteSource, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import * as fc from 'fast-check';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dtypeNames, encodeHeader, safetensors, writeSafetensors } from './index.js';

const bytesOf = (path: string): Uint8Array | undefined => {
  const found = sharedData(path);
  return found === undefined ? undefined : new Uint8Array(readFileSync(found));
};
const json = (path: string): unknown => {
  const bytes = bytesOf(path);
  return bytes && JSON.parse(Buffer.from(bytes).toString('utf8'));
};

/** Header (shallow) and content findings of a file. */
async function diagnose(bytes: Uint8Array, name = 'x.safetensors', deep = false): Promise<readonly Diagnostic[]> {
  const { checkpoint, diagnostics } = await safetensors.read(memorySource(bytes, name));
  return [...diagnostics, ...(checkpoint ? (await safetensors.validate(checkpoint, { deep })).diagnostics : [])];
}
const codesOf = async (bytes: Uint8Array, deep = false) => (await diagnose(bytes, undefined, deep)).map(({ code }) => code);

/** A file with this header text, padded to 8. */
function file(header: string, data: ArrayLike<number> = []): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + data.length).fill(0x20, 0, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + length);
  return bytes;
}

describe('the collection with the reference reader\'s verdicts', () => {
  type Entry = { readonly spec: 'valid' | 'invalid' | 'lenient'; readonly why: string; readonly reference: 'ok' | 'err' };
  const cases = Object.entries((json('safetensors/manifest.json') ?? {}) as Record<string, Entry>);
  /** Words of the manifest by the severity table of this project: valid allows infos and warnings, lenient means warnings or worse. */
  const accepted = { valid: ['valid', 'warnings'], lenient: ['warnings', 'invalid'], invalid: ['invalid'] };
  // Also keeps the suite from being empty where shared/ is missing: an empty one fails.
  it.skipIf(!json('safetensors/manifest.json'))('has files', () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases)('%s', async (name, { spec, reference }) => {
    const bytes = bytesOf(`safetensors/${name}.safetensors`)!;
    const diagnostics = await diagnose(bytes, `${name}.safetensors`);
    expect(accepted[spec]).toContain(verdictOf(diagnostics));
    // Whatever the reference refuses is an error here.
    expect(reference === 'ok' || verdictOf(diagnostics) === 'invalid').toBe(true);
    expect(safetensors.detect(bytes.subarray(0, 64), `${name}.safetensors`, bytes.length)).toBeDefined();
  });
});

describe('the malformed collection', () => {
  type Entry = { readonly id: string; readonly format: string; readonly expect: 'accept' | 'warn' | 'reject'; readonly rule: string };
  const cases = ((json('malformed/manifest.json') ?? []) as Entry[]).filter(({ format }) => format === 'safetensors');
  const accepted = { accept: ['valid', 'warnings'], warn: ['warnings'], reject: ['invalid'] };
  // Also keeps the suite from being empty where shared/ is missing: an empty one fails.
  it.skipIf(!json('malformed/manifest.json'))('has files of this format', () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases)('$id: $expect ($rule)', async ({ id, expect: expected }) => {
    const diagnostics = await diagnose(bytesOf(`malformed/${id}`)!, id);
    expect(accepted[expected]).toContain(verdictOf(diagnostics));
  });
});

const models = ['llama3-tiny/hf/model.safetensors', 'qwen1-tiny/bf16/model.safetensors', 'qwen2-tiny/f16/model.safetensors', 'qwen2-tiny/f32/model.safetensors', 'qwen2-tiny/golden_logits.safetensors'];
describe.each(models)('%s', (name) => {
  const bytes = bytesOf(`models/${name}`);
  it.skipIf(!bytes)('is deeply valid and written back byte for byte, in its own and in canonical order', async () => {
    expect(verdictOf(await diagnose(bytes!, name, true))).toBe('valid');
    const { checkpoint } = await safetensors.read(memorySource(bytes!));
    const [same, canonical] = [memorySink(), memorySink()];
    await safetensors.write!(checkpoint!, same);
    await writeSafetensors(checkpoint!.tensors.toReversed(), canonical, { metadata: checkpoint!.metadata['__metadata__'] as Record<string, string> | undefined });
    expect([Buffer.compare(same.bytes(), bytes!), Buffer.compare(canonical.bytes(), bytes!)]).toEqual([0, 0]);
  });
});

describe('reading', () => {
  /** A source that has only a header and says that it is as long as the header claims; reads are recorded. */
  function sparse(header: string, dataBytes: number) {
    const head = file(header);
    const reads: [number, number][] = [];
    const source: ByteSource = {
      name: 'sparse', size: head.length + dataBytes,
      async read(offset, length) {
        reads.push([offset, length]);
        return head.slice(offset, offset + length);
      },
    };
    return { source, reads, headBytes: head.length };
  }
  const entries = (count: number, elements: number) =>
    `{${Array.from({ length: count }, (_, i) => `"model.layers.${i}.mlp.gate_proj.weight":{"dtype":"BF16","shape":[${elements}],"data_offsets":[${2 * elements * i},${2 * elements * (i + 1)}]}`).join(',')}}`;

  it('asks for 64 KiB once when the header fits', async () => {
    const { source, reads } = sparse(entries(100, 2 ** 26), 100 * 2 ** 27);
    const { checkpoint } = await safetensors.read(source);
    expect(checkpoint?.tensors).toHaveLength(100);
    expect(reads).toEqual([[0, 65536]]);
  });
  it('asks for exactly the header when it is longer', async () => {
    const { source, reads, headBytes } = sparse(entries(2000, 2 ** 20), 2000 * 2 ** 21);
    expect((await safetensors.read(source)).checkpoint?.tensors.at(-1)?.location).toMatchObject({ offset: headBytes + 1999 * 2 ** 21, length: 2 ** 21 });
    expect(reads).toEqual([[0, 65536], [0, headBytes]]);
  });
  it('takes offsets beyond 4 GiB and near 2^53', async () => {
    const elements = 2 ** 50;
    const { source, headBytes } = sparse(`{"a":{"dtype":"U8","shape":[${elements}],"data_offsets":[0,${elements}]},"b":{"dtype":"U8","shape":[2,${elements}],"data_offsets":[${elements},${3 * elements}]}}`, 3 * elements);
    expect((await safetensors.read(source)).checkpoint?.tensors.map(({ location }) => location.offset)).toEqual([headBytes, headBytes + elements]);
  });
  it('reads a header of 50,000 tensors in less than ten times what JSON.parse takes', async () => {
    const header = entries(50_000, 2 ** 20);
    const { source } = sparse(header, 50_000 * 2 ** 21);
    const timed = async (run: () => unknown): Promise<number> => {
      const start = performance.now();
      await run();
      return performance.now() - start;
    };
    let ours = Infinity;
    let parse = Infinity;
    for (let round = 0; round < 3; round++) {
      ours = Math.min(ours, await timed(async () => expect((await safetensors.read(source)).checkpoint?.tensors).toHaveLength(50_000)));
      parse = Math.min(parse, await timed(() => JSON.parse(header)));
    }
    expect(ours / parse).toBeLessThan(10);
  });
  it('lists at most 100 findings of one code and says how many more there are', async () => {
    const bad = `{${Array.from({ length: 250 }, (_, i) => `"t${i}":{"dtype":"X","shape":[0],"data_offsets":[0,0]}`).join(',')}}`;
    const diagnostics = await diagnose(file(bad));
    expect(diagnostics.map(({ code }) => code)).toEqual(Array.from({ length: 100 }, () => 'SAFETENSORS_UNKNOWN_DTYPE'));
    expect(diagnostics.at(-1)!.message).toContain('150 more of this kind');
  });
  it('stops reading a header that is wrong ten thousand times in one way', async () => {
    const repeated = file(`{"a":0${',"a":0'.repeat(200_000)}}`);
    const diagnostics = await diagnose(repeated);
    expect(diagnostics).toHaveLength(101);
    expect(diagnostics.at(-1)!.message).toContain('9900 more of this kind');
    // Nothing behind the ten-thousandth was looked at, however long the header.
    expect(diagnostics.every(({ byteRange }) => byteRange![1] < 70_000)).toBe(true);
  });
  it('keeps one finding to one cause: broken offsets of one tensor do not make holes elsewhere (SAFETENSORS_OFFSETS_REVERSED)', async () => {
    const header = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
    expect(await codesOf(file(header, [1, 2]))).toEqual(['SAFETENSORS_OFFSETS_REVERSED']);
  });
  it('names every fault of a header that is JSON, not only the first', async () => {
    const header = '{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]},"b":null,"c":{"dtype":"f32","shape":[],"data_offsets":[1,5]},"__metadata__":{"x":1}}';
    expect(await codesOf(file(header, [1, 2, 3, 4, 5]))).toEqual(['SAFETENSORS_NOT_UNSIGNED', 'SAFETENSORS_TENSOR_INFO', 'SAFETENSORS_UNKNOWN_DTYPE', 'SAFETENSORS_METADATA_TYPE']);
  });
  it('holds a tensor and a metadata key called __proto__ without polluting anything', async () => {
    const bytes = file('{"__metadata__":{"__proto__":"x"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', [7]);
    const { checkpoint } = await safetensors.read(memorySource(bytes));
    expect(checkpoint!.tensors[0]!.name).toBe('__proto__');
    expect(Object.keys(checkpoint!.metadata['__metadata__'] as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
    const sink = memorySink();
    await safetensors.write!(checkpoint!, sink);
    expect(Buffer.compare(sink.bytes(), bytes)).toBe(0);
  });
  it('survives a header length near the limit without reading what is not there', async () => {
    const length = new Uint8Array(16);
    new DataView(length.buffer).setBigUint64(0, 100_000_000n, true);
    expect(await codesOf(length)).toEqual(['SAFETENSORS_HEADER_TRUNCATED']);
  });
});

describe('the producer', () => {
  const producerOf = async (header: string, data: ArrayLike<number> = []) => (await safetensors.read(memorySource(file(header, data)))).checkpoint!.producer!;
  it('is guessed from __metadata__, with the range that says so', async () => {
    const { name, evidence } = await producerOf('{"__metadata__":{"format":"pt"}}');
    expect(name).toContain('PyTorch');
    expect(evidence[0]).toMatchObject({ message: '__metadata__ says format = pt', byteRange: [25, 38] });
  });
  it('is guessed from the header\'s layout otherwise', async () => {
    expect((await producerOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', [1])).name).toBe('the safetensors library');
    expect((await producerOf('{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}', [1])).name).toContain('another writer');
  });
});

/** A tensor in memory. */
const tensor = (name: string, type: string, shape: readonly number[], bytes: ArrayLike<number>, strides?: readonly number[]): TensorInfo => ({
  name, dtype: dtype(type), shape, location: { source: memorySource(Uint8Array.from(Array.from(bytes))), offset: 0, length: bytes.length }, ...(strides ? { strides } : {}),
});
const written = async (tensors: readonly TensorInfo[], options?: Parameters<typeof writeSafetensors>[2]): Promise<Uint8Array> => {
  const sink = memorySink();
  await writeSafetensors(tensors, sink, options);
  return sink.bytes();
};

describe('writeSafetensors', () => {
  it('writes what safetensors 0.8 writes: dtype descending, names by their bytes, padded to 8', async () => {
    // Length and SHA-256 of what Python safetensors 0.8.0 (serialize) makes of the same tensors and metadata.
    const tensors = [tensor('b', 'U8', [3], [1, 2, 3]), tensor('\u{1f642}', 'F32', [1], [0, 0, 128, 63]), tensor('\uffee', 'F32', [1], [0, 0, 0, 64]), tensor('a', 'F32', [], [0, 0, 64, 64]), tensor('h', 'BF16', [2, 1], [128, 63, 0, 64]), tensor('\u0001"\\/\u007f', 'I64', [0], [])];
    const bytes = await written(tensors, { metadata: { format: 'pt' } });
    expect([bytes.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([403, 'b9cd2cbe93f8b43eae2cb623a1c8a807cacd70c352a14f1e18c59f5e618f2fa2']);
  });
  it('reads back what it wrote, for any tensors', async () => {
    const anyTensor = fc.record({ name: fc.string({ unit: 'grapheme', maxLength: 6 }), type: fc.constantFrom(...dtypeNames), shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }) });
    await fc.assert(fc.asyncProperty(fc.uniqueArray(anyTensor, { selector: ({ name }) => name, maxLength: 6 }), fc.option(fc.dictionary(fc.string(), fc.string())), async (specs, metadata) => {
      const tensors = specs.map(({ name, type, shape }, i) => {
        const packed = [...shape, 4]; // whole bytes in every type
        const { blockSize, bytesPerBlock } = dtype(type);
        const bytes = (packed.reduce((product, d) => product * d, 1) / blockSize) * bytesPerBlock;
        return tensor(name, type, packed, Array.from({ length: bytes }, (_, j) => (i + j) % 251));
      });
      const bytes = await written(tensors, metadata ? { metadata } : {});
      const { checkpoint, diagnostics } = await safetensors.read(memorySource(bytes));
      expect(diagnostics).toEqual([]);
      expect(checkpoint!.tensors.map(({ name, dtype: { name: type }, shape }) => ({ name, type, shape })).toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
        specs.map(({ name, type, shape }) => ({ name, type, shape: [...shape, 4] })).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      );
      for (const found of checkpoint!.tensors) {
        const original = tensors.find(({ name }) => name === found.name)!;
        expect(await found.location.source.read(found.location.offset, found.location.length)).toEqual(await original.location.source.read(0, original.location.length));
      }
      expect(Buffer.compare(await written(checkpoint!.tensors.toReversed(), metadata ? { metadata } : {}), bytes)).toBe(0);
    }), { numRuns: 100 });
  });
  it('writes a transposed, a sliced and an expanded view contiguously', async () => {
    const matrix = [0, 1, 2, 3, 4, 5]; // 2 × 3
    const bytes = await written([tensor('t', 'U8', [3, 2], matrix, [1, 3]), tensor('s', 'U8', [2, 2], matrix, [3, 1]), tensor('e', 'U8', [3, 2], [8, 9], [0, 1])]);
    const { checkpoint } = await safetensors.read(memorySource(bytes));
    const values = await Promise.all(checkpoint!.tensors.map(async ({ name, location }) => [name, [...(await location.source.read(location.offset, location.length))]]));
    expect(values).toEqual([['e', [8, 9, 8, 9, 8, 9]], ['s', [0, 1, 3, 4]], ['t', [0, 3, 1, 4, 2, 5]]]);
  });
  const refusals: readonly { readonly code: string; readonly tensors: readonly TensorInfo[]; readonly metadata?: Record<string, string> }[] = [
    { code: 'SAFETENSORS_WRITE_NAME', tensors: [tensor('a', 'U8', [1], [1]), tensor('a', 'U8', [1], [1])] },
    { code: 'SAFETENSORS_WRITE_NAME', tensors: [tensor('__metadata__', 'U8', [1], [1])] },
    { code: 'SAFETENSORS_WRITE_NAME', tensors: [tensor('\ud800', 'U8', [1], [1])] },
    { code: 'SAFETENSORS_WRITE_TENSOR', tensors: [tensor('q', 'Q4_0', [32], new Uint8Array(18))] },
    { code: 'SAFETENSORS_WRITE_TENSOR', tensors: [tensor('c', 'C128', [1], new Uint8Array(16))] },
    { code: 'SAFETENSORS_WRITE_TENSOR', tensors: [tensor('f', 'F6_E2M3', [3], new Uint8Array(3))] },
    { code: 'SAFETENSORS_WRITE_TENSOR', tensors: [tensor('f', 'F32', [2], new Uint8Array(4))] },
    { code: 'SAFETENSORS_WRITE_TENSOR', tensors: [tensor('f', 'F32', [-1], [])] },
    { code: 'SAFETENSORS_WRITE_METADATA', tensors: [], metadata: { x: 1 as unknown as string } },
    { code: 'SAFETENSORS_WRITE_METADATA', tensors: [], metadata: { x: '\udfff' } },
  ];
  it.each(refusals)('refuses, before the first byte: $code', async ({ code, tensors, metadata }) => {
    const sink = memorySink();
    const refused = await writeSafetensors(tensors, sink, metadata ? { metadata } : {}).then(() => undefined, (error: unknown) => error);
    expect(refused).toBeInstanceOf(DiagnosticError);
    expect((refused as DiagnosticError).diagnostics.map((diagnostic) => diagnostic.code)).toEqual([code]);
    expect(sink.position).toBe(0);
  });
  it('refuses a header above 100,000,000 bytes (SAFETENSORS_WRITE_HEADER_TOO_LARGE)', () => {
    const named = (index: number): TensorInfo => tensor(String(index).padStart(4000, 'x'), 'U8', [0], []);
    expect(() => encodeHeader(Array.from({ length: 25_000 }, (_, index) => named(index)))).toThrow('SAFETENSORS_WRITE_HEADER_TOO_LARGE');
  });
});

describe('the deep check', () => {
  const floats = (...values: readonly number[]) => [...new Uint8Array(Float32Array.from(values).buffer)];
  it('reads every byte once, in bounded pieces, and reports progress', async () => {
    const size = 5 << 20;
    const bytes = await written([tensor('w', 'F16', [size / 2], new Uint8Array(size).fill(1))]);
    const reads: number[] = [];
    const memory = memorySource(bytes);
    const source: ByteSource = { name: 'counted', size: bytes.length, read(offset, length) { reads.push(length); return memory.read(offset, length); } };
    const { checkpoint } = await safetensors.read(source);
    reads.length = 0;
    const progress: number[] = [];
    const { diagnostics, checked } = await safetensors.validate(checkpoint!, { deep: true, progress: (done, total) => progress.push(done / total) });
    expect(diagnostics).toEqual([]);
    expect(checked.join()).toContain('every byte of 1 tensor');
    expect(reads.reduce((sum, length) => sum + length, 0)).toBe(size);
    expect(Math.max(...reads)).toBeLessThanOrEqual(2 << 20);
    expect(progress.at(-1)).toBe(1);
  });
  it('finds a zeroed tail inside the last tensor from a megabyte on (SAFETENSORS_ZEROED_TAIL)', async () => {
    const tail = async (zeroBytes: number) => {
      const data = new Uint8Array(6 << 20).fill(1);
      data.fill(0, data.length - zeroBytes);
      return codesOf(await written([tensor('w', 'U8', [data.length], data)]), true);
    };
    expect(await tail(4 << 20)).toEqual(['SAFETENSORS_ZEROED_TAIL']);
    expect(await tail(1 << 19)).toEqual([]);
  });
  it('counts NaN and infinities as float arithmetic does, wherever they stand (SAFETENSORS_WEIGHT_NOT_FINITE)', async () => {
    /** Values from bits: bf16 is the upper half of an f32; an f16 is not finite when all its exponent bits are set. */
    const isFiniteAt: Readonly<Record<string, (view: DataView, i: number) => boolean>> = {
      F32: (view, i) => Number.isFinite(view.getFloat32(4 * i, true)),
      BF16: (view, i) => Number.isFinite(new DataView(Uint32Array.of(view.getUint16(2 * i, true) << 16).buffer).getFloat32(0, true)),
      F16: (view, i) => (view.getUint16(2 * i, true) >> 10) % 32 !== 31,
    };
    const bits = fc.constantFrom(0, 1, 0x3f, 0x7b, 0x7c, 0x7f, 0x80, 0xbf, 0xfb, 0xfc, 0xff, 0x7e);
    await fc.assert(fc.asyncProperty(fc.constantFrom('F32', 'BF16', 'F16'), fc.array(bits, { minLength: 4, maxLength: 60 }), async (type, values) => {
      const { bytesPerBlock } = dtype(type);
      const data = values.slice(0, values.length - (values.length % bytesPerBlock));
      const count = data.length / bytesPerBlock;
      const view = new DataView(Uint8Array.from(data).buffer);
      const nonFinite = Array.from({ length: count }, (_, i) => i).filter((i) => !isFiniteAt[type]!(view, i));
      const bytes = await written([tensor('w', type, [count], data)]);
      const found = (await diagnose(bytes, 'x', true)).filter(({ code }) => code === 'SAFETENSORS_WEIGHT_NOT_FINITE');
      const start = bytes.length - data.length + (nonFinite[0] ?? 0) * bytesPerBlock;
      expect(found.map(({ message, byteRange }) => [message, byteRange])).toEqual(
        nonFinite.length === 0 ? [] : [[`${nonFinite.length} of ${count} values of "w" are NaN or infinite`, [start, start + bytesPerBlock]]],
      );
    }), { numRuns: 500 });
  });
  it('says which types it cannot judge', async () => {
    const bytes = await written([tensor('a', 'F8_E4M3', [1], [0x7f]), tensor('b', 'I32', [1], [1, 0, 0, 0])]);
    const { checkpoint } = await safetensors.read(memorySource(bytes));
    expect((await safetensors.validate(checkpoint!, { deep: true })).notChecked[0]).toBe('NaN and infinities in values of F8_E4M3');
  });
  it('notes tensors of zeros, and does not call integers a zeroed tail', async () => {
    expect(await codesOf(await written([tensor('a', 'F32', [1], floats(0)), tensor('b', 'F32', [1], floats(1)), tensor('mask', 'BOOL', [4], [0, 0, 0, 0])]), true)).toEqual(['SAFETENSORS_ALL_ZERO_TENSORS']);
    expect(await codesOf(await written([tensor('a', 'F32', [1], floats(1)), tensor('b', 'F32', [1], floats(0)), tensor('mask', 'BOOL', [4], [0, 0, 0, 0])]), true)).toEqual(['SAFETENSORS_ZEROED_TAIL']);
  });
  it('stops when it is aborted', async () => {
    const { checkpoint } = await safetensors.read(memorySource(await written([tensor('a', 'F32', [1], floats(1))])));
    await expect(safetensors.validate(checkpoint!, { deep: true, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });
});

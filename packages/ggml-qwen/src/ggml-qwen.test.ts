/** The tiny Qwen-1 model in every type: directory, byte-exact round trips, and the converter's bytes reproduced. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dtype, verdictOf, type ByteSink, type Checkpoint, type Diagnostic } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { describe, expect, it } from 'vitest';
import { ggmlQwen, writeGgmlQwen } from './index.js';

const bytesOf = (path: string): Uint8Array | undefined => {
  const found = sharedData(path);
  return found === undefined ? undefined : readFileSync(found);
};
const json = (path: string): unknown => JSON.parse(Buffer.from(bytesOf(path)!).toString('utf8'));
const tiny = (name: string) => bytesOf(`ggml-qwen/tiny-${name}.bin`);
const open = async (bytes: Uint8Array): Promise<Checkpoint> => {
  const { checkpoint, diagnostics } = await ggmlQwen.read(memorySource(bytes));
  if (!checkpoint) throw new Error(diagnostics.map((d) => d.message).join('; '));
  return checkpoint;
};
const written = async (write: (sink: ByteSink) => Promise<unknown>): Promise<Uint8Array> => {
  const sink = memorySink();
  await write(sink);
  return sink.bytes();
};
const errors = (diagnostics: readonly Diagnostic[]) => diagnostics.filter((d) => d.severity === 'error');
const types = ['f32', 'q4_0', 'q5_1', 'q8_0'];

describe.each(types)('tiny-%s.bin', (type) => {
  const bytes = tiny(type);
  it.skipIf(!bytes)('is detected, deeply valid, and has the directory that another reader wrote down', async () => {
    expect(ggmlQwen.detect(bytes!.subarray(0, 52), '', bytes!.length)?.confidence).toBe('certain');
    const { checkpoint, diagnostics, variant } = await ggmlQwen.read(memorySource(bytes!));
    expect(variant).toBe(type);
    const deep = await ggmlQwen.validate(checkpoint!, { deep: true });
    expect(verdictOf([...diagnostics, ...deep.diagnostics])).toBe('valid');
    const layout = json(`ggml-qwen/tiny-${type}.layout.json`) as { name: string; data_offset: number; nbytes: number; shape: number[]; dtype: string }[];
    expect(checkpoint!.tensors.map((t) => ({ name: t.name, data_offset: t.location.offset, nbytes: t.location.length, shape: t.shape, dtype: t.dtype.name.toLowerCase() }))).toEqual(
      layout.map(({ name, data_offset, nbytes, shape, dtype: type_ }) => ({ name, data_offset, nbytes, shape, dtype: type_ })),
    );
  });
  it.skipIf(!bytes)('round-trips byte for byte', async () => {
    const checkpoint = await open(bytes!);
    expect(Buffer.compare(await written((sink) => ggmlQwen.write!(checkpoint, sink)), bytes!)).toBe(0);
  });
});

describe('writeGgmlQwen', () => {
  const f32 = tiny('f32');
  const files = f32 ? Object.entries((json('ggml-qwen/tiny.json') as { files: Record<string, { sha256: string; size: number }> }).files) : [];
  it.skipIf(!f32).each(files)('makes the %s file from the f32 one, with the hash of the independent writer', async (type, { sha256, size }) => {
    const checkpoint = await open(f32!);
    const ours = await written((sink) => writeGgmlQwen(checkpoint, sink, { dtype: dtype(type) }));
    expect([ours.length, createHash('sha256').update(ours).digest('hex')]).toEqual([size, sha256]);
  });
  it.skipIf(!f32)('refuses non-finite weights, naming tensor and element (CODEC_NON_FINITE_INPUT)', async () => {
    const damaged = Uint8Array.from(f32!);
    new DataView(damaged.buffer).setFloat32(96 + 4 * 70, NaN, true); // tiny-f32: wte data starts at 96
    const checkpoint = await open(damaged);
    await expect(written((sink) => writeGgmlQwen(checkpoint, sink, { dtype: dtype('Q4_0') }))).rejects.toThrow(/CODEC_NON_FINITE_INPUT: transformer.wte.weight: element 70/);
  });
});

describe('a damaged file', () => {
  const bytes = tiny('q4_0');
  it.skipIf(!bytes)('with any header field replaced by −1, 0 or 2^31−1 always gets a code, and an error unless the field is not checkable', async () => {
    for (let field = 0; field < 12; field++) {
      for (const value of [-1, 0, 2 ** 31 - 1]) {
        const damaged = Uint8Array.from(bytes!);
        new DataView(damaged.buffer).setInt32(4 + 4 * field, value, true);
        const { diagnostics, checkpoint } = await ggmlQwen.read(memorySource(damaged));
        const checkable = field < 7 || (field === 7 && value < 1);
        expect(diagnostics.length, `field ${field} = ${value}`).toBeGreaterThan(0);
        expect(errors(diagnostics).length > 0, `field ${field} = ${value}: ${diagnostics.map((d) => d.code).join()}`).toBe(checkable);
        expect(checkpoint === undefined).toBe(checkable);
        const odd = field >= 8 && (value < 0 || value > 512);
        expect(diagnostics.some((d) => d.code === 'GGML_QWEN_TOKEN_ID')).toBe(odd);
      }
    }
  });
  it.skipIf(!bytes)('with any record-header byte flipped is refused, with a byte range that holds the flipped byte', async () => {
    const { tensors } = await open(bytes!);
    let recordStart = 52;
    for (const { name, location, shape } of tensors) {
      const recordEnd = recordStart + 4 + name.length + 4 + 4 * shape.length + 4;
      for (let offset = recordStart; offset < recordEnd; offset++) {
        const damaged = Uint8Array.from(bytes!);
        damaged[offset]! ^= 0x41;
        const [error] = errors((await ggmlQwen.read(memorySource(damaged))).diagnostics);
        expect(error?.byteRange![0], `${name} byte ${offset - recordStart}`).toBeLessThanOrEqual(offset);
        expect(error?.byteRange![1], `${name} byte ${offset - recordStart}`).toBeGreaterThan(offset);
      }
      recordStart = location.offset + location.length;
    }
  });
  it.skipIf(!bytes)('cut anywhere is refused with a range that ends at the cut', async () => {
    for (let length = bytes!.length - 1; length >= 0; length = length > 200 ? length - 97 : length - 1) {
      const [error] = errors((await ggmlQwen.read(memorySource(bytes!.subarray(0, length)))).diagnostics);
      expect(error?.byteRange![1], `cut at ${length}`).toBeLessThanOrEqual(length);
      expect(error!.code).toMatch(/TRUNCATED|BAD_MAGIC/);
    }
  });
  it.skipIf(!bytes)('written big-endian is named as such', async () => {
    const swapped = Uint8Array.from(bytes!);
    for (let i = 4; i < 52; i += 4) swapped.subarray(i, i + 4).reverse();
    expect(errors((await ggmlQwen.read(memorySource(swapped))).diagnostics).map((d) => d.code)).toEqual(['GGML_QWEN_BIG_ENDIAN']);
  });
  it.skipIf(!bytes)('with an infinite scale, a zeroed tail or a block of zeros is told by the deep check', async () => {
    const { tensors } = await open(bytes!);
    const deepCodes = async (change: (bytes: Uint8Array) => void) => {
      const changed = Uint8Array.from(bytes!);
      change(changed);
      return (await ggmlQwen.validate(await open(changed), { deep: true })).diagnostics.map((d) => [d.code, d.byteRange]);
    };
    const head = tensors.at(-1)!.location;
    expect(await deepCodes((b) => b.set([0x00, 0xfc], head.offset + 18))).toEqual([['GGML_QWEN_WEIGHT_NOT_FINITE', [head.offset + 18, head.offset + 36]]]);
    expect(await deepCodes((b) => b.fill(0, head.offset))).toEqual([['GGML_QWEN_ZEROED_TAIL', [head.offset, head.offset + head.length]]]);
    expect(await deepCodes((b) => b.fill(0x88, head.offset + 2, head.offset + 18).set([0x00, 0x80], head.offset))).toEqual([['GGML_QWEN_ROUNDING', [head.offset, head.offset + 18]]]);
  });
  it.skipIf(!bytes)('a Q5_0 file is said to come from another tool than the converter', async () => {
    const checkpoint = await open(bytes!);
    const q5 = await written((sink) => writeGgmlQwen(checkpoint, sink, { dtype: dtype('Q5_0') }));
    expect((await ggmlQwen.read(memorySource(q5))).diagnostics.map((d) => `${d.severity} ${d.code}`)).toContain('info GGML_QWEN_Q5_0_PRODUCER');
  });
});

describe('the malformed collection', () => {
  const manifest = sharedData('malformed/manifest.json');
  const cases = manifest ? (json('malformed/manifest.json') as { id: string; format: string; expect: string; rule: string }[]).filter((entry) => entry.format === 'qwen-ggml') : [];
  /** Where the manifest and the severity table of this project disagree, the table wins. */
  const overruled: Readonly<Record<string, string>> = { 'qwen-ggml/warn-trailing.bin': 'reject' }; // bytes after the last structure are an error
  // Also keeps the suite from being empty where shared/ is missing: an empty one fails.
  it.skipIf(!manifest)('has files of this format', () => expect(cases.length).toBeGreaterThan(0));
  it.each(cases)('$id: $expect ($rule)', async ({ id, expect: expected }) => {
    const bytes = bytesOf(`malformed/${id}`)!;
    const { diagnostics, checkpoint } = await ggmlQwen.read(memorySource(bytes, id));
    const all = [...diagnostics, ...(checkpoint ? (await ggmlQwen.validate(checkpoint)).diagnostics : [])];
    const accepted = { accept: ['valid', 'warnings'], warn: ['warnings'], reject: ['invalid'] }[overruled[id] ?? expected];
    expect(accepted, `${id}: ${all.map((d) => d.code).join()}`).toContain(verdictOf(all));
    // The collection's files state the MLP's width undoubled: readable, though qwen.cpp itself stops at their first w1.
    const undoubled = all.some((d) => d.code === 'GGML_QWEN_INTERMEDIATE_NOT_DOUBLED');
    expect(checkpoint === undefined || undoubled).toBe(true);
  });
});

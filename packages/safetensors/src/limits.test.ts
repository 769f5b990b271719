/** What is refused for its size alone: one below and one above each limit, in reading and writing, and in how much memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { dtype, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import * as fc from 'fast-check';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeHeader, memberBeyond, safetensors } from './index.js';
import { MAX_STRING_BYTES } from './json-reader.js';
import { MAX_DIMENSIONS, MAX_DIMENSIONS_IN_ALL, MAX_MEMBERS, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_NAME_BYTES } from './limits.js';

/** A file of this header and as many bytes of data. */
function file(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const empty = (name: string): string => `"${name}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`;
async function read(header: string, dataBytes = 0): Promise<readonly Diagnostic[]> {
  return (await safetensors.read(memorySource(file(header, dataBytes)))).diagnostics;
}
const codesOf = async (header: string, dataBytes?: number): Promise<readonly string[]> => (await read(header, dataBytes)).map(({ code }) => code);
const metadata = (entries: string): string => `{"__metadata__":{${entries}}}`;
const many = (count: number, entry: (index: number) => string): string => Array.from({ length: count }, (_, index) => entry(index)).join(',');

describe('the limits of a header', () => {
  it('are 262,144 members, metadata among them (SAFETENSORS_TOO_MANY_TENSORS)', async () => {
    // Repeated names are an error of their own, and quickly read.
    expect(await codesOf(`{${many(MAX_MEMBERS, () => '"a":0')}}`)).not.toContain('SAFETENSORS_TOO_MANY_TENSORS');
    const beyond = `{"__metadata__":{"a":"b","c":"d"},${many(MAX_MEMBERS, (index) => empty(String(index)))}}`;
    const [found, ...more] = await read(beyond);
    expect([found!.code, more]).toEqual(['SAFETENSORS_TOO_MANY_TENSORS', []]);
    // The range is in the file, behind the header's length.
    expect(beyond.slice(found!.byteRange![0] - 8).startsWith(`"${MAX_MEMBERS - 1}":{`)).toBe(true);
  });
  it('are 4,096 bytes of a name (SAFETENSORS_NAME_TOO_LONG), and the other tensors are looked at', async () => {
    const longest = 'é'.repeat(MAX_NAME_BYTES / 2);
    expect(await codesOf(`{${empty(longest)}}`)).toEqual([]);
    expect(await codesOf(`{${empty(`${longest}x`)},"b":0}`)).toEqual(['SAFETENSORS_NAME_TOO_LONG', 'SAFETENSORS_TENSOR_INFO']);
  });
  it('are 65,536 entries of metadata (SAFETENSORS_METADATA_TOO_LARGE)', async () => {
    expect(await codesOf(metadata(many(MAX_METADATA_ENTRIES, (index) => `"${index}":""`)))).toEqual([]);
    expect(await codesOf(metadata(many(MAX_METADATA_ENTRIES + 1, (index) => `"${index}":""`)))).toEqual(['SAFETENSORS_METADATA_TOO_LARGE']);
  });
  it('are 16,777,216 bytes of metadata, from its brace to the end of the last text (SAFETENSORS_METADATA_TOO_LARGE)', async () => {
    const text = (length: number): string => metadata(`"a":"${'x'.repeat(length)}"`);
    expect(await codesOf(text(MAX_METADATA_BYTES - 7))).toEqual([]);
    expect(await codesOf(text(MAX_METADATA_BYTES - 6))).toEqual(['SAFETENSORS_METADATA_TOO_LARGE']);
  });
  it.each([['plain', 'x', ''], ['with an escape at its start', 'x', '\\n'], ['of escapes', '\\n', '']])('are 16,777,216 bytes of a string, %s (SAFETENSORS_STRING_TOO_LONG)', async (_what, unit, before) => {
    const text = (length: number): string => `{"a":{"x":"${before}${unit.repeat((length - before.length) / unit.length)}"}}`;
    expect(await codesOf(text(MAX_STRING_BYTES))).toEqual(['SAFETENSORS_UNKNOWN_FIELD', 'SAFETENSORS_MISSING_FIELD']);
    expect(await codesOf(text(MAX_STRING_BYTES + unit.length))).toEqual(['SAFETENSORS_STRING_TOO_LONG']);
  });
  it('are 4,194,304 dimensions in all (SAFETENSORS_TOO_MANY_DIMENSIONS)', async () => {
    const ones = Array.from({ length: MAX_DIMENSIONS }, () => 1).join(',');
    const count = MAX_DIMENSIONS_IN_ALL / MAX_DIMENSIONS;
    const tensors = many(count, (index) => `"${index}":{"dtype":"U8","shape":[${ones}],"data_offsets":[${index},${index + 1}]}`);
    expect(await codesOf(`{${tensors}}`, count)).toEqual([]);
    expect(await codesOf(`{${tensors},${empty('one more')}}`, count)).toEqual(['SAFETENSORS_TOO_MANY_DIMENSIONS']);
  });
});

describe('memberBeyond', () => {
  it('finds the first member beyond the limit, as JSON.parse counts them, whatever is inside of them', () => {
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 8 }), fc.integer({ min: 1, max: 9 }), fc.constantFrom(undefined, 1), (value, most, space) => {
      const bytes = new TextEncoder().encode(JSON.stringify(value, null, space));
      const at = memberBeyond(bytes, 0, 1, most);
      const beyond = Object.keys(value)[most];
      const found = at === undefined ? undefined : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at, at + JSON.stringify(beyond).length * 3));
      expect(found?.startsWith(JSON.stringify(beyond))).toBe(beyond === undefined ? undefined : true);
    }), { numRuns: 500 });
  });
  it('counts at the depth asked for', () => {
    const bytes = new TextEncoder().encode('{"a":{"b":[0,0,0,0,0,0,0,0,0,0],"c":0},"d":{"e":0}}');
    expect([1, 2, 3].map((most) => memberBeyond(bytes, 0, 2, most))).toEqual([bytes.indexOf(0x63) - 1, bytes.indexOf(0x65) - 1, undefined]);
    expect(memberBeyond(bytes, 0, 1, 1)).toBe(bytes.indexOf(0x64) - 1);
    expect(memberBeyond(bytes, 0, 1, 2)).toBeUndefined();
  });
});

describe('the writer', () => {
  const tensor = (name: string, shape: readonly number[]): TensorInfo => ({ name, dtype: dtype('U8'), shape, location: { source: memorySource(new Uint8Array(0)), offset: 0, length: 0 } });
  const zeros = (length: number): number[] => Array.from({ length }, () => 0);
  const refusals: readonly (readonly [code: string, what: string, within: () => readonly TensorInfo[], beyond: () => readonly TensorInfo[]])[] = [
    ['SAFETENSORS_WRITE_NAME', 'a name of more than 4,096 bytes', () => [tensor('n'.repeat(MAX_NAME_BYTES), [0])], () => [tensor('\n'.repeat(MAX_NAME_BYTES / 2 + 1), [0])]],
    ['SAFETENSORS_WRITE_TENSOR', 'more than 1,024 dimensions', () => [tensor('t', zeros(MAX_DIMENSIONS))], () => [tensor('t', zeros(MAX_DIMENSIONS + 1))]],
    ['SAFETENSORS_WRITE_HEADER_TOO_LARGE', 'more than 262,144 tensors', () => Array.from({ length: MAX_MEMBERS }, (_, i) => tensor(String(i), [0])), () => Array.from({ length: MAX_MEMBERS + 1 }, (_, i) => tensor(String(i), [0]))],
    ['SAFETENSORS_WRITE_HEADER_TOO_LARGE', 'more than 4,194,304 dimensions in all', () => Array.from({ length: 4096 }, (_, i) => tensor(String(i), zeros(1024))), () => Array.from({ length: 4097 }, (_, i) => tensor(String(i), zeros(1024)))],
  ];
  it.each(refusals)('refuses what would not be read again (%s): %s', (code, _what, within, beyond) => {
    expect(encodeHeader(within()).length).toBeGreaterThan(8);
    expect(() => encodeHeader(beyond())).toThrow(code);
  });
  it.each([
    ['more than 65,536 entries', Object.fromEntries(Array.from({ length: MAX_METADATA_ENTRIES + 1 }, (_, i) => [`k${i}`, '']))],
    ['more than 16,777,216 bytes', { a: 'x'.repeat(MAX_METADATA_BYTES) }],
  ])('refuses metadata of %s (SAFETENSORS_WRITE_METADATA)', (_what, tooMuch) => {
    expect(() => encodeHeader([], tooMuch)).toThrow('SAFETENSORS_WRITE_METADATA');
  });
});

/** Every byte a header of the full 100 MB; reading them with a heap of a few megabytes shows what is built before they are refused. */
const hostile: Readonly<Record<string, readonly [code: string, fill: string]>> = {
  'two million empty tensors': ['SAFETENSORS_TOO_MANY_TENSORS', `for (let i = 0; put(\`"\${i}":["F4",[],[0,0]],\`); i++);`],
  'ten million entries of metadata': ['SAFETENSORS_METADATA_TOO_LARGE', `put('"__metadata__":{'); for (let i = 0; put(\`"\${i}":"",\`); i++);`],
  'one text of escapes': ['SAFETENSORS_STRING_TOO_LONG', `put('"__metadata__":{"a":"'); while (put('\\\\n'.repeat(10000)));`],
  'one text that takes two bytes a character': ['SAFETENSORS_STRING_TOO_LONG', `put('"__metadata__":{"a":"語'); at = bytes.length - 20; put('"}}');`],
};

describe('a header that is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-limits-'));
  beforeAll(async () => {
    const sourceOf = (name: string): string => fileURLToPath(new URL(`../../${name}/src/index.ts`, import.meta.url));
    await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias: { '@weightspec/core': sourceOf('core'), '@weightspec/codecs': sourceOf('codecs') } },
      build: { ssr: sourceOf('safetensors'), outDir: folder, rollupOptions: { output: { entryFileNames: 'safetensors.mjs' } } },
      ssr: { noExternal: true },
    });
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(Object.entries(hostile))('fits into a heap of 48 MB: %s', async (_what, [code, fill]) => {
    const script = `
      const { workerData, parentPort } = require('node:worker_threads');
      const bytes = Buffer.alloc(100_000_008, 0x20);
      bytes.writeBigUInt64LE(100_000_000n);
      let at = 8;
      const put = (text) => at + 3 * text.length < bytes.length && (at += bytes.write(text, at));
      put('{');
      ${fill}
      const read = async (offset, length) => bytes.subarray(offset, offset + length);
      import(workerData).then(({ safetensors }) => safetensors.read({ name: 'hostile', size: bytes.length, read })).then(({ diagnostics }) => parentPort.postMessage(diagnostics.map(({ code }) => code)));`;
    const worker = new Worker(script, { eval: true, execArgv: [], workerData: pathToFileURL(join(folder, 'safetensors.mjs')).href, resourceLimits: { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 16 } });
    const codes = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    expect(codes).toEqual([code]);
  }, 30_000);
});

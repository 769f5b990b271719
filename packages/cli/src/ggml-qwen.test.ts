/** qwen.cpp's container at the command line: the layouts that another writer wrote down, a 7B file within its memory, and damage of every header field. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { elementCount, type ByteSource } from '@weightspec/core';
import { validateSource, type Report } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { fileSource } from '@weightspec/io/node';
import { generateGgmlQwen, ggmlQwenFields, planGgmlQwen, sharedData, writeSparseGgmlQwen, type GgmlQwenPlan, type GgmlQwenRecipe } from '@weightspec/oracles';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from './main.js';
import type { Terminal } from './terminal.js';

/** The built command (npm test builds before it tests). */
const bin = fileURLToPath(new URL('../bin/weightspec.js', import.meta.url));

interface Row {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly byteRange: readonly [number, number];
}

/** Runs one command line in this process. */
async function weightspec(...argv: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {} };
  return { code: await main(argv, terminal), ...written };
}

const directoryOf = (json: string): Row[] => (JSON.parse(json) as { tensors: Row[] }).tensors.map(({ name, dtype, shape, byteRange }) => ({ name, dtype, shape, byteRange }));

describe.each(['f32', 'q4_0', 'q5_1', 'q8_0'])('tiny-%s.bin', (type) => {
  const path = sharedData(`ggml-qwen/tiny-${type}.bin`);
  const layoutPath = sharedData(`ggml-qwen/tiny-${type}.layout.json`);
  const layout = layoutPath ? (JSON.parse(readFileSync(layoutPath, 'utf8')) as { name: string; data_offset: number; nbytes: number; shape: number[]; dtype: string }[]) : [];
  const expected: Row[] = layout.map(({ name, dtype, shape, data_offset: start, nbytes }) => ({ name, dtype: dtype.toUpperCase(), shape, byteRange: [start, start + nbytes] }));

  it.skipIf(!path || !layoutPath)('is inspected with the layout that another writer wrote down, as JSON and as text', async () => {
    const json = await weightspec('inspect', '--json', path!);
    expect({ code: json.code, stderr: json.stderr, directory: directoryOf(json.stdout) }).toEqual({ code: 0, stderr: '', directory: expected });
    const text = await weightspec('inspect', path!);
    const rows = [...text.stdout.matchAll(/^ +(\S+) +(\S+) +\[([\d, ]+)\] +\[(\d+), (\d+)\)$/gm)];
    expect(rows.map(([, name, dtype, shape, start, end]) => ({ name, dtype, shape: shape!.split(', ').map(Number), byteRange: [Number(start), Number(end)] }))).toEqual(expected);
  });
  it.skipIf(!path || !layoutPath)('is valid, deeply too, and every tensor is counted', async () => {
    const { code, stdout } = await weightspec('validate', '--deep', '--format', 'json', path!);
    const { reports } = JSON.parse(stdout) as { reports: Report[] };
    const [report] = reports;
    expect(code).toBe(0);
    expect(report).toMatchObject({ format: 'ggml-qwen', variant: type, verdict: 'valid' });
    expect(report!.stats).toMatchObject({ tensorCount: layout.length, parameterCount: layout.reduce((sum, { shape }) => sum + elementCount(shape), 0), bytesChecked: layout.reduce((sum, { nbytes }) => sum + nbytes, 0) });
    expect((await weightspec('validate', path!)).stdout).toMatch(new RegExp(`^.*: valid \\(ggml-qwen ${type}, .*, ${layout.length} tensors`));
  });
});

const sevenB: GgmlQwenRecipe = { typeId: 2, vocabSize: 151936, hiddenSize: 4096, heads: 32, layers: 32, ffn: 11008, maxLength: 8192, tokenIds: [151643, 151643, 151644, 151645], seed: 1 };

/** What fields are replaced by. */
const damages = [-1, 0, 2 ** 31 - 1];

describe('a sparse q4_0 file of 7B shape, 4.3 GB', () => {
  let folder = '';
  let plan: GgmlQwenPlan;
  const path = () => join(folder, 'qwen-7b-q4_0.bin');
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weightspec-'));
    plan = writeSparseGgmlQwen(path(), sevenB);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is inspected with the right directory, in a process that never has 120 MB', () => {
    expect(plan.byteLength).toBeGreaterThan(2 ** 32);
    const atExit = 'process.on("exit", () => process.stderr.write(`maxRSS ${process.resourceUsage().maxRSS}`))';
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(atExit)}`, bin, 'inspect', '--json', path()], { encoding: 'utf8' });
    const [, maxRss] = /^maxRSS (\d+)$/.exec(stderr) ?? [];
    expect({ status, stderr }).toEqual({ status: 0, stderr: `maxRSS ${maxRss}` });
    expect(directoryOf(stdout)).toEqual(
      plan.records.map(({ name, shape, dataOffset, dataLength }) => ({ name, dtype: shape.length === 2 ? 'Q4_0' : 'F32', shape, byteRange: [dataOffset, dataOffset + dataLength] })));
    // In KiB. An empty Node process has about 45 MB.
    expect(Number(maxRss)).toBeLessThan((120 * 1000 * 1000) / 1024);
    expect(Number(maxRss)).toBeGreaterThan(10 * 1024);
  });

  it('with any header field replaced by −1, 0 or 2^31 − 1 gets a code, and little memory is asked for', async () => {
    const file = await fileSource(path());
    const faults: string[] = [];
    for (const [i, field] of ggmlQwenFields.entries()) {
      for (const value of damages) {
        const header = plan.headerBytes.slice();
        new DataView(header.buffer).setInt32(4 + 4 * i, value, true);
        faults.push(...(await validated(withHead(file, header), `${field} = ${value}`, { sound: isSound(field, value), deep: false })).faults);
      }
    }
    await file.close?.();
    expect(faults).toEqual([]);
  });
});

/** `source` with other bytes at its start. */
const withHead = (source: ByteSource, head: Uint8Array): ByteSource => ({
  name: source.name,
  size: source.size,
  async read(offset, length) {
    const bytes = await source.read(offset, length);
    if (offset < head.length) bytes.set(head.subarray(offset, offset + length));
    return bytes;
  },
});

/** The only damage that a clause allows: token 0 is a token. */
const isSound = (field: string, value: number): boolean => field.endsWith('_id') && value === 0;

const MEMORY_BOUND = 64 * 2 ** 20;
/** Far above the few milliseconds that any of these takes, and far below what a loop over 2^31 of anything takes. */
const TIME_BOUND_MS = 5000;

function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

interface Validated {
  readonly report: Report;
  /** What was wrong with how the file was dealt with; empty when all is well. */
  readonly faults: readonly string[];
}

/**
 * Validates `source`, which must give a coded finding, a verdict that is not `valid` (but for sound files), bounded memory and time.
 * Memory is what this process has more than before, looked at on every read and at the end; and no read may ask for more.
 */
async function validated(source: ByteSource, what: string, { sound, deep }: { readonly sound: boolean; readonly deep: boolean }): Promise<Validated> {
  const before = usedBytes();
  let [peak, requested] = [before, 0];
  const watched: ByteSource = {
    name: source.name,
    size: source.size,
    read(offset, length) {
      requested = Math.max(requested, length);
      peak = Math.max(peak, usedBytes());
      return source.read(offset, length);
    },
  };
  const started = performance.now();
  const report = await validateSource(watched, { deep });
  const elapsed = performance.now() - started;
  peak = Math.max(peak, usedBytes());
  const codes = report.diagnostics.map(({ code }) => code).join();
  const faults = [
    ...(codes === '' ? ['no code'] : []),
    ...((report.verdict === 'valid') === sound ? [] : [`${report.verdict} (${codes})`]),
    ...(peak - before < MEMORY_BOUND ? [] : [`${peak - before} bytes of memory`]),
    ...(requested < MEMORY_BOUND ? [] : [`a read of ${requested} bytes`]),
    ...(elapsed < TIME_BOUND_MS ? [] : [`${elapsed} ms`]),
  ];
  return { report, faults: faults.map((fault) => `${what}: ${fault}`) };
}

describe.each([
  ['f32', { typeId: 0, vocabSize: 5, hiddenSize: 4, heads: 2, layers: 2, ffn: 6, maxLength: 16, tokenIds: [1, 0, 3, 4], seed: 2 }],
  ['q4_0', { typeId: 2, vocabSize: 40, hiddenSize: 64, heads: 4, layers: 1, ffn: 96, maxLength: 16, tokenIds: [1, 0, 3, 4], seed: 3 }],
] satisfies [string, GgmlQwenRecipe][])('a damaged %s file', (type, recipe) => {
  // Random data hold NaN, which only deep checks see: whole files are checked shallowly here.
  const bytes = generateGgmlQwen(recipe);
  const plan = planGgmlQwen(recipe);
  const view = (copy: Uint8Array) => new DataView(copy.buffer);

  it('is sound before it is damaged', async () => {
    expect((await validated(memorySource(bytes), 'undamaged', { sound: true, deep: false })).faults).toEqual([]);
  });

  it('cut anywhere gets a code, and is never valid', async () => {
    // Every length in the first kilobyte and around headers, every 61st elsewhere.
    const lengths = new Set([...Array(1000).keys(), ...plan.records.flatMap(({ offset, dataOffset }) => [offset - 1, offset, offset + 1, offset + 4, dataOffset - 1, dataOffset, dataOffset + 1])]);
    for (let length = 0; length < bytes.length; length += 61) lengths.add(length);
    lengths.add(bytes.length - 1);
    const faults: string[] = [];
    for (const length of lengths) {
      const what = `cut to ${length}`;
      const { report, faults: more } = await validated(memorySource(bytes.subarray(0, length)), what, { sound: false, deep: true });
      // Fewer than four bytes are no magic, and nothing claims them.
      const seen = length < 4 ? 'unrecognized null null' : `invalid ggml-qwen ${length < 52 ? null : type}`;
      const actual = `${report.verdict} ${report.format} ${report.variant}`;
      faults.push(...more, ...(actual === seen ? [] : [`${what}: ${actual}`]));
    }
    expect(faults).toEqual([]);
  });

  it('with any header field replaced by −1, 0 or 2^31 − 1, whole or cut, gets a code', async () => {
    const faults: string[] = [];
    for (const [i, field] of ggmlQwenFields.entries()) {
      for (const value of damages) {
        const damaged = bytes.slice();
        view(damaged).setInt32(4 + 4 * i, value, true);
        const sameType = field === 'ggml_type' && value === recipe.typeId;
        for (const length of [damaged.length, damaged.length - 1, 1000, 52]) {
          const whole = length === damaged.length;
          const sound = whole && (sameType || isSound(field, value));
          faults.push(...(await validated(memorySource(damaged.subarray(0, length)), `${field} = ${value}, ${length} bytes`, { sound, deep: !whole })).faults);
        }
      }
    }
    expect(faults).toEqual([]);
  });

  it('with two header fields replaced at once gets a code', async () => {
    const faults: string[] = [];
    const dimensions = ggmlQwenFields.slice(0, 8);
    for (const [first, field] of dimensions.entries()) {
      for (const [second, other] of dimensions.entries()) {
        // max_length contradicts nothing; every other pair contradicts the records, but for one head instead of several.
        if (second <= first || other === 'max_length') continue;
        for (const value of [1, 33, 4095, 2 ** 16, 2 ** 30, ...damages]) {
          const damaged = bytes.slice();
          view(damaged).setInt32(4 + 4 * first, value, true);
          view(damaged).setInt32(4 + 4 * second, value, true);
          const sound = field === 'num_attention_heads' && other === 'num_kv_heads' && value === 1;
          faults.push(...(await validated(memorySource(damaged), `${field} and ${other} = ${value}`, { sound, deep: false })).faults);
        }
      }
    }
    expect(faults).toEqual([]);
  });

  it('with any integer of a tensor record replaced is invalid', async () => {
    const faults: string[] = [];
    for (const { name, offset, shape } of plan.records) {
      const integers = [offset, ...Array.from({ length: shape.length + 2 }, (_, i) => offset + 4 + name.length + 4 * i)];
      for (const at of integers) {
        for (const value of damages) {
          if (view(bytes).getInt32(at, true) === value) continue; // The type of F32 tensors is 0.
          const damaged = bytes.slice();
          view(damaged).setInt32(at, value, true);
          const what = `${name}, ${value} at ${at}`;
          const { report, faults: more } = await validated(memorySource(damaged), what, { sound: false, deep: true });
          faults.push(...more, ...(report.verdict === 'invalid' ? [] : [`${what}: ${report.verdict}`]));
        }
      }
    }
    expect(faults).toEqual([]);
  });
});

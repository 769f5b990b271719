/** Folders and indexes as one model, through the command: validate, inspect, logits. */
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sharedData } from '@weightspec/oracles';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from './main.js';

interface Report {
  readonly path: string;
  readonly format: string | null;
  readonly verdict: string;
  readonly diagnostics: readonly { readonly code: string; readonly byteRange?: readonly [number, number]; readonly source?: string }[];
  readonly stats: { readonly tensorCount: number; readonly files?: readonly string[] };
}

async function weightspec(...argv: string[]): Promise<{ code: number; stdout: string }> {
  let stdout = '';
  const code = await main(argv, { stdout: { write: (chunk: string | Uint8Array) => (stdout += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) }, stderr: { write: () => true }, env: {} });
  return { code, stdout };
}

async function validated(...argv: string[]): Promise<{ code: number; reports: readonly Report[]; notChecked: readonly { path: string }[] }> {
  const { code, stdout } = await weightspec('validate', '--format', 'json', ...argv);
  const { reports, notChecked = [] } = JSON.parse(stdout) as { reports: readonly Report[]; notChecked?: readonly { path: string }[] };
  return { code, reports, notChecked };
}

const sharded = sharedData('models/qwen2-tiny/bf16-sharded-safetensors');
const single = sharedData('models/qwen2-tiny/bf16');
const meta = sharedData('models/llama3-tiny/meta-2');
const hf = sharedData('models/llama3-tiny/hf');

describe.skipIf(!sharded || !single || !meta || !hf)('a model in a folder', () => {
  let work: string;
  const copyOf = async (folder: string, name: string): Promise<string> => {
    const copy = join(work, name);
    await cp(folder, copy, { recursive: true });
    return copy;
  };
  const logits = async (target: string): Promise<Buffer> => {
    const out = join(work, 'logits.f32');
    expect((await weightspec('logits', target, '--tokens', '5,6,7,8,9', '--all', '--out', out, '--backend', 'reference')).code).toBe(0);
    return readFile(out);
  };
  beforeAll(async () => (work = await mkdtemp(join(tmpdir(), 'weightspec-folders-'))));
  afterAll(() => rm(work, { recursive: true }));

  it('is one report over its shards, and files that are no part of it are reported apart', async () => {
    const folder = await copyOf(sharded!, 'apart');
    await writeFile(join(folder, 'notes.txt'), 'hello');
    await writeFile(join(folder, 'other.safetensors'), 'not weights');
    const { code, reports, notChecked } = await validated(folder);
    expect(reports.map(({ path, format, verdict }) => [path, format, verdict])).toEqual([[folder, 'sharded-index', 'valid'], [join(folder, 'other.safetensors'), null, 'unrecognized']]);
    expect(reports[0]!.stats.files).toEqual(['model.safetensors.index.json', 'model-00001-of-00003.safetensors', 'model-00002-of-00003.safetensors', 'model-00003-of-00003.safetensors']);
    expect(notChecked.map(({ path }) => path)).toEqual([join(folder, 'notes.txt')]);
    expect(code).toBe(1);
  });
  it('fails as a whole when a shard is missing (SHARDED_INDEX_SHARD_MISSING) or cut, which is told with its place', async () => {
    const missing = await copyOf(sharded!, 'missing');
    await rm(join(missing, 'model-00002-of-00003.safetensors'));
    const first = await validated(missing);
    expect([first.code, first.reports[0]!.diagnostics.map(({ code }) => code)]).toEqual([1, expect.arrayContaining(['SHARDED_INDEX_SHARD_MISSING'])]);

    const cut = await copyOf(sharded!, 'cut');
    const shard = join(cut, 'model-00003-of-00003.safetensors');
    await writeFile(shard, (await readFile(shard)).subarray(0, -1));
    const second = await validated(cut);
    const error = second.reports[0]!.diagnostics.find(({ code }) => code === 'SAFETENSORS_TRUNCATED');
    expect([second.code, error?.source]).toEqual([1, shard]);
    expect((await weightspec('validate', cut)).stdout).toMatch(/\^\^/);
  });
  it('says when the configuration is another model\'s (FOLDER_TENSOR_SHAPE)', async () => {
    const folder = await copyOf(hf!, 'other-config');
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as { intermediate_size: number };
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, intermediate_size: config.intermediate_size + 8 }));
    const { code, reports } = await validated(folder);
    expect([code, reports[0]!.diagnostics.some((d) => d.code === 'FOLDER_TENSOR_SHAPE')]).toEqual([1, true]);
  });
  it('gives the same logits from shards, from the index itself and from one file', async () => {
    const whole = await logits(single!);
    expect(Buffer.compare(await logits(sharded!), whole)).toBe(0);
    const names = await readdir(sharded!);
    expect(Buffer.compare(await logits(join(sharded!, names.find((name) => name.endsWith('.index.json'))!)), whole)).toBe(0);
  });
  it('joins Meta\'s parts: the same model as its Hugging Face form, to rounding', async () => {
    const floats = (bytes: Buffer) => new Float32Array(Uint8Array.from(bytes).buffer);
    const [joined, converted] = [floats(await logits(meta!)), floats(await logits(hf!))];
    expect(joined.length).toBe(converted.length);
    // The rows of q and k stand in another order, so sums of f32 round differently; both stay within 2.6e-5 of float64.
    expect(joined.reduce((worst, value, i) => Math.max(worst, Math.abs(value - converted[i]!)), 0)).toBeLessThan(6e-5);
  });
  it('is inspected with the file of each tensor', async () => {
    const { stdout } = await weightspec('inspect', '--json', sharded!);
    const { format, tensors } = JSON.parse(stdout) as { format: string; tensors: readonly { file: string }[] };
    expect([format, new Set(tensors.map(({ file }) => file)).size]).toEqual(['sharded-index', 3]);
  });
});

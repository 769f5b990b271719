import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codecs } from '@weightspec/codecs';
import { main } from '../main.js';
import type { Terminal } from '../terminal.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {} };
  return { code: await main(argv, terminal), ...written };
}

let folder: string;
const at = (name: string) => join(folder, name);

/** A safetensors file by its definition: length, JSON, tensors one after the other. */
async function writeTensors(name: string, tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly values: Float32Array }>>): Promise<void> {
  let end = 0;
  const header = Object.fromEntries(Object.entries(tensors).map(([key, { shape, values }]) => [key, { dtype: 'F32', shape, data_offsets: [end, (end += values.byteLength)] }]));
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFile(at(name), Buffer.concat([length, json, ...Object.values(tensors).map(({ values }) => codecs.f32.quantize(values))]));
}
const wave = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i * step + i));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weightspec-compare-'));
  const [first, second] = [wave(512, 0.37), wave(512, 0.11)];
  const tensors = (gate: Float32Array, up: Float32Array, odd: Float32Array) => ({
    'model.embed_tokens.weight': { shape: [64, 8], values: wave(512, 0.7) },
    'model.layers.0.mlp.gate_proj.weight': { shape: [64, 8], values: gate },
    'model.layers.0.mlp.up_proj.weight': { shape: [64, 8], values: up },
    '<script>alert(1)</script>\u001b[2J': { shape: [2], values: odd },
  });
  await writeTensors('a.safetensors', tensors(first, second, Float32Array.of(1, 2)));
  await writeTensors('near.safetensors', tensors(first.map((value) => value + 1e-3), second, Float32Array.of(1, 2)));
  await writeTensors('swapped.safetensors', tensors(second, first, Float32Array.of(1, 2.5)));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('compare', () => {
  it('exits with 0 for equal and close models and 1 for different ones, with a verdict on stdout', async () => {
    expect(await weightspec('compare', at('a.safetensors'), at('a.safetensors'))).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('\nequal: every value is the same (4 tensors in both, 4 equal)\n') as string });
    expect(await weightspec('compare', at('a.safetensors'), at('near.safetensors'))).toMatchObject({ code: 0, stdout: expect.stringMatching(/\nclose: .*4 tensors in both, 3 equal/) as string });
    expect(await weightspec('compare', at('a.safetensors'), at('swapped.safetensors'))).toMatchObject({ code: 1, stdout: expect.stringMatching(/\ndifferent \(/) as string });
  });
  it('says what explains a difference, and spells control characters', async () => {
    const { stdout } = await weightspec('compare', at('a.safetensors'), at('swapped.safetensors'));
    expect(stdout).toMatch(/layers\.0\.feed_forward\.w1\.weight .*model\.layers\.0\.mlp\.up_proj\.weight is what matches/);
    expect(stdout).toContain('\\u{1b}[2J');
    expect(stdout).not.toContain('\u001b');
  });
  it('prints the whole comparison as JSON', async () => {
    const { stdout } = await weightspec('compare', at('a.safetensors'), at('swapped.safetensors'), '--json');
    const result = JSON.parse(stdout) as { a: unknown; verdict: string; missing: string[]; tensors: { name: string; explanation?: { kind: string } }[] };
    expect(result).toMatchObject({ a: { path: at('a.safetensors'), format: 'safetensors', names: 'hf' }, verdict: 'different', missing: [] });
    expect(result.tensors.find(({ name }) => name === 'layers.0.feed_forward.w3.weight')).toMatchObject({ explanation: { kind: 'swapped', with: 'model.layers.0.mlp.gate_proj.weight' }, difference: { equal: false } });
  });
  it('writes a page that loads nothing, with a chart in which every differing tensor is a point', async () => {
    await weightspec('compare', at('a.safetensors'), at('swapped.safetensors'), '--html', at('report.html'));
    const page = await readFile(at('report.html'), 'utf8');
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/<script|src=|href="http/);
    expect(page).not.toContain('\u001b');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    for (const text of ['feed_forward.w1', 'feed_forward.w3', 'is what matches']) expect(page).toContain(text);
    await weightspec('compare', at('a.safetensors'), at('swapped.safetensors'), '--html', at('chart.svg'));
    const chart = await readFile(at('chart.svg'), 'utf8');
    expect(chart).toMatch(/^<svg [^]*<\/svg>\s*$/);
    expect(chart).not.toContain('<script');
    // A symbol is drawn as one path of two arcs; those of the legend come on top: two of the layer, one of the odd tensor.
    expect(chart.split(/A1 1 0 1 1/).length - 1).toBeGreaterThanOrEqual(3);
  });
  it('never writes the page in place of a model (IO_SAME_FILE)', async () => {
    const before = await readFile(at('a.safetensors'));
    expect(await weightspec('compare', at('a.safetensors'), at('near.safetensors'), '--html', at('a.safetensors'))).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect(await readFile(at('a.safetensors'))).toEqual(before);
    expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
  });
});

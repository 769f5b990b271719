/**
 * Cold starts: whole processes of the command against an empty Node process of the same run. Files are sparse: their headers
 * and sizes are real, their weights are holes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StartResult } from './bench.js';

export const heading = 'cli: whole processes, best of 15 taken in turns; baseline = node -e 0; no process may take 120 MB of memory';

/** Measured 2.8 to 2.9 on an idle machine and up to 3.7 on a busy one, where the baseline suffers less. */
const INSPECT_RATIO = 5;
const ROUNDS = 15;
const MEMORY_LIMIT_BYTES = 120e6;
const command = fileURLToPath(new URL('../../../packages/cli/bin/weightspec.js', import.meta.url));

/** Arguments of node → milliseconds until the process has ended. */
function run(args: readonly string[]): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`);
  return performance.now() - started;
}

/** Peak resident memory of a run that is not timed. */
function peakBytes(args: readonly string[]): number {
  const atExit = 'process.on("exit", () => process.stderr.write(`\\npeak ${process.resourceUsage().maxRSS * 1024}`))';
  const { stderr } = spawnSync(process.execPath, ['--import', `data:text/javascript,${encodeURIComponent(atExit)}`, ...args], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const [, peak] = /^peak (\d+)$/m.exec(stderr) ?? [];
  if (peak === undefined) throw new Error(`no peak memory in ${stderr}`);
  return Number(peak);
}

export async function bench(): Promise<StartResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weightspec-bench-'));
  try {
    const v0 = join(folder, 'v0.bin');
    const qwen = join(folder, 'qwen-q4_0.bin');
    const sizes = [await writeSparseV0(v0), await writeSparseQwen(qwen)].map((bytes) => `${(bytes / 1e9).toFixed(1)} GB`);
    const baseline = { name: 'node -e 0', args: ['-e', '0'] };
    const cases = [
      { name: '--version', args: [command, '--version'], allowedRatio: 2 },
      { name: `inspect a v0 file of ${sizes[0]}`, args: [command, 'inspect', '--json', v0], allowedRatio: INSPECT_RATIO },
      { name: `inspect a ggml-qwen file of ${sizes[1]}`, args: [command, 'inspect', '--json', qwen], allowedRatio: INSPECT_RATIO },
    ];
    const best = new Map<string, number>();
    // In turns, so that a busy moment falls on all alike.
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, args } of [baseline, ...cases]) best.set(name, Math.min(best.get(name) ?? Infinity, run(args)));
    }
    return cases.map(({ name, args, allowedRatio }) => {
      const peak = peakBytes(args);
      if (peak > MEMORY_LIMIT_BYTES) throw new Error(`${name} took ${(peak / 1e6).toFixed(0)} MB of memory; ${MEMORY_LIMIT_BYTES / 1e6} are allowed`);
      return { name: `${name}, peak ${(peak / 1e6).toFixed(0)} MB`, milliseconds: best.get(name)!, baseline: { name: baseline.name, milliseconds: best.get(baseline.name)! }, allowedRatio };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const i32s = (values: readonly number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer);

/** llama2.c v0 with 37 layers of Llama's 7B widths, and its frequency tables. Returns the byte length. */
async function writeSparseV0(path: string): Promise<number> {
  const [dim, hidden, layers, heads, vocab, positions] = [4096, 11008, 37, 32, 32000, 2048];
  const pairs = dim / heads / 2;
  const tablesOffset = 28 + 4 * (vocab * dim + layers * (4 * dim * dim + 3 * dim * hidden + 2 * dim) + dim);
  const angles = Float32Array.from({ length: positions * pairs }, (_, i) => Math.floor(i / pairs) * 10000 ** (-(i % pairs) / pairs));
  const tables = Float32Array.from([...angles.map(Math.cos), ...angles.map(Math.sin)]);
  await writeSparse(path, tablesOffset + tables.byteLength, [[0, i32s([dim, hidden, layers, heads, heads, vocab, positions])], [tablesOffset, new Uint8Array(tables.buffer)]]);
  return tablesOffset + tables.byteLength;
}

/** qwen.cpp's container (specs/ggml-qwen), q4_0, with the widths of Qwen 7B. Returns the byte length. */
async function writeSparseQwen(path: string): Promise<number> {
  const [vocab, width, heads, layers, ffn] = [151936, 4096, 32, 32, 11008];
  const layer: readonly (readonly [string, ...number[]])[] = [
    ['ln_1.weight', width], ['attn.c_attn.weight', 3 * width, width], ['attn.c_attn.bias', 3 * width], ['attn.c_proj.weight', width, width],
    ['ln_2.weight', width], ['mlp.w1.weight', ffn, width], ['mlp.w2.weight', ffn, width], ['mlp.c_proj.weight', width, ffn],
  ];
  const layersTensors = Array.from({ length: layers }, (_, i) => layer.map(([name, ...shape]) => [`transformer.h.${i}.${name}`, ...shape] as const)).flat();
  const tensors: readonly (readonly [string, ...number[]])[] = [['transformer.wte.weight', vocab, width], ...layersTensors, ['transformer.ln_f.weight', width], ['lm_head.weight', vocab, width]];
  const parts: [offset: number, bytes: Uint8Array][] = [[0, Buffer.concat([Buffer.from('ggml'), i32s([2, vocab, width, heads, heads, layers, 2 * ffn, 8192, 151643, 151643, 151644, 151645])])]];
  let offset = 52;
  for (const [name, ...shape] of tensors) {
    const isMatrix = shape.length === 2;
    const record = Buffer.concat([i32s([name.length]), Buffer.from(name), i32s([shape.length, ...shape, isMatrix ? 2 : 0])]);
    parts.push([offset, record]);
    const elements = shape.reduce((product, n) => product * n, 1);
    offset = Math.ceil((offset + record.length) / 16) * 16 + (isMatrix ? (elements / 32) * 18 : 4 * elements);
  }
  await writeSparse(path, offset, parts);
  return offset;
}

async function writeSparse(path: string, byteLength: number, parts: readonly (readonly [offset: number, bytes: Uint8Array])[]): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.truncate(byteLength);
    for (const [offset, bytes] of parts) await file.write(bytes, 0, bytes.length, offset);
  } finally {
    await file.close();
  }
}

/**
 * Conversions of a synthetic model there and back, each by the command in a process of its own, with its peak memory.
 * 300 MB of f32 weights by default; WEIGHTSPEC_BENCH_FULL=1: 3 GB; WEIGHTSPEC_BENCH_MB: any size.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdtemp, open, rm, stat, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from './bench.js';
import type { Shape } from './synthetic.js';

const wantedBytes = Number(process.env.WEIGHTSPEC_BENCH_MB ?? (process.env.WEIGHTSPEC_BENCH_FULL === '1' ? 3000 : 300)) * 1e6;

export const heading = `convert: bytes of f32 weights (${(wantedBytes / 1e9).toPrecision(2)} GB), the whole process; baseline = one copy of the file; peak memory has to stay below twice the largest tensor and 100 MB`;

type Widths = Pick<Shape, 'dim' | 'hidden' | 'vocab' | 'heads' | 'kvHeads' | 'layers'>;

const POSITIONS = 16;

const largeModel = wantedBytes >= 1e9;

/** As many layers as the size allows. */
function shapeFor(bytes: number): Widths {
  const widths = largeModel ? { dim: 2048, hidden: 5632, vocab: 32000, heads: 32, kvHeads: 8 } : { dim: 1024, hidden: 2816, vocab: 16000, heads: 16, kvHeads: 4 };
  const { dim, vocab } = widths;
  const layers = Math.max(1, Math.round((bytes / 4 - vocab * dim) / layerElements(widths)));
  return { ...widths, layers };
}

const layerElements = ({ dim, hidden, heads, kvHeads }: Omit<Widths, 'layers'>): number => 2 * dim * dim + 2 * dim * ((dim / heads) * kvHeads) + 3 * dim * hidden + 2 * dim;

/** Weights of a v0 file without its tables. */
const elementsOf = (shape: Widths): number => shape.vocab * shape.dim + shape.layers * layerElements(shape) + shape.dim;

/** A v0 file with weights that are noise, repeated every 4 MB and a prime: no two tensors are alike. */
async function writeModel(path: string, shape: Widths): Promise<void> {
  const noise = new Float32Array(1_000_003);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    noise[i] = (state / 2 ** 32 - 0.5) * 0.08;
  }
  const bytes = new Uint8Array(noise.buffer);
  const file = await open(path, 'w');
  try {
    await file.write(new Uint8Array(new Int32Array([shape.dim, shape.hidden, shape.layers, shape.heads, shape.kvHeads, shape.vocab, POSITIONS]).buffer));
    await writeRepeated(file, bytes, 4 * elementsOf(shape));
    await file.write(new Uint8Array(4 * POSITIONS * (shape.dim / shape.heads)));
  } finally {
    await file.close();
  }
}

async function writeRepeated(file: FileHandle, bytes: Uint8Array, total: number): Promise<void> {
  for (let left = total; left > 0; left -= bytes.length) await file.write(bytes.subarray(0, Math.min(left, bytes.length)));
}

interface Measured {
  readonly seconds: number;
  readonly peakBytes: number;
}

const here = fileURLToPath(new URL('.', import.meta.url));

/** Runs one command line in a process of its own. Throws when it fails. */
function measured(...argv: string[]): Measured {
  const script = `import { main } from '@weightspec/cli'; process.exitCode = await main(${JSON.stringify(argv)}); console.error('peak', process.resourceUsage().maxRSS * 1024);`;
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: here, encoding: 'utf8' });
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`weightspec ${argv.join(' ')} ended with ${status}: ${stderr}`);
  return { seconds, peakBytes: Number(/^peak (\d+)$/m.exec(stderr)?.[1]) };
}

export async function bench(): Promise<BenchResult[]> {
  const shape = shapeFor(wantedBytes);
  const weightBytes = 4 * elementsOf(shape);
  const limit = 2 * 4 * shape.vocab * shape.dim + 100e6;
  const folder = await mkdtemp(join(tmpdir(), 'weightspec-bench-'));
  const at = (name: string): string => join(folder, name);
  try {
    await writeModel(at('model.bin'), shape);
    const started = performance.now();
    await copyFile(at('model.bin'), at('copy.bin'));
    const copy = (await stat(at('copy.bin'))).size / 1e6 / (performance.now() - started);
    await rm(at('copy.bin'));
    const baseline = { name: 'copy', gigabytesPerSecond: copy };
    const result = (name: string, { seconds, peakBytes }: Measured): BenchResult => {
      if (!(peakBytes <= limit)) throw new Error(`${name} took ${(peakBytes / 1e6).toFixed(0)} MB of memory; ${(limit / 1e6).toFixed(0)} are allowed`);
      return { name: `${name}, peak ${(peakBytes / 1e6).toFixed(0)} of ${(limit / 1e6).toFixed(0)} MB`, gigabytesPerSecond: weightBytes / 1e9 / seconds, baseline };
    };
    const results = [
      result('v0 to safetensors', measured('convert', at('model.bin'), at('hf'), '--to', 'safetensors', '--shard-size', '500MB')),
      result('safetensors to v1-fp32', measured('convert', at('hf'), at('back.bin'), '--to', 'llama2c-v1-fp32')),
      // Exits with 1, and throws here, when there and back has changed anything.
      result('compare with the original', measured('compare', at('model.bin'), at('back.bin'))),
      result('v0 to v2', measured('convert', at('model.bin'), at('int8.bin'), '--to', 'llama2c-v2')),
      result('v0 to v1-int8', measured('convert', at('model.bin'), at('int8.bin'), '--to', 'llama2c-v1-int8')),
      result('v2 to torch f16', measured('convert', at('int8.bin'), at('torch'), '--to', 'torch', '--dtype', 'f16')),
    ];
    // Runs the model, and so holds its weights: not a conversion.
    measured('calibrate', at('hf'), '--tokens', '1,2,3,4', '--out', at('statistics.pth'));
    results.push(
      result('smoothquant', measured('smoothquant', at('hf'), at('statistics.pth'), at('smoothed'), '--to', 'safetensors', '--shard-size', '500MB')),
      result('its export without migration scales', measured('convert', at('smoothed'), at('stacked'), '--to', 'safetensors', '--no-migration-scales')),
    );
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

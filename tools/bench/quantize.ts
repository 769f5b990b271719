/**
 * The native quantizers: their speed on one thread against ggml's scalar code (a libggml-base given by PEER_GGML, or the one in
 * node-llama-cpp's binaries) and against the TypeScript codecs, and their bytes against both.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nativeQuantizers } from '@weightspec/backend-native';
import { codecs } from '@weightspec/codecs';
import { byteLength } from '@weightspec/core';
import { measure, type BenchResult } from './bench.js';

const ELEMENTS = 1 << 24;
const BATCHES = 4;
export const heading = `quantize: f32 bytes a second, one thread; ${(ELEMENTS * BATCHES) / 2 ** 20} Mi random values a type are compared byte for byte with the TypeScript codecs and ggml`;

const SLICES = 64;
const source = fileURLToPath(new URL('../../bench/ggml-quantize.c', import.meta.url));

/** Type → ggml's function, and the ratio that is asked for. */
const rows = [
  { type: 'q4_0', function: 'quantize_row_q4_0_ref', requiredRatio: 3.5 },
  { type: 'q4_1', function: 'quantize_row_q4_1_ref' },
  { type: 'q5_0', function: 'quantize_row_q5_0_ref' },
  { type: 'q5_1', function: 'quantize_row_q5_1_ref' },
  { type: 'q8_0', function: 'quantize_row_q8_0_ref', requiredRatio: 6 },
  { type: 'f16', function: 'ggml_fp32_to_fp16_row' },
  { type: 'bf16', function: 'ggml_fp32_to_bf16_row_ref' },
] as const;

/** Gaussian numbers of a seeded xorshift, in blocks of very different scales. */
function randomWeights(seed: number): Float32Array {
  const weights = new Float32Array(ELEMENTS);
  let state = seed;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let start = 0; start < ELEMENTS; start += 32) {
    const scale = 2 ** (uniform() * 24 - 18);
    for (let i = start; i < start + 32; i++) weights[i] = scale * (uniform() + uniform() + uniform() - 1.5);
  }
  return weights;
}

/** A libggml-base for this machine: PEER_GGML, or node-llama-cpp's. */
async function ggmlLibrary(): Promise<string | undefined> {
  if (process.env.PEER_GGML) return process.env.PEER_GGML;
  const root = process.env.PEER_NODE_LLAMA_CPP ?? fileURLToPath(new URL('../../../', import.meta.url));
  const packages = join(root, 'node_modules/@node-llama-cpp');
  for (const name of await readdir(packages).catch(() => [])) {
    for (const bin of await readdir(join(packages, name, 'bins')).catch(() => [])) {
      const library = join(packages, name, 'bins', bin, 'libggml-base.so');
      if (existsSync(library)) return library;
    }
  }
  return undefined;
}

interface Ggml {
  /** GB/s, and the encoded bytes. */
  quantize(functionName: string, weightsPath: string, byteCount: number): { readonly rate: number; readonly bytes: Uint8Array };
}

async function ggmlIn(folder: string): Promise<Ggml | string> {
  const library = await ggmlLibrary();
  if (!library) return 'ggml is not here: PEER_GGML=libggml-base.so, or PEER_NODE_LLAMA_CPP=FOLDER with node-llama-cpp and its binaries';
  const program = join(folder, 'ggml-quantize');
  const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['-O2', '-o', program, source, '-ldl']).status === 0);
  if (!compiler) return 'ggml is not measured: no C compiler (apt-get install gcc)';
  return {
    quantize(functionName, weightsPath, byteCount) {
      const out = join(folder, 'encoded');
      const { status, stdout, stderr } = spawnSync(program, [library, functionName, weightsPath, out, String(byteCount)], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`ggml's ${functionName} ended with ${status}: ${stderr}`);
      return { rate: Number.parseFloat(stdout), bytes: readFileSync(out) };
    },
  };
}

const slice = <T extends Float32Array | Uint8Array>(array: T, index: number): T => array.subarray((array.length / SLICES) * index, (array.length / SLICES) * (index + 1)) as T;

export async function bench(): Promise<BenchResult[]> {
  const natives = nativeQuantizers();
  if (!natives) throw new Error('the native addon is not built here: apt-get install g++, then npm run build');
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-quantize-'));
  try {
    const ggml = await ggmlIn(folder);
    if (typeof ggml === 'string') console.log(ggml);
    const results: BenchResult[] = [];
    const weightsPath = join(folder, 'weights');
    const speeds = new Map<string, { ggml?: number; typescript: number; native: number }>();
    for (let batch = 0; batch < BATCHES; batch++) {
      const weights = randomWeights(batch + 1);
      writeFileSync(weightsPath, weights);
      for (const { type, function: functionName } of rows) {
        const native = natives[type];
        if (!native) throw new Error(`there is no native quantizer for ${type}`);
        const encoded = new Uint8Array(byteLength(codecs[type].dtype, ELEMENTS));
        const expected = codecs[type].quantize(weights);
        native(weights, encoded);
        if (Buffer.compare(encoded, expected) !== 0) throw new Error(`${type}: native bytes differ from the codec's`);
        if (batch > 0 && typeof ggml === 'string') continue;
        const theirs = typeof ggml === 'string' ? undefined : ggml.quantize(functionName, weightsPath, encoded.length);
        if (theirs && Buffer.compare(encoded, theirs.bytes) !== 0) throw new Error(`${type}: native bytes differ from ggml's`);
        if (batch > 0) continue;
        const slices = Array.from({ length: SLICES }, (_, i) => [slice(weights, i), slice(encoded, i)] as const);
        const rate = measure(weights.byteLength, slices.map(([src, dst]) => () => native(src, dst)));
        const typescript = measure(weights.byteLength, slices.map(([src, dst]) => () => void codecs[type].quantize(src, { dst })), { passes: 3 });
        speeds.set(type, { ggml: theirs?.rate, typescript, native: rate });
      }
    }
    for (const row of rows) {
      const { native, typescript, ggml: theirs } = speeds.get(row.type)!;
      const requiredRatio = 'requiredRatio' in row ? row.requiredRatio : undefined;
      if (theirs !== undefined) results.push({ name: `${row.type} native`, gigabytesPerSecond: native, baseline: { name: `ggml's scalar code, ${theirs.toFixed(2)} GB/s`, gigabytesPerSecond: theirs }, requiredRatio });
      results.push({ name: `${row.type} native`, gigabytesPerSecond: native, baseline: { name: `the TypeScript codec, ${typescript.toFixed(2)} GB/s`, gigabytesPerSecond: typescript } });
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

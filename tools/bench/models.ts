/** The models of the table, their goals, and their files: ours in a format that the engine reads, and GGUF for llama.cpp. */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planConversion, runConversion, type ConvertOptions, type Target } from '@weightspec/convert';
import { DiagnosticError, dtype } from '@weightspec/core';
import { atomicFileSet } from '@weightspec/io/node';
import { writeGguf } from './gguf.js';
import { matrixElements, syntheticCheckpoint, syntheticTensors, type Shape } from './synthetic.js';

/** `int8`: llama2.c's groups. */
export type WeightType = 'f32' | 'f16' | 'q8_0' | 'q4_0' | 'int8';
export type ModelId = 'S' | 'M' | 'W' | 'Q' | 'L';

/** ours ÷ peer, of tokens a second. */
export type Goals = Partial<Record<WeightType, number>>;

export interface BenchModel {
  readonly id: ModelId;
  readonly title: string;
  readonly shape: Shape;
  readonly types: readonly WeightType[];
  readonly goals: Goals;
  readonly goalPeer: PeerFamily;
  /** Tokens that one sample decodes. */
  readonly decodeTokens: number;
}

export type PeerFamily = 'llama.cpp' | 'llama2.c' | 'qwen.cpp';

/** Of llama2.c's int8 files. */
export const int8Goal = { peer: 'llama2.c', ratio: 4.5 } as const;

const llama = { architecture: 'llama', positions: 2048, ropeTheta: 10000, normEps: 1e-5 } as const;

export const models: Readonly<Record<ModelId, BenchModel>> = {
  S: {
    id: 'S', title: 'S 15M', types: ['f32', 'f16', 'q8_0', 'q4_0', 'int8'], goals: { f32: 1.35, f16: 1.35, q8_0: 1.6, q4_0: 1.9 }, goalPeer: 'llama.cpp', decodeTokens: 256,
    shape: { ...llama, dim: 288, hidden: 768, layers: 6, heads: 6, kvHeads: 6, vocab: 32000, tied: true },
  },
  M: {
    id: 'M', title: 'M 110M', types: ['f32', 'f16', 'q8_0', 'q4_0', 'int8'], goals: { f32: 1.2, f16: 1.4, q8_0: 1.2, q4_0: 1.45 }, goalPeer: 'llama.cpp', decodeTokens: 128,
    shape: { ...llama, dim: 768, hidden: 2048, layers: 12, heads: 12, kvHeads: 12, vocab: 32000, tied: true },
  },
  W: {
    id: 'W', title: 'W 220M (qwen.cpp)', types: ['q4_0', 'q8_0'], goals: { q4_0: 3, q8_0: 3 }, goalPeer: 'qwen.cpp', decodeTokens: 128,
    shape: { ...llama, normEps: 1e-6, dim: 1024, hidden: 2816, layers: 12, heads: 16, kvHeads: 16, vocab: 32000, tied: false },
  },
  Q: {
    id: 'Q', title: 'Q 0.5B (Qwen2)', types: ['f16', 'q8_0', 'q4_0'], goals: { f16: 1.3, q8_0: 1.15, q4_0: 1.12 }, goalPeer: 'llama.cpp', decodeTokens: 48,
    shape: { architecture: 'qwen2', positions: 2048, ropeTheta: 1e6, normEps: 1e-6, dim: 896, hidden: 4864, layers: 24, heads: 14, kvHeads: 2, vocab: 151936, tied: true },
  },
  L: {
    id: 'L', title: 'L 1.1B', types: ['f16', 'q8_0', 'q4_0'], goals: { f16: 1.02, q8_0: 1.1, q4_0: 1.02 }, goalPeer: 'llama.cpp', decodeTokens: 32,
    shape: { ...llama, dim: 2048, hidden: 5632, layers: 22, heads: 32, kvHeads: 4, vocab: 32000, tied: false },
  },
};

/** Bytes of one weight, scales included; llama2.c's groups of 64 (32 where 64 does not divide dim). */
export function bytesPerWeight(type: WeightType, { dim }: Shape): number {
  if (type === 'int8') return 1 + 4 / (dim % 64 === 0 ? 64 : 32);
  const { blockSize, bytesPerBlock } = dtype(type.toUpperCase());
  return bytesPerBlock / blockSize;
}

export const bytesPerToken = ({ shape }: BenchModel, type: WeightType): number => matrixElements(shape) * bytesPerWeight(type, shape);

/** Where models are kept between runs. */
export const cacheFolder = (): string => process.env.WEIGHTSPEC_BENCH_DIR ?? join(tmpdir(), 'weightspec-bench');

/** Part of every file's name: files of another generator are not taken for this one's. */
const GENERATOR = 'v1';

/** What our engine opens: a file of a format that it knows, a folder (safetensors), or tensors placed in a GGUF file. */
export type OurFile = { readonly path: string } | { readonly gguf: string; readonly tensors: string };

/** Formats that hold grouped queries in q8_0 or q4_0 there are none yet: those rows read the tensors out of the peer's file. */
function formatFor({ shape }: BenchModel, type: WeightType): { readonly target: Target; readonly options: ConvertOptions; readonly normEps: number } | undefined {
  if (type === 'f32') return { target: 'llama2c-v0', options: {}, normEps: 1e-5 };
  if (type === 'int8') return { target: 'llama2c-v2', options: { allowLoss: true }, normEps: 1e-5 };
  if (type === 'f16') return { target: 'safetensors', options: { dtype: dtype('F16'), shardBytes: 1e12 }, normEps: shape.normEps };
  if (shape.kvHeads !== shape.heads) return undefined;
  return { target: 'ggml-qwen', options: { dtype: dtype(type.toUpperCase()), tokenIds: { eos: 0, pad: 0, imStart: 1, imEnd: 2 }, allowLoss: true }, normEps: 1e-6 };
}

/** The shape with the epsilon that our file's format implies, so that both files are one model. */
function shapeFor(model: BenchModel, type: WeightType): Shape {
  return { ...model.shape, normEps: formatFor(model, type)?.normEps ?? model.shape.normEps };
}

export async function ourFile(model: BenchModel, type: WeightType): Promise<OurFile> {
  const format = formatFor(model, type);
  if (!format) {
    const gguf = await ggufFile(model, type);
    return { gguf, tensors: `${gguf}.json` };
  }
  const folder = join(cacheFolder(), `${model.id}-${type}-${GENERATOR}`);
  const path = format.target === 'safetensors' ? folder : join(folder, 'model.bin');
  if (existsSync(folder)) return { path };
  const making = `${folder}.part`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true });
  const plan = await planConversion({ checkpoint: syntheticCheckpoint(shapeFor(model, type)) }, format.target, format.options);
  const errors = plan.diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new DiagnosticError(errors);
  const files = atomicFileSet();
  await runConversion(plan, { open: ({ name }) => files.open(join(making, name)), commit: () => files.commit(), abort: () => files.abort() });
  await rename(making, folder);
  return { path };
}

/** The same weights for llama.cpp. */
export async function ggufFile(model: BenchModel, type: WeightType): Promise<string> {
  const path = join(cacheFolder(), `${model.id}-${type}-${GENERATOR}.gguf`);
  if (existsSync(path)) return path;
  await mkdir(cacheFolder(), { recursive: true });
  const shape = shapeFor(model, type);
  const tensors = await writeGguf(`${path}.part`, shape, syntheticTensors(shape), dtype(type.toUpperCase()));
  await writeFile(`${path}.json`, JSON.stringify({ shape, tensors }));
  await rename(`${path}.part`, path);
  return path;
}

/** tokenizer.bin for run.c: the longest piece, then score, length and bytes of each. */
export async function llama2cTokenizer(vocab: number): Promise<string> {
  const path = join(cacheFolder(), `tokenizer-${vocab}.bin`);
  if (existsSync(path)) return path;
  const head = Buffer.alloc(4);
  head.writeUInt32LE(16);
  const pieces = Array.from({ length: vocab }, (_, id) => {
    const text = Buffer.from(id === 1 ? '\n<s>\n' : id === 2 ? '\n</s>\n' : `t${id}`);
    const record = Buffer.alloc(8 + text.length);
    record.writeFloatLE(-id, 0);
    record.writeInt32LE(text.length, 4);
    text.copy(record, 8);
    return record;
  });
  await writeWhole(path, Buffer.concat([head, ...pieces]));
  return path;
}

/** qwen.tiktoken: base64 and rank. qwen.cpp counts 208 special tokens after the last rank. */
export async function qwenTiktoken(vocab: number): Promise<string> {
  const path = join(cacheFolder(), `qwen-${vocab}.tiktoken`);
  if (existsSync(path)) return path;
  const lines = Array.from({ length: vocab - 208 }, (_, id) => `${(id < 256 ? Buffer.from([id]) : Buffer.from(`t${id}`)).toString('base64')} ${id}\n`);
  await writeWhole(path, Buffer.from(lines.join('')));
  return path;
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  const file = await open(`${path}.part`, 'w');
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
  await rename(`${path}.part`, path);
}

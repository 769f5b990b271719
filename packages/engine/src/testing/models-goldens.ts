/**
 * Llama 3, Qwen2 and Qwen1 in miniature against float64 forwards of another implementation (rounded to f32), from weights that F32,
 * F16 and BF16 hold exactly, so that all variants share one golden. Bound 1e-4: float32 and float64 forwards differ by up to 2.6e-5
 * there, and the smallest gap between the two likeliest tokens is 0.0067.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byteLength, elementCount, type Backend, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { fuseStacked, joinMetaShards, metaNames, metaShardAxis, permuteRopeRows, sliceRows, splitStacked, type BesideModel } from '@weightspec/models';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { compareTrace, generate, loadModel, logits, type LoadedModel } from '../index.js';
import type { GoldenOptions } from './options.js';

const BOUND = 1e-4;

async function tensorsIn(path: string): Promise<readonly TensorInfo[]> {
  const { checkpoint, diagnostics } = await safetensors.read(memorySource(readFileSync(path), path));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint.tensors;
}
async function floatsOf(tensor: TensorInfo): Promise<Float32Array> {
  expect(tensor.dtype.name).toBe('F32');
  return new Float32Array((await bytesOf(tensor)).slice().buffer);
}
export const checkpointOf = (tensors: readonly TensorInfo[]): Checkpoint => ({ format: 'safetensors', variant: 'test', metadata: {}, tensors });

interface Case {
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
}
interface ModelGolden {
  readonly cases: readonly Case[];
  readonly logits: readonly Float32Array[];
  readonly trace: ReadonlyMap<string, Float32Array>;
}
export async function goldenOf(folder: string): Promise<ModelGolden> {
  const { cases } = JSON.parse(readFileSync(`${folder}/golden.json`, 'utf8')) as { cases: Case[] };
  const byName = async (name: string) => new Map(await Promise.all((await tensorsIn(`${folder}/${name}`)).map(async (tensor) => [tensor.name, await floatsOf(tensor)] as const)));
  const rows = await byName('golden_logits.safetensors');
  return { cases, logits: cases.map((_, i) => rows.get(`prompt${i}.logits`)!), trace: await byName('golden_trace_prompt3.safetensors') };
}

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
}
async function greedyIds(model: LoadedModel, promptTokens: readonly number[], count: number): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of generate(model, { promptTokens, maxNewTokens: count })) ids.push(id);
  return ids;
}

const folderOf = (name: string): string => sharedData(`models/${name}`) ?? '';
const jsonIn = (folder: string, file: string): unknown => JSON.parse(readFileSync(`${folder}/${file}`, 'utf8'));

/** What a model makes of every prompt: how far its logits are off, and its greedy ids. */
async function outcomes(model: LoadedModel, { cases, logits: expected }: ModelGolden) {
  const results: { readonly difference: number; readonly greedy: readonly number[] }[] = [];
  for (const [i, { prompt, greedy }] of cases.entries()) {
    const difference = largestDifference(await logits(model, prompt, { all: true }), expected[i]!);
    results.push({ difference, greedy: await greedyIds(model, prompt, greedy.length) });
  }
  return results;
}

interface Variant {
  readonly name: string;
  readonly tensors: () => Promise<readonly TensorInfo[]>;
  readonly beside: () => BesideModel;
}

/** A test's own tensor: `bytes` at an offset of its own. */
function tensorOf(name: string, like: TensorInfo, shape: readonly number[], bytes: Uint8Array): TensorInfo {
  const file = new Uint8Array(bytes.length + 7);
  file.set(bytes, 7);
  expect(bytes.length).toBe(byteLength(like.dtype, elementCount(shape)));
  return { name, dtype: like.dtype, shape, location: { source: memorySource(file, name), offset: 7, length: bytes.length } };
}
const bytesOf = ({ location: { source, offset, length } }: TensorInfo): Promise<Uint8Array> => source.read(offset, length);

/** Meta's form of Hugging Face's Llama: other names, q and k rows in the order of pairs. */
async function asMeta(tensors: readonly TensorInfo[], headDim: number): Promise<TensorInfo[]> {
  return Promise.all(tensors.map(async (tensor) => {
    const [name] = metaNames(tensor.name, 'hf');
    if (name === undefined) throw new Error(`${tensor.name} has no name of Meta's`);
    if (!/\.w[qk]\./.test(name)) return { ...tensor, name };
    const bytes = await bytesOf(tensor);
    return tensorOf(name, tensor, tensor.shape, permuteRopeRows(bytes, bytes.length / tensor.shape[0]!, headDim, 'meta'));
  }));
}

/** Columns [first, first + count) of a matrix, copied out. */
async function columns(tensor: TensorInfo, first: number, count: number): Promise<TensorInfo> {
  const [rows, width] = tensor.shape as [number, number];
  const bytes = await bytesOf(tensor);
  const size = bytes.length / rows / width;
  const out = new Uint8Array(rows * count * size);
  for (let row = 0; row < rows; row += 1) out.set(bytes.subarray((row * width + first) * size, (row * width + first + count) * size), row * count * size);
  return tensorOf(tensor.name, tensor, [rows, count], out);
}
/** Cuts a model as fairscale would for `count` machines. */
async function asShards(tensors: readonly TensorInfo[], count: number, generation: 'llama2' | 'llama3'): Promise<Checkpoint[]> {
  const shards: TensorInfo[][] = Array.from({ length: count }, () => []);
  for (const tensor of tensors) {
    const axis = metaShardAxis(tensor.name, generation);
    for (const [i, shard] of shards.entries()) {
      if (axis === 'whole') shard.push(tensor);
      else {
        const share = tensor.shape[axis]! / count;
        shard.push(axis === 0 ? sliceRows(tensor, tensor.name, i * share, share) : await columns(tensor, i * share, share));
      }
    }
  }
  return shards.map(checkpointOf);
}

export const llama = folderOf('llama3-tiny');
export const llamaHf = () => tensorsIn(`${llama}/hf/model.safetensors`);
export const llamaConfig = () => ({ config: jsonIn(llama, 'hf/config.json') });
const llamaParams = () => ({ params: jsonIn(llama, 'meta-1/params.json'), maxSeqLen: 128 });
const llamaVariants: readonly Variant[] = [
  { name: 'as Hugging Face has it', tensors: llamaHf, beside: llamaConfig },
  { name: 'under Meta’s names, with params.json', tensors: async () => asMeta(await llamaHf(), 16), beside: llamaParams },
  { name: 'under Meta’s names, with config.json', tensors: async () => asMeta(await llamaHf(), 16), beside: llamaConfig },
  { name: 'in two shards of Llama 3’s cut', tensors: async () => joinMetaShards(await asShards(await asMeta(await llamaHf(), 16), 2, 'llama3')).tensors, beside: llamaParams },
  { name: 'in four shards of Llama 2’s cut', tensors: async () => joinMetaShards(await asShards(await asMeta(await llamaHf(), 16), 4, 'llama2')).tensors, beside: llamaParams },
  { name: 'stacked as vLLM does and split again', tensors: async () => splitStacked(fuseStacked(await llamaHf()), { q: 64, kv: 32 }), beside: llamaConfig },
];

export const qwen2 = folderOf('qwen2-tiny');
const shardsOfQwen2 = [1, 2, 3].map((k) => `${qwen2}/bf16-sharded-safetensors/model-0000${k}-of-00003.safetensors`);
export const qwen2Variants: readonly Variant[] = [
  ...['f32', 'f16', 'bf16'].map((type) => ({ name: type, tensors: () => tensorsIn(`${qwen2}/${type}/model.safetensors`), beside: () => ({ config: jsonIn(qwen2, `${type}/config.json`) }) })),
  { name: 'bf16 in three files', tensors: async () => (await Promise.all(shardsOfQwen2.map(tensorsIn))).flat(), beside: () => ({ config: jsonIn(qwen2, 'bf16-sharded-safetensors/config.json') }) },
  { name: 'with rope_parameters of transformers v5', tensors: () => tensorsIn(`${qwen2}/f32/model.safetensors`), beside: () => ({ config: jsonIn(qwen2, 'config_v5_rope_parameters.json') }) },
  { name: 'stacked, biases too, and split again', tensors: async () => splitStacked(fuseStacked(await tensorsIn(`${qwen2}/f32/model.safetensors`)), { q: 64, kv: 32 }), beside: () => ({ config: jsonIn(qwen2, 'f32/config.json') }) },
];

const qwen1 = folderOf('qwen1-tiny');
const qwen1Variants: readonly Variant[] = [
  { name: 'bf16', tensors: () => tensorsIn(`${qwen1}/bf16/model.safetensors`), beside: () => ({ config: jsonIn(qwen1, 'bf16/config.json') }) },
];

export function modelsGoldens(backend: Backend, { streams = false }: GoldenOptions = {}): void {
  describe.each([['llama3-tiny', llama, llamaVariants], ['qwen2-tiny', qwen2, qwen2Variants], ['qwen1-tiny', qwen1, qwen1Variants]] as const)(`${backend.id}: %s`, (_, folder, variants) => {
    const load = async ({ tensors, beside }: Variant, memoryBudgetBytes?: number) => loadModel(checkpointOf(await tensors()), { backend, beside: beside(), memoryBudgetBytes });

    it.skipIf(!folder).each(variants)('$name: all prompts, every row of logits within 1e-4, greedy ids equal', async (variant) => {
      const golden = await goldenOf(folder);
      const results = await outcomes(await load(variant), golden);
      expect(results).toHaveLength(5);
      for (const { difference } of results) expect(difference).toBeLessThan(BOUND);
      expect(results.map(({ greedy }) => greedy)).toEqual(golden.cases.map(({ greedy }) => greedy));
    });
    it.skipIf(!folder || !streams)('gives the same logits when no matrix is held in memory', async () => {
      for (const variant of variants) {
        const tokens = Array.from({ length: 11 }, (__, i) => 7 * i);
        expect(await logits(await load(variant, 0), tokens, { all: true })).toEqual(await logits(await load(variant), tokens, { all: true }));
      }
    });
    it.skipIf(!folder).each(variants)('$name: every activation of the golden trace agrees', async (variant) => {
      const { trace, cases } = await goldenOf(folder);
      const model = await load(variant);
      const { compared, departure } = await compareTrace(model, cases[3]!.prompt, trace, { bound: BOUND, ropeOrder: folder === llama ? 'meta' : 'hf' });
      expect(departure).toBeUndefined();
      expect(compared.toSorted()).toEqual([...trace.keys()].toSorted());
    });
  });
}

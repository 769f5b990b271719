/** The model that adds in every format and element type that can hold it, converted in memory, and its sums. For tests of any backend. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dtype, readTensor, type ByteSource, type Checkpoint, type Format, type TensorInfo } from '@weightspec/core';
import { planConversion, runConversion, type ConversionOutputs, type ConvertInput, type ConvertOptions, type Target } from '@weightspec/convert';
import { generate, type LoadedModel } from '@weightspec/engine';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { memorySink, memorySource, type MemorySink } from '@weightspec/io';
import { llama2c, writeLlama2c } from '@weightspec/llama2c';
import { safetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { additionConfig, additionPieces } from '../golden/addition.js';
import { goldenFolder } from '../golden/generate.js';

const folder = join(goldenFolder, 'addition');
export const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
export const parsed = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));

interface Expected {
  readonly prompts: readonly { readonly prompt: string; readonly tokens: readonly number[]; readonly greedyIds: readonly number[]; readonly text: string; readonly firstLogitsRow?: number }[];
}
export const { prompts } = parsed('expected.json') as Expected;
const config = parsed('config.json') as Record<string, unknown>;

async function read(format: Format, source: ByteSource): Promise<Checkpoint> {
  const { checkpoint, diagnostics } = await format.read(source);
  if (!checkpoint) throw new Error(diagnostics.map(({ code, message }) => `${code}: ${message}`).join('; '));
  return checkpoint;
}
export const trained = async (): Promise<ConvertInput> => ({ checkpoint: await read(safetensors, memorySource(bytesOf('model.safetensors'), 'model.safetensors')), beside: { config } });

/** Those of the first `count` sums of the sample that `model` gets wrong, as it says them. */
export async function wrongSums(model: LoadedModel, count = prompts.length): Promise<string[]> {
  const vocabulary = additionPieces().map(({ text }) => text);
  const wrong: string[] = [];
  for (const { prompt, tokens, greedyIds } of prompts.slice(0, count)) {
    const ids: number[] = [];
    for await (const { id } of generate(model, { promptTokens: tokens, maxNewTokens: greedyIds.length })) ids.push(id);
    if (ids.join() !== greedyIds.join()) wrong.push(prompt + ids.map((id) => (id === 1 ? '' : vocabulary[id])).join(''));
  }
  return wrong;
}

export async function converted(input: ConvertInput, target: Target, options: ConvertOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  const plan = await planConversion(input, target, options);
  const sinks = new Map<string, MemorySink>();
  const outputs: ConversionOutputs = {
    async open({ name }) {
      const sink = memorySink();
      sinks.set(name, sink);
      return sink;
    },
    commit: async () => undefined,
    abort: async () => undefined,
  };
  const errors = plan.diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(({ code, message }) => `${code}: ${message}`).join('; '));
  await runConversion(plan, outputs);
  return new Map([...sinks].map(([name, sink]) => [name, sink.bytes()]));
}

/** The conversion's file of weights, opened again as if from disk. */
export async function reopened(files: ReadonlyMap<string, Uint8Array>, format: Format): Promise<ConvertInput> {
  const [name, bytes] = [...files].find(([file]) => !file.endsWith('.json'))!;
  const beside = files.has('config.json') ? { config: JSON.parse(Buffer.from(files.get('config.json')!).toString('utf8')) as unknown } : undefined;
  return { checkpoint: await read(format, memorySource(bytes, name)), ...(beside ? { beside } : {}) };
}

/** A tensor of the test's own. */
export const tensorOf = ({ dtype: type }: TensorInfo, name: string, shape: readonly number[], bytes: Uint8Array): TensorInfo => ({ name, dtype: type, shape, location: { source: memorySource(bytes, name), offset: 0, length: bytes.length } });

/** `input` with some tensors' bytes changed; those for which `change` gives nothing stay. */
export async function withTensors({ checkpoint, beside }: ConvertInput, change: (tensor: TensorInfo) => Promise<TensorInfo> | undefined): Promise<ConvertInput> {
  return { checkpoint: { ...checkpoint, tensors: await Promise.all(checkpoint.tensors.map(async (tensor) => (await change(tensor)) ?? tensor)) }, ...(beside ? { beside } : {}) };
}

/**
 * The same function without grouped queries, which Qwen 1 and qwen.cpp do not have: the rows of each kv head stand there once for
 * every query head that reads them.
 */
async function withoutGroups(): Promise<ConvertInput> {
  const headDim = additionConfig.dim / additionConfig.heads;
  const { checkpoint } = await withTensors(await trained(), (tensor) => {
    if (!/\.[kv]_proj\./.test(tensor.name)) return undefined;
    return (async () => {
      const bytes = await readTensor(tensor);
      const headBytes = bytes.length / additionConfig.kvHeads;
      const heads = Array.from({ length: additionConfig.heads }, (_, head) => bytes.subarray(Math.floor((head * additionConfig.kvHeads) / additionConfig.heads) * headBytes).subarray(0, headBytes));
      return tensorOf(tensor, tensor.name, [additionConfig.heads * headDim, tensor.shape[1]!], new Uint8Array(Buffer.concat(heads)));
    })();
  });
  return { checkpoint, beside: { config: { ...config, num_key_value_heads: additionConfig.heads } } };
}

export interface Variant {
  readonly name: string;
  readonly open: () => Promise<ConvertInput>;
}

const through = (name: string, format: Format, target: Target, options: ConvertOptions = {}, input = trained): Variant => ({ name, open: async () => reopened(await converted(await input(), target, options), format) });
export const tokenIds = { eos: 1, pad: 1, imStart: 2, imEnd: 2 };

export const variants: readonly Variant[] = [
  { name: 'as it was trained', open: trained },
  through('llama2.c v0', llama2c, 'llama2c-v0'),
  through('llama2.c v1-fp32', llama2c, 'llama2c-v1-fp32'),
  through('llama2.c v1-int8, groups of 64', llama2c, 'llama2c-v1-int8', { groupSize: 64 }),
  through('llama2.c v2, groups of 64', llama2c, 'llama2c-v2', { groupSize: 64 }),
  through('llama2.c v2, groups of 32', llama2c, 'llama2c-v2', { groupSize: 32 }),
  ...(['v2-contiguous', 'v1-experimental'] as const).map((variant): Variant => ({
    name: `llama2.c ${variant}`,
    open: async () => {
      const { checkpoint } = await reopened(await converted(await trained(), 'llama2c-v1-fp32', {}), llama2c);
      const sink = memorySink();
      await writeLlama2c(checkpoint, sink, { variant, groupSize: 64 });
      return { checkpoint: await read(llama2c, memorySource(sink.bytes(), variant)) };
    },
  })),
  ...['F16', 'BF16'].map((type) => through(`safetensors ${type}`, safetensors, 'safetensors', { dtype: dtype(type) })),
  through('safetensors under Meta’s names', safetensors, 'safetensors', { names: 'meta' }),
  ...['F32', 'F16', 'BF16'].map((type) => through(`PyTorch ${type}`, torchCheckpoint, 'torch', { dtype: dtype(type) })),
  // eps is 1e-6 in qwen.cpp and 1e-5 in this model: a loss that the sums do not feel.
  ...['F32', 'F16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'].map((type) => through(`qwen.cpp ${type}, kv heads repeated`, ggmlQwen, 'ggml-qwen', { dtype: dtype(type), tokenIds, allowLoss: true }, withoutGroups)),
];

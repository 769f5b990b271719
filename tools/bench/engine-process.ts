/**
 * One engine in a process of its own, so that its threads and its memory are no other engine's: `ours` (what `weightspec run` does:
 * loadModel and generate, each token handed to JavaScript) or `node-llama-cpp`. It answers one request after the other over IPC.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dtype, elementCount, byteLength, type Backend, type ByteSource, type Checkpoint } from '@weightspec/core';
import { generate, loadModel, logits, type LoadedModel } from '@weightspec/engine';
import { open } from '@weightspec/formats';
import { fileSource } from '@weightspec/io/node';
import type { PlacedTensor } from './gguf.js';
import type { OurFile } from './models.js';
import { allowRelaxedSimd } from './relaxed-simd.js';
import { hfConfig, type Shape } from './synthetic.js';

export interface EngineOptions {
  readonly engine: 'ours' | 'node-llama-cpp';
  readonly threads: number;
  readonly contextLength: number;
  /** For `ours`. */
  readonly file?: OurFile;
  readonly backend?: string;
  /** For `node-llama-cpp`: the model, and the folder with node_modules that has the package. */
  readonly gguf?: string;
  readonly from?: string;
}

export type EngineRequest =
  /** Reads BOS, then so many tokens greedily, one after the other. Answers tokens a second. */
  | { readonly kind: 'decode'; readonly tokens: number }
  /** Reads so many tokens at once. Answers tokens a second. */
  | { readonly kind: 'prefill'; readonly tokens: number }
  /** Answers the logits after these tokens. */
  | { readonly kind: 'logits'; readonly ids: readonly number[] };

export type EngineReply = { readonly ready: string } | { readonly value: number } | { readonly logits: Float32Array } | { readonly error: string };

interface Engine {
  readonly name: string;
  decode(tokens: number): Promise<number>;
  prefill(tokens: number): Promise<number>;
  logits(ids: readonly number[]): Promise<Float32Array>;
}

/** Ids that differ, none of them special. */
const promptOf = (count: number, vocab: number): readonly number[] => Array.from({ length: count }, (_, i) => 300 + ((i * 7919) % (vocab - 300)));
const BOS = 1;

/** Sources that stay open as long as the process: whoever collects them closes their files. */
const held: ByteSource[] = [];

async function ourCheckpoint(file: OurFile): Promise<{ readonly checkpoint: Checkpoint; readonly beside?: { readonly config: unknown } }> {
  if ('gguf' in file) {
    const { shape, tensors } = JSON.parse(await readFile(file.tensors, 'utf8')) as { shape: Shape; tensors: readonly PlacedTensor[] };
    const source = await fileSource(file.gguf);
    held.push(source);
    const placed = tensors.map(({ name, dtype: type, shape: size, offset }) => ({ name, dtype: dtype(type), shape: size, location: { source, offset, length: byteLength(dtype(type), elementCount(size)) } }));
    return { checkpoint: { format: 'placed', variant: 'gguf', metadata: {}, tensors: placed }, beside: { config: hfConfig(shape) } };
  }
  const isFolder = !file.path.endsWith('.bin');
  const source = await fileSource(isFolder ? join(file.path, 'model.safetensors') : file.path);
  held.push(source);
  const { checkpoint } = await open(source);
  if (!checkpoint) throw new Error(`${file.path} holds no model`);
  return { checkpoint, beside: isFolder ? { config: JSON.parse(await readFile(join(file.path, 'config.json'), 'utf8')) } : undefined };
}

async function openBackend(name: string, threads: number): Promise<Backend> {
  if (name === 'reference') return (await import('@weightspec/kernels')).referenceBackend;
  if (name === 'webgpu') return (await import('@weightspec/backend-webgpu')).openBackend();
  if (name === 'wasm') {
    allowRelaxedSimd();
    return (await import('@weightspec/backend-wasm')).openBackend({ threads });
  }
  return (await import('@weightspec/backend-native')).openBackend({ threads });
}

async function ours({ file, backend = 'native', threads, contextLength }: EngineOptions): Promise<Engine> {
  const { checkpoint, beside } = await ourCheckpoint(file!);
  const model: LoadedModel = await loadModel(checkpoint, { backend: await openBackend(backend, threads), contextLength, beside });
  return {
    name: `weightspec ${model.backendId}`,
    async decode(tokens) {
      let first = 0;
      let last = 0;
      let count = 0;
      for await (const { id } of generate(model, { promptTokens: [BOS], maxNewTokens: tokens + 1 })) {
        if (id < 0) throw new Error('an id below zero');
        last = performance.now();
        if (count === 0) first = last;
        count += 1;
      }
      if (count !== tokens + 1) throw new Error(`${count} tokens of ${tokens + 1} came`);
      return tokens / ((last - first) / 1000);
    },
    async prefill(tokens) {
      const started = performance.now();
      await logits(model, promptOf(tokens, model.program.vocabSize));
      return tokens / ((performance.now() - started) / 1000);
    },
    logits: (ids) => logits(model, ids),
  };
}

/** The few parts of node-llama-cpp 3 that are used. */
interface NodeLlamaCpp {
  getLlama(this: void, options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
}
interface LlamaSequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  controlledEvaluate(tokens: readonly unknown[]): Promise<readonly ({ readonly next: { readonly logits?: ReadonlyMap<number, number> } } | undefined)[]>;
}

async function nodeLlamaCpp({ gguf, from, threads, contextLength }: EngineOptions): Promise<Engine> {
  const path = createRequire(pathToFileURL(join(from!, 'package.json'))).resolve('node-llama-cpp');
  const { getLlama } = (await import(pathToFileURL(path).href)) as NodeLlamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: threads });
  const model = await llama.loadModel({ modelPath: gguf, gpuLayers: 0 });
  const context = await model.createContext({ contextSize: contextLength, batchSize: 512, threads: { ideal: threads, min: threads } });
  const sequence = context.getSequence();
  return {
    name: 'node-llama-cpp',
    async decode(tokens) {
      await sequence.clearHistory();
      let first = 0;
      let last = 0;
      let count = 0;
      for await (const id of sequence.evaluate([BOS], { temperature: 0, yieldEogToken: true })) {
        if (id < 0) throw new Error('an id below zero');
        last = performance.now();
        if (count === 0) first = last;
        count += 1;
        if (count > tokens) break;
      }
      return tokens / ((last - first) / 1000);
    },
    async prefill(tokens) {
      await sequence.clearHistory();
      const started = performance.now();
      await sequence.evaluateWithoutGeneratingNewTokens(promptOf(tokens, 32000));
      return tokens / ((performance.now() - started) / 1000);
    },
    async logits(ids) {
      await sequence.clearHistory();
      const input: unknown[] = [...ids];
      input[ids.length - 1] = [ids.at(-1), { generateNext: { logits: true } }];
      const found = (await sequence.controlledEvaluate(input)).at(-1)?.next.logits;
      if (!found) throw new Error('node-llama-cpp gave no logits');
      const values = new Float32Array(found.size);
      for (const [id, value] of found) values[id] = value;
      return values;
    },
  };
}

async function answer(engine: Engine, request: EngineRequest): Promise<EngineReply> {
  if (request.kind === 'logits') return { logits: await engine.logits(request.ids) };
  return { value: request.kind === 'decode' ? await engine.decode(request.tokens) : await engine.prefill(request.tokens) };
}

const reply = (message: EngineReply): void => void process.send?.(message);
const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

if (process.send) {
  const options = JSON.parse(process.argv[2]!) as EngineOptions;
  const starting = options.engine === 'ours' ? ours(options) : nodeLlamaCpp(options);
  starting.then(({ name }) => reply({ ready: name }), (error: unknown) => reply({ error: describe(error) }));
  process.on('message', (request: EngineRequest) => {
    starting.then((engine) => answer(engine, request)).then(reply, (error: unknown) => reply({ error: describe(error) }));
  });
}

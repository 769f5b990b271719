/** llama2.c's files: Meta's names and row order, seven numbers in the header. Source: karpathy/llama2.c export.py@350e04fe. */
import { readChunks, type Checkpoint, type PackedTensor, type TensorInfo } from '@weightspec/core';
import { planLlama2c, writeLlama2c, type Llama2cVariant, type WriteOptions } from '@weightspec/llama2c';
import { packedAhead, type Encoder, type KeptScales } from '../encoding.js';
import { constantLosses, isBlocked, llama2cConstants, llama2cTokenLosses, tensorLosses, type Reporter } from '../losses.js';
import { weightIn, type ConvertInput, type LogicalModel } from '../logical-model.js';
import type { ConversionFile, ConvertOptions } from '../options.js';
import { tensorsIn } from '../recipes.js';
import { floatCodec } from '../views.js';

const int8Variants: readonly Llama2cVariant[] = ['v1-int8', 'v2'];

export async function llama2cFiles(input: ConvertInput, model: LogicalModel, variant: Llama2cVariant, options: ConvertOptions, report: Reporter): Promise<readonly ConversionFile[]> {
  const { config, weights } = model;
  constantLosses(model, llama2cConstants, report);
  llama2cTokenLosses(input, report);
  tensorLosses(model, report);
  if (config.headDim * config.heads !== config.dim) report.add('CONVERT_HEAD_SIZE', `the head size is ${config.headDim}, and llama2.c's readers compute ${config.dim} / ${config.heads}`);
  for (const [name, { tensor }] of weights) if (!floatCodec(tensor.dtype)) report.add('CONVERT_NO_CODEC', `${name} is ${tensor.dtype.name}`, `/tensors/${name}`);
  const statesPositions = input.beside?.params === undefined || input.beside.config !== undefined || options.maxSeqLen !== undefined;
  if (!statesPositions && input.checkpoint.metadata.modelArgs === undefined) report.add('CONVERT_POSITIONS_ASSUMED', `params.json does not state the number of positions; ${config.maxSeqLen} is written`);

  const shared = await isShared(model);
  if (variant === 'v1-int8' && !shared) report.add('CONVERT_LOSS_CLASSIFIER', 'output.weight differs from tok_embeddings.weight, and v1-int8 cannot hold it');
  if (isBlocked(report, options.allowLoss)) return [];

  const checkpoint = asLlama2c(model, shared, options.maxSeqLen ?? config.maxSeqLen);
  const writeOptions: WriteOptions = { variant, groupSize: options.groupSize, compat: options.compat, allowLoss: options.allowLoss };
  const { byteLength = 0, groupSize, diagnostics } = planLlama2c(checkpoint, writeOptions);
  report.found.push(...diagnostics);
  if (int8Variants.includes(variant)) {
    const requantized = [...weights.values()].find(({ storage, tensor, packed }) => tensor.shape.length === 2 && (tensor.dtype.blockSize > 1 || (packed && (storage !== 'llama2c-q8' || packed.entry.groupSize !== groupSize))));
    if (requantized) report.add('CONVERT_REQUANTIZED', `the source is ${requantized.storage}${requantized.packed ? ` in groups of ${requantized.packed.entry.groupSize}` : ''}; int8 in groups of ${groupSize} is written`);
  }
  const ready = options.encoder && int8Variants.includes(variant) ? quantizedAhead(checkpoint, groupSize, options.encoder) : checkpoint;
  return [{ name: 'model.bin', kind: 'weights', byteLength, write: async (sink) => void (await writeLlama2c(ready, sink, writeOptions)) }];
}

/** The checkpoint with its matrices in int8 already, made elsewhere while they are read: the writer then copies them. */
function quantizedAhead(checkpoint: Checkpoint, groupSize: number, encoder: Encoder): Checkpoint {
  const kept: KeptScales = { chunks: new Map() };
  const parts = new Set((checkpoint.packed ?? []).flatMap((entry) => Object.values(entry.parts)));
  const made = checkpoint.tensors.filter(({ name, shape }) => shape.length === 2 && !parts.has(name) && !name.startsWith('freqs_')).map((tensor) => packedAhead(tensor, groupSize, encoder, kept));
  const replaced = new Map(made.map(({ entry, values, scales }) => [entry.name, [values, scales]]));
  return { ...checkpoint, tensors: checkpoint.tensors.flatMap((tensor) => replaced.get(tensor.name) ?? [tensor]), packed: [...(checkpoint.packed ?? []), ...made.map(({ entry }) => entry)] };
}

/** As export.py decides it: the classifier is shared when it equals the embedding, whatever the source says. */
async function isShared({ weights, config }: LogicalModel): Promise<boolean> {
  const classifier = weights.get('output.weight');
  const embedding = weights.get('tok_embeddings.weight');
  if (config.tiedEmbeddings || !classifier || !embedding) return true;
  return sameBytes(classifier.tensor, embedding.tensor);
}

/** Reads as far as the first difference. */
async function sameBytes(a: TensorInfo, b: TensorInfo): Promise<boolean> {
  if (a.dtype.name !== b.dtype.name || a.location.length !== b.location.length) return false;
  if (a.location.source === b.location.source && a.location.offset === b.location.offset) return true;
  let at = 0;
  for await (const chunk of readChunks(a.location.source, a.location.offset, a.location.length)) {
    const other = await b.location.source.read(b.location.offset + at, chunk.length);
    if (chunk.some((byte, i) => byte !== other[i])) return false;
    at += chunk.length;
  }
  return true;
}

/** The model as llama2.c's own checkpoint. Int8 values and scales stay as they are where the rows do. */
function asLlama2c(model: LogicalModel, shared: boolean, maxSeqLen: number): Checkpoint {
  const { config, weights, derived } = model;
  const tensors: TensorInfo[] = [];
  const packed: PackedTensor[] = [];
  for (const tensor of tensorsIn(model, 'meta', { biases: false, classifier: !shared })) {
    const weight = weights.get(tensor.name);
    if (!weight?.packed || weightIn(model, tensor.name, 'meta') !== weight.tensor) {
      tensors.push(tensor);
      continue;
    }
    const { entry, values, scales } = weight.packed;
    tensors.push(values, scales);
    packed.push(entry);
  }
  // Tables of the same positions are copied, so that a v0 file keeps its bytes; the writer computes others.
  const tables = ['freqs_cos', 'freqs_sin'].flatMap((name) => derived.get(name) ?? []).filter(({ shape }) => shape.join() === [maxSeqLen, config.headDim / 2].join());
  const metadata = { dim: config.dim, hidden_dim: config.hiddenDim, n_layers: config.layers, n_heads: config.heads, n_kv_heads: config.kvHeads, vocab_size: config.vocabSize, max_seq_len: maxSeqLen, shared_classifier: shared };
  return { format: 'llama2c', variant: 'converted', metadata, tensors: [...tensors, ...(tables.length === 2 ? tables : [])], packed };
}

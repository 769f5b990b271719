/** safetensors and torch: any tensors under any names, split by size, with config.json and an index beside them as transformers has them. */
import type { ByteSink, Checkpoint, DType, TensorInfo } from '@weightspec/core';
import { hasQkvBiases, type NameScheme } from '@weightspec/models';
import { writeSafetensors } from '@weightspec/safetensors';
import { planShards } from '@weightspec/sharded-index';
import { writeTorch } from '@weightspec/torch-checkpoint';
import { isBlocked, tensorLosses, type Reporter } from '../losses.js';
import { storedWeights, withCleanNames, type ConvertInput, type LogicalModel } from '../logical-model.js';
import { configFileFor } from '../model-config.js';
import type { ConversionFile, ConvertOptions } from '../options.js';
import { inSchemeOrder, tensorsIn } from '../recipes.js';
import { asType, f32, floatCodec } from '../views.js';

type FolderTarget = 'safetensors' | 'torch';

const plainTypes: readonly string[] = ['F32', 'F16', 'BF16'];

/** `model`: absent for tensors whose architecture is not known; they keep their names. */
export function folderFiles(input: ConvertInput, model: LogicalModel | undefined, target: FolderTarget, options: ConvertOptions, report: Reporter): readonly ConversionFile[] {
  const { dtype: type } = options;
  const names = options.names ?? (model?.names === 'meta' ? 'hf' : model?.names);
  if (type && !plainTypes.includes(type.name)) report.add('CONVERT_NO_PLACE', `${target} files hold floats as ${plainTypes.join(', ')}, not as ${type.name}`);
  if (model && names !== model.names) {
    tensorLosses(model, report);
    if (names === 'qwen1' && model.config.kvHeads !== model.config.heads) report.add('CONVERT_GROUPED_QUERIES', `the model has ${model.config.kvHeads} kv heads for ${model.config.heads} heads`);
  }
  if (isBlocked(report, options.allowLoss)) return [];

  const stored = model && names && names !== model.names ? renamed(model, names) : asStored(input.checkpoint, model);
  const tensors = names ? inSchemeOrder(stored.map((tensor) => inType(tensor, type)), names) : stored.map((tensor) => inType(tensor, type));
  return [...weightFiles(tensors, target, options), ...configFiles(input, model, names, tensors, options)].toSorted((a, b) => appearance[a.kind] - appearance[b.kind]);
}

/** The index comes last: with it the folder is complete. */
const appearance: Readonly<Record<ConversionFile['kind'], number>> = { weights: 0, config: 1, index: 2 };

function renamed(model: LogicalModel, names: NameScheme): readonly TensorInfo[] {
  return tensorsIn(model, names, { biases: names === 'qwen1' || hasQkvBiases(model.config), classifier: names === 'qwen1' || !model.config.tiedEmbeddings });
}

/** All tensors under their own names. A tied classifier that the file repeats is left out, as transformers does. */
function asStored(checkpoint: Checkpoint, model: LogicalModel | undefined): readonly TensorInfo[] {
  const repeated = new Set([...(model?.derived.values() ?? [])].filter(({ shape }) => shape.length === 2 && model?.config.tiedEmbeddings).map(({ name }) => name));
  return [...storedWeights(withCleanNames(checkpoint))].filter(([name]) => !repeated.has(name)).map(([name, { tensor }]) => bare(tensor, name));
}

/** Without what only the file that it came from knows, such as the storage that it shares with others. */
const bare = ({ dtype: type, shape, location }: TensorInfo, name: string): TensorInfo => ({ name, dtype: type, shape, location });

/** Floats as `type`; blocks as F32 when none is asked for; all else as it is. */
function inType(tensor: TensorInfo, type: DType | undefined): TensorInfo {
  if (!floatCodec(tensor.dtype)) return tensor;
  if (type) return asType(tensor, type);
  return tensor.dtype.blockSize > 1 ? asType(tensor, f32) : tensor;
}

function weightFiles(tensors: readonly TensorInfo[], target: FolderTarget, { shardBytes }: ConvertOptions): ConversionFile[] {
  const { shards, index } = planShards(tensors, target, shardBytes);
  const files = shards.map(({ name, tensors: inShard, byteLength }): ConversionFile => ({
    name,
    kind: 'weights',
    byteLength,
    write: (sink) => (target === 'safetensors' ? writeSafetensors(inShard, sink, { metadata: { format: 'pt' } }) : writeTorch(inShard, sink, { flavor: 'torch-2', archiveName: name.replace(/\.bin$/, '') })),
  }));
  return index ? [...files, smallFile(index.name, 'index', index.bytes)] : files;
}

function configFiles(input: ConvertInput, model: LogicalModel | undefined, names: NameScheme | undefined, tensors: readonly TensorInfo[], { maxSeqLen }: ConvertOptions): ConversionFile[] {
  if (!model || !names) return [];
  const matrix = tensors.find(({ shape }) => shape.length === 2);
  const { name, content } = configFileFor(input, model, names, matrix?.dtype.name ?? 'F32', maxSeqLen ?? model.config.maxSeqLen);
  return [smallFile(name, 'config', new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`))];
}

const smallFile = (name: string, kind: ConversionFile['kind'], bytes: Uint8Array): ConversionFile => ({ name, kind, byteLength: bytes.length, write: (sink: ByteSink) => sink.write(bytes) });

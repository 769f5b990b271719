/**
 * A checkpoint as the weights of a decoder, by Meta's names, whatever its format calls them and however it stores them: the one form
 * that every recipe starts from. Reads no tensor bytes.
 */
import type { Checkpoint, PackedTensor, TensorInfo } from '@weightspec/core';
import { decoderWeights, describeModel, ModelError, sliceRows, storedName, type BesideModel, type DecoderConfig, type NameScheme, type RowOrder } from '@weightspec/models';
import { contiguous, permuted, unpacked } from './views.js';

/** A checkpoint and what lies beside it. */
export interface ConvertInput {
  readonly checkpoint: Checkpoint;
  readonly beside?: BesideConversion;
}

export interface BesideConversion extends BesideModel {
  /** Hugging Face's generation_config.json, parsed: Qwen's eos and pad ids. */
  readonly generationConfig?: unknown;
  /** Ranks in qwen.tiktoken: its control tokens follow them. */
  readonly tiktokenRanks?: number;
}

/** One weight, contiguous. */
export interface LogicalWeight {
  /** The values, F32 for a weight made of several tensors. Rows are in the order of the source. */
  readonly tensor: TensorInfo;
  /** How it is stored: a dtype, or the scheme that packs it. */
  readonly storage: string;
  readonly packed?: { readonly entry: PackedTensor; readonly values: TensorInfo; readonly scales: TensorInfo };
}

export interface LogicalModel {
  readonly config: DecoderConfig;
  readonly names: NameScheme;
  /** Order of q and k rows. */
  readonly rowOrder: RowOrder;
  readonly stopTokens: readonly number[];
  /** By Meta's names, every weight of the architecture. */
  readonly weights: ReadonlyMap<string, LogicalWeight>;
  /** Tensors that are no weight and that no reader misses: tables that follow from the configuration, a tied classifier. */
  readonly derived: ReadonlyMap<string, TensorInfo>;
  /** Names of tensors that are neither. */
  readonly others: readonly string[];
}

/** torch.compile puts this before every name. */
const COMPILED_PREFIX = '_orig_mod.';

/** The checkpoint without the prefix of torch.compile. */
export function withCleanNames(checkpoint: Checkpoint): Checkpoint {
  if (!checkpoint.tensors.some(({ name }) => name.startsWith(COMPILED_PREFIX))) return checkpoint;
  const clean = (name: string) => (name.startsWith(COMPILED_PREFIX) ? name.slice(COMPILED_PREFIX.length) : name);
  return { ...checkpoint, tensors: checkpoint.tensors.map((tensor) => ({ ...tensor, name: clean(tensor.name) })) };
}

const derivable = /^freqs_(cos|sin)$|^rope\.freqs$|\.rotary_emb\.inv_freq$|\.attn\.masked_bias$|\.attn\.bias$/;

/** Tables that follow from the configuration; some savers keep them. */
export const isDerivable = (name: string): boolean => derivable.test(name);

/** Throws ModelError as describeModel does, and MODEL_WEIGHTS naming every weight that is missing or has another shape. */
export function logicalModel({ checkpoint: given, beside }: ConvertInput): LogicalModel {
  const checkpoint = withCleanNames(given);
  const { config, names, stopTokens } = describeModel(checkpoint, beside);
  const stored = storedWeights(checkpoint);
  const used = new Set<string>();
  const problems: string[] = [];
  const weights = new Map<string, LogicalWeight>();
  for (const { name, shape } of decoderWeights(config)) {
    const { name: key, third } = storedName(name, names);
    const weight = stored.get(key);
    const wanted = third === undefined ? shape : [3 * shape[0]!, ...shape.slice(1)];
    used.add(key);
    if (!weight) problems.push(`there is no tensor ${key}`);
    else if (weight.tensor.shape.join() !== wanted.join()) problems.push(`${key} is [${weight.tensor.shape.join(', ')}], not [${wanted.join(', ')}]`);
    else weights.set(name, third === undefined ? weight : { tensor: sliceRows(weight.tensor, name, third * shape[0]!, shape[0]!), storage: weight.storage });
  }
  if (problems.length > 0) throw new ModelError('MODEL_WEIGHTS', [...new Set(problems)]);
  const classifier = storedName('output.weight', names).name;
  const unused = [...stored.keys()].filter((name) => !used.has(name));
  const isDerived = (name: string) => isDerivable(name) || (config.tiedEmbeddings && name === classifier);
  return {
    config,
    names,
    rowOrder: config.ropeStyle === 'interleaved' ? 'meta' : 'hf',
    stopTokens,
    weights,
    derived: new Map(unused.filter(isDerived).map((name) => [name, stored.get(name)!.tensor])),
    others: unused.filter((name) => !isDerived(name)),
  };
}

/** Every weight by its stored name: packed ones as one, the tensors that are no part of one as they are. */
export function storedWeights(checkpoint: Checkpoint): Map<string, LogicalWeight> {
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const parts = new Set((checkpoint.packed ?? []).flatMap((entry) => Object.values(entry.parts)));
  const packedByValues = new Map((checkpoint.packed ?? []).map((entry) => [entry.parts.values, entry]));
  const weights = new Map<string, LogicalWeight>();
  for (const tensor of checkpoint.tensors) {
    const entry = packedByValues.get(tensor.name);
    if (entry) {
      const scales = tensors.get(entry.parts.scales ?? '');
      if (!scales) throw new ModelError('MODEL_WEIGHTS', [`${entry.name} names ${entry.parts.scales} as its scales, and there is no such tensor`]);
      weights.set(entry.name, { tensor: unpacked(entry, tensor, scales), storage: entry.scheme, packed: { entry, values: tensor, scales } });
    } else if (!parts.has(tensor.name)) {
      weights.set(tensor.name, { tensor: contiguous(tensor), storage: tensor.dtype.name });
    }
  }
  return weights;
}

/** Whether a weight's rows are rotated by RoPE, so that their order differs between Meta and Hugging Face. */
export const isRotated = (metaName: string): boolean => /\.attention\.w[qk]\.(weight|bias)$/.test(metaName);

/** A weight with its rows in the order asked for. Throws RangeError for a name that the model does not have. */
export function weightIn(model: LogicalModel, metaName: string, order: RowOrder): TensorInfo {
  const weight = model.weights.get(metaName);
  if (!weight) throw new RangeError(`the model has no ${metaName}`);
  return isRotated(metaName) && model.rowOrder !== order ? permuted(weight.tensor, model.config.headDim, order) : weight.tensor;
}

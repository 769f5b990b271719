/** A model's tensors under each scheme's names: order, rows, fused matrices. One table a scheme, no code a pair. */
import type { DType, TensorInfo } from '@weightspec/core';
import { hasQkvBiases, joinTensors, storedName, type NameScheme, type RowOrder } from '@weightspec/models';
import { weightIn, type LogicalModel } from './logical-model.js';
import { asType, f32, floatCodec, zeros } from './views.js';

/** Suffixes of Meta's names in the order in which each scheme's own model class registers them: savers write, and split, in this order. */
const layerOrder: Readonly<Record<NameScheme, readonly string[]>> = {
  meta: ['attention.wq.weight', 'attention.wq.bias', 'attention.wk.weight', 'attention.wk.bias', 'attention.wv.weight', 'attention.wv.bias', 'attention.wo.weight', 'feed_forward.w1.weight', 'feed_forward.w2.weight', 'feed_forward.w3.weight', 'attention_norm.weight', 'ffn_norm.weight'],
  hf: ['attention.wq.weight', 'attention.wq.bias', 'attention.wk.weight', 'attention.wk.bias', 'attention.wv.weight', 'attention.wv.bias', 'attention.wo.weight', 'feed_forward.w1.weight', 'feed_forward.w3.weight', 'feed_forward.w2.weight', 'attention_norm.weight', 'ffn_norm.weight'],
  qwen1: ['attention_norm.weight', 'attention.wq.weight', 'attention.wk.weight', 'attention.wv.weight', 'attention.wq.bias', 'attention.wk.bias', 'attention.wv.bias', 'attention.wo.weight', 'ffn_norm.weight', 'feed_forward.w3.weight', 'feed_forward.w1.weight', 'feed_forward.w2.weight'],
};

export const rowOrderOf = (scheme: NameScheme): RowOrder => (scheme === 'meta' ? 'meta' : 'hf');

export interface RecipeOptions {
  /** Whether the target has biases of q, k and v: those of a model without any are zeros there, and a model's own are left out elsewhere. */
  readonly biases: boolean;
  /** Whether the target has a classifier: a tied one is the token embedding again. */
  readonly classifier: boolean;
}

/** Meta's names of everything in a scheme's file, in its order. */
function metaNamesInOrder({ config: { layers } }: LogicalModel, scheme: NameScheme, { biases, classifier }: RecipeOptions): string[] {
  const suffixes = layerOrder[scheme].filter((suffix) => biases || !suffix.endsWith('.bias'));
  const layer = (n: number) => suffixes.map((suffix) => `layers.${n}.${suffix}`);
  return ['tok_embeddings.weight', ...Array.from({ length: layers }, (_, n) => layer(n)).flat(), 'norm.weight', ...(classifier ? ['output.weight'] : [])];
}

/** The model as a scheme stores it. Reads nothing. */
export function tensorsIn(model: LogicalModel, scheme: NameScheme, options: RecipeOptions): TensorInfo[] {
  const parts = new Map<string, TensorInfo[]>();
  for (const metaName of metaNamesInOrder(model, scheme, options)) {
    const { name } = storedName(metaName, scheme);
    const part = partIn(model, metaName, scheme);
    parts.set(name, [...(parts.get(name) ?? []), part]);
  }
  return [...parts].map(([name, pieces]) => joinTensors(name, ofOneType(pieces), 0));
}

function partIn(model: LogicalModel, metaName: string, scheme: NameScheme): TensorInfo {
  if (metaName === 'output.weight' && !model.weights.has(metaName)) return weightIn(model, 'tok_embeddings.weight', rowOrderOf(scheme));
  if (metaName.endsWith('.bias') && !hasQkvBiases(model.config)) {
    const { tensor } = model.weights.get(metaName.replace(/bias$/, 'weight'))!;
    return zeros(metaName, tensor.shape.slice(0, 1), biasType(tensor));
  }
  return weightIn(model, metaName, rowOrderOf(scheme));
}

const biasType = ({ dtype: type }: TensorInfo): DType => (type.blockSize === 1 && floatCodec(type) ? type : f32);

/** Parts of one matrix in several types become F32. */
function ofOneType(parts: readonly TensorInfo[]): readonly TensorInfo[] {
  const same = parts.every((part) => part.dtype.name === parts[0]!.dtype.name);
  return same ? parts : parts.map((part) => asType(part, f32));
}

/** Tensors sorted as the scheme's own model class lists them; those that it does not know keep their order, at the end. */
export function inSchemeOrder(tensors: readonly TensorInfo[], scheme: NameScheme): TensorInfo[] {
  const suffixRank = new Map(layerOrder[scheme].map((suffix, rank) => [storedName(`layers.0.${suffix}`, scheme).name.replace(/^(.*?\.)0\./, ''), rank] as const).toReversed());
  const heads = new Map([storedName('tok_embeddings.weight', scheme).name].map((name) => [name, -1] as const));
  const tails = new Map(['norm.weight', 'output.weight'].map((metaName, i) => [storedName(metaName, scheme).name, Number.MAX_SAFE_INTEGER - 2 + i] as const));
  const rank = ({ name }: TensorInfo): readonly [number, number] => {
    const outer = heads.get(name) ?? tails.get(name);
    if (outer !== undefined) return [outer, 0];
    const found = /^(?:.*?\.)?(\d+)\.(.*)$/.exec(name);
    const inner = found ? suffixRank.get(found[2]!) : undefined;
    return inner === undefined ? [Number.MAX_SAFE_INTEGER, 0] : [Number(found![1]), inner];
  };
  return tensors.map((tensor) => ({ tensor, key: rank(tensor) })).toSorted((a, b) => a.key[0] - b.key[0] || a.key[1] - b.key[1]).map(({ tensor }) => tensor);
}

/** How far two models are apart, across formats and names, and why. */
import { elementCount, readChunks, type Progress, type TensorInfo } from '@weightspec/core';
import type { DecoderConfig, NameScheme } from '@weightspec/models';
import { isDerivable, isRotated, type ConvertInput } from '../logical-model.js';
import { permuted } from '../views.js';
import { BAD_RELATIVE, explain, type Explanation, type NamedValues } from './explain.js';
import { sideOf, type Side, type SideTensor } from './side.js';
import { boundCheck, differenceOf, type Difference } from './statistics.js';

export type { Difference } from './statistics.js';
export type { Explanation } from './explain.js';

export interface TensorSummary {
  /** As the file calls it. */
  readonly storedName: string;
  readonly shape: readonly number[];
  /** A dtype, or the scheme that packs it. */
  readonly storage: string;
}

export interface ComparedTensor {
  /** Meta's name where the scheme is known, else the tensor's own. */
  readonly name: string;
  readonly a: TensorSummary;
  readonly b: TensorSummary;
  /** Absent where the shapes differ. For types without a codec only `equal` says something. */
  readonly difference?: Difference;
  /** One side is quantized and the other is not: elements farther apart than the quantizer can put them. */
  readonly quantization?: { readonly storage: string; readonly exceeding: number };
  readonly explanation?: Explanation;
}

export interface Comparison {
  readonly a: SideSummary;
  readonly b: SideSummary;
  /** Fields of the configuration that differ, where both are known. Names and row order are not among them. */
  readonly configuration: readonly { readonly field: string; readonly a: number | string | boolean; readonly b: number | string | boolean }[];
  /** Names that only A has. */
  readonly missing: readonly string[];
  /** Names that only B has. */
  readonly extra: readonly string[];
  /** What both have, in A's order. */
  readonly tensors: readonly ComparedTensor[];
  /**
   * `equal`: every value is; `close`: shapes agree, nothing is missing and no tensor is off by more than 0.3 or what quantization
   * explains; `different`: all else.
   */
  readonly verdict: 'equal' | 'close' | 'different';
}

export interface SideSummary {
  readonly format: string;
  readonly variant: string;
  readonly names?: NameScheme;
}

export interface CompareOptions {
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** Streams both models once; memory is a few megabytes and one head of q or k. Throws what reading throws, and the signal's reason. */
export async function compare(inputA: ConvertInput, inputB: ConvertInput, { progress, signal }: CompareOptions = {}): Promise<Comparison> {
  const a = sideOf(inputA);
  const b = sideOf(inputB);
  const [left, right] = [withClassifier(a, b), withClassifier(b, a)];
  const shared = [...left.keys()].filter((name) => right.has(name));
  const total = shared.reduce((sum, name) => sum + elementCount(left.get(name)!.shape), 0);
  let done = 0;
  const tensors: ComparedTensor[] = [];
  for (const name of shared) {
    signal?.throwIfAborted();
    tensors.push(await compareTensor(name, left.get(name)!, right.get(name)!, { a, b, right }));
    progress?.((done += elementCount(left.get(name)!.shape)), total);
  }
  const missing = [...left.keys()].filter((name) => !right.has(name) && !isDerivable(name));
  const extra = [...right.keys()].filter((name) => !left.has(name) && !isDerivable(name));
  const configuration = configurationDifferences(a.config, b.config);
  return { a: summary(a), b: summary(b), configuration, missing, extra, tensors, verdict: verdictOf(tensors, missing.length + extra.length) };
}

const summary = ({ format, variant, names }: Side): SideSummary => ({ format, variant, ...(names ? { names } : {}) });

/** A model without a classifier of its own, where the other has one, uses the embedding. */
function withClassifier({ tensors, names }: Side, other: Side): ReadonlyMap<string, SideTensor> {
  const embedding = tensors.get('tok_embeddings.weight');
  return names && embedding && !tensors.has('output.weight') && other.tensors.has('output.weight') ? new Map([...tensors, ['output.weight', embedding]]) : tensors;
}

interface Both {
  readonly a: Side;
  readonly b: Side;
  readonly right: ReadonlyMap<string, SideTensor>;
}

async function compareTensor(name: string, a: SideTensor, b: SideTensor, both: Both): Promise<ComparedTensor> {
  const row = { name, a: summaryOf(a), b: summaryOf(b) };
  const sameShape = a.shape.join() === b.shape.join();
  if (!a.values || !b.values) return sameShape ? { ...row, difference: await rawDifference(a.raw, b.raw) } : row;
  if (!sameShape) {
    const explanation = await explained(name, a, b, both);
    return explanation ? { ...row, explanation } : row;
  }
  const { left, right, quantized } = aligned(name, a, b, both);
  const check = quantized && boundCheck(quantized.storage, quantized.groupSize, (quantized === a ? b : a).storage);
  const difference = await differenceOf(left, right, check?.unit ?? 1, (x, y) => (quantized === a ? check?.observe(y, x) : check?.observe(x, y)));
  const quantization = check && !difference.equal ? { storage: quantized.storage, exceeding: check.exceeding() } : undefined;
  const bad = (difference.relative ?? Infinity) > BAD_RELATIVE && !difference.equal && quantization?.exceeding !== 0;
  const explanation = bad ? await explained(name, a, b, both) : undefined;
  return { ...row, difference, ...(quantization ? { quantization } : {}), ...(explanation ? { explanation } : {}) };
}

const summaryOf = ({ storedName, shape, storage }: SideTensor): TensorSummary => ({ storedName, shape, storage });

const isQuantized = ({ raw, groupSize }: SideTensor): boolean => groupSize !== undefined || raw.dtype.blockSize > 1;

/** Head size for bringing rows into one order; B's own where A does not say. */
const headDimOf = ({ a, b }: Pick<Both, 'a' | 'b'>): number | undefined => (a.config ?? b.config)?.headDim;

const needsReordering = (name: string, { a, b }: Pick<Both, 'a' | 'b'>): boolean => isRotated(name) && a.rowOrder !== undefined && b.rowOrder !== undefined && a.rowOrder !== b.rowOrder;

/** Both in one order of rows. Groups of a packed weight may go across rows, so that its own order is the one. */
function aligned(name: string, a: SideTensor, b: SideTensor, both: Both): { left: TensorInfo; right: TensorInfo; quantized?: SideTensor } {
  const quantized = isQuantized(a) === isQuantized(b) ? undefined : isQuantized(a) ? a : b;
  const headDim = headDimOf(both);
  if (!needsReordering(name, both) || headDim === undefined || a.shape[0]! % headDim !== 0) return { left: a.values!, right: b.values!, ...(quantized ? { quantized } : {}) };
  const keepB = quantized === b;
  return {
    left: keepB ? permuted(a.values!, headDim, both.b.rowOrder!) : a.values!,
    right: keepB ? b.values! : permuted(b.values!, headDim, both.a.rowOrder!),
    ...(quantized ? { quantized } : {}),
  };
}

function explained(name: string, a: SideTensor, b: SideTensor, both: Both): Promise<Explanation | undefined> {
  const headDim = headDimOf(both);
  const config = both.a.config ?? both.b.config;
  const reordered = needsReordering(name, both) && headDim !== undefined && b.shape[0]! % headDim === 0;
  const inOrder = (other: string, tensor: SideTensor): NamedValues => ({
    name: tensor.storedName,
    values: needsReordering(other, both) && headDim !== undefined && tensor.shape[0]! % headDim === 0 ? permuted(tensor.values!, headDim, both.a.rowOrder!) : tensor.values!,
  });
  return explain({ name, values: a.values! }, inOrder(name, b), {
    headDim,
    otherHeads: config ? [config.heads, config.kvHeads] : [],
    reordered,
    order: both.a.rowOrder,
    others: () => likelyOthers(name, a, both.right).map(([other, tensor]) => inOrder(other, tensor)),
  });
}

const layerOf = (name: string): string | undefined => /^layers\.(\d+)\./.exec(name)?.[1];
const roleOf = (name: string): string => name.replace(/^layers\.\d+\./, '');

/** Tensors of the same shape: of the same layer first, then of the same role in other layers. */
function likelyOthers(name: string, { shape }: SideTensor, right: ReadonlyMap<string, SideTensor>): (readonly [string, SideTensor])[] {
  const candidates = [...right].filter(([other, tensor]) => other !== name && tensor.values && tensor.shape.join() === shape.join());
  const sameLayer = candidates.filter(([other]) => layerOf(other) === layerOf(name));
  return [...sameLayer, ...candidates.filter(([other]) => layerOf(other) !== layerOf(name) && roleOf(other) === roleOf(name))];
}

/** For types whose values are not known: whether the bytes are the same. */
async function rawDifference(a: TensorInfo, b: TensorInfo): Promise<Difference> {
  const none = { maxAbs: 0, rmse: 0, relative: null, snrDb: null, cosine: null, nonFinite: 0 };
  if (a.dtype.name !== b.dtype.name || a.location.length !== b.location.length) return { ...none, equal: false };
  let at = 0;
  for await (const chunk of readChunks(a.location.source, a.location.offset, a.location.length)) {
    const other = await b.location.source.read(b.location.offset + at, chunk.length);
    if (chunk.some((byte, i) => byte !== other[i])) return { ...none, equal: false };
    at += chunk.length;
  }
  return { ...none, equal: true };
}

const comparedFields = ['dim', 'hiddenDim', 'layers', 'heads', 'kvHeads', 'headDim', 'vocabSize', 'maxSeqLen', 'normEps', 'ropeTheta'] as const satisfies readonly (keyof DecoderConfig)[];

function configurationDifferences(a: DecoderConfig | undefined, b: DecoderConfig | undefined): Comparison['configuration'] {
  if (!a || !b) return [];
  return comparedFields.filter((field) => Math.fround(a[field]) !== Math.fround(b[field])).map((field) => ({ field, a: a[field], b: b[field] }));
}

function verdictOf(tensors: readonly ComparedTensor[], unmatched: number): Comparison['verdict'] {
  if (unmatched === 0 && tensors.every(({ difference }) => difference?.equal)) return 'equal';
  const close = ({ difference, quantization, explanation }: ComparedTensor): boolean =>
    difference !== undefined && explanation === undefined && (difference.equal || quantization?.exceeding === 0 || (difference.relative !== null && difference.relative <= BAD_RELATIVE)) && difference.nonFinite === 0;
  return unmatched === 0 && tensors.every(close) ? 'close' : 'different';
}

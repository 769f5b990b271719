/**
 * Mistakes that readers and engines make with Llama weights, each applied alone to the float64 forward.
 * A golden that is worth having changes its text under every one of them.
 */
import type { Tensor, Weights, Reading, DecoderConfig } from './decoder.js';
import { exp } from './elementary.js';
import { frequencyTables } from './llama2c-files.js';

export interface Fault {
  readonly name: string;
  readonly reading?: Partial<Reading>;
  readonly weights?: (weights: Weights, config: DecoderConfig) => Weights;
}

const tensorNamed = (weights: Weights, name: string): Tensor => {
  const tensor = weights[name];
  if (tensor === undefined) throw new Error(`no weight is named ${name}`);
  return tensor;
};

/** Replaces the values of each tensor whose name ends in one of `endings`. */
function mapValues(weights: Weights, endings: readonly string[], change: (tensor: Tensor, name: string) => Float32Array): Weights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, tensor]) => [name, endings.some((ending) => name.endsWith(ending)) ? { shape: tensor.shape, values: change(tensor, name) } : tensor]),
  );
}

/** Exchanges the values of two tensors of the same length; their shapes stay. */
export function swapValues(weights: Weights, a: string, b: string): Weights {
  const [first, second] = [tensorNamed(weights, a), tensorNamed(weights, b)];
  return { ...weights, [a]: { shape: first.shape, values: second.values }, [b]: { shape: second.shape, values: first.values } };
}

const inEachLayer = (part: string, other: string) => (weights: Weights, config: DecoderConfig) =>
  Array.from({ length: config.layers }, (_, layer) => layer).reduce((changed, layer) => swapValues(changed, `layers.${layer}.${part}`, `layers.${layer}.${other}`), weights);

/** Reads the values of an [out, in] matrix as if they were stored [in, out]. */
function transposed({ shape: [rows = 1, columns = 1], values }: Tensor): Float32Array {
  return values.map((_, at) => values[(at % columns) * rows + Math.floor(at / columns)]!);
}

/** Moves all values by `count` elements, as a wrong byte offset does. */
export function rolled(values: Float32Array, count: number): Float32Array {
  return values.map((_, at) => values[(at + count) % values.length]!);
}

/** Rows of each head from pair order (2i, 2i+1) to half order (i, i + headDim/2), over `heads` heads. */
function toHalves({ shape: [rows = 1, columns = 1], values }: Tensor, heads: number): Float32Array {
  const headDim = rows / heads;
  return values.map((_, at) => {
    const row = Math.floor(at / columns);
    const inHead = row % headDim;
    const source = row - inHead + (inHead < headDim / 2 ? 2 * inHead : 2 * (inHead - headDim / 2) + 1);
    return values[source * columns + (at % columns)]!;
  });
}

/** The classifier of a reader that does not know of the freq tables before it. */
function classifierWithoutSkippingTables(weights: Weights, config: DecoderConfig): Weights {
  const { shape, values } = tensorNamed(weights, 'wcls');
  const { cosines, sines } = frequencyTables(config, 10000);
  const misread = Float32Array.from([...cosines, ...sines, ...values].slice(0, values.length));
  return { ...weights, wcls: { shape, values: misread } };
}

export const faults: readonly Fault[] = [
  { name: 'norm_eps 1e-3', reading: { eps: 1e-3 } },
  { name: 'norm_eps 1e-6', reading: { eps: 1e-6 } },
  { name: 'norm_eps 0', reading: { eps: 0 } },
  { name: 'rope theta 500000', reading: { theta: 500_000 } },
  { name: 'rope in halves', reading: { ropeStyle: 'halves' } },
  { name: 'no rope', reading: { ropeStyle: 'none' } },
  { name: 'keys one position ahead of queries', reading: { keyPositionShift: 1 } },
  { name: 'keys one position behind queries', reading: { keyPositionShift: -1 } },
  { name: 'keys not rotated', reading: { rotateKeys: false } },
  { name: 'rope frequencies across heads', reading: { ropeAcrossHeads: true } },
  { name: 'query heads dealt out to kv heads in turn', reading: { kvHeadOf: (head, { kvHeads }) => head % kvHeads } },
  { name: 'kv heads reversed', reading: { kvHeadOf: (head, { heads, kvHeads }) => kvHeads - 1 - Math.floor((head * kvHeads) / heads) } },
  { name: 'every query head reads kv head 0', reading: { kvHeadOf: () => 0 } },
  { name: 'attention scores not scaled', reading: { attentionScale: 1 } },
  { name: 'attention scores scaled by the width of the model', reading: { attentionScale: 1 / 8 } },
  { name: 'a position does not see itself', reading: { seesItself: false } },
  { name: 'relu for silu', reading: { activation: (x) => Math.max(x, 0) } },
  { name: 'gelu for silu', reading: { activation: (x) => x / (1 + exp(-1.702 * x)) } },
  { name: 'no final norm', reading: { finalNorm: false } },
  { name: 'no residual connections', reading: { residuals: false } },
  { name: 'norm weights are offsets from 1', weights: (weights) => mapValues(weights, ['Norm', 'norm'], ({ values }) => values.map((value) => value + 1)) },
  { name: 'gate and up exchanged', weights: inEachLayer('w1', 'w3') },
  { name: 'w2 and w3 exchanged in file order', weights: inEachLayer('w2', 'w3') },
  { name: 'keys and values exchanged', weights: inEachLayer('wk', 'wv') },
  { name: 'queries and output exchanged', weights: inEachLayer('wq', 'wo') },
  { name: 'attention and feed-forward norms exchanged', weights: inEachLayer('attNorm', 'ffnNorm') },
  ...['wq', 'wk', 'wv', 'wo', 'w1', 'w2', 'w3', 'tok', 'wcls'].map((part) => ({
    name: `${part} transposed`,
    weights: (weights: Weights) => mapValues(weights, [part], transposed),
  })),
  { name: 'wq and wk rows in HF order', weights: (weights, { heads, kvHeads }) => mapValues(weights, ['wq', 'wk'], (tensor, name) => toHalves(tensor, name.endsWith('wq') ? heads : kvHeads)) },
  { name: 'wk permuted with n_heads, not n_kv_heads', weights: (weights, { heads }) => mapValues(weights, ['wk'], (tensor) => toHalves(tensor, heads)) },
  { name: 'layers in reverse', weights: (weights, { layers }) => Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [name, name.startsWith('layers.') ? tensorNamed(weights, name.replace(/\d+/, (layer) => String(layers - 1 - Number(layer)))) : tensor])) },
  { name: 'classifier shared with the embedding', weights: (weights) => ({ ...weights, wcls: tensorNamed(weights, 'tok') }) },
  { name: 'freq tables not skipped', weights: classifierWithoutSkippingTables },
  ...['tok', 'wcls'].map((part) => ({ name: `${part} one row late`, weights: (weights: Weights, { dim }: DecoderConfig) => mapValues(weights, [part], ({ values }) => rolled(values, dim)) })),
];

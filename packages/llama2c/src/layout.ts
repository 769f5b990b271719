/**
 * Where every tensor lies in each layout: one walk over the names of C-1.9 in file order.
 * Source: export.py@350e04fe and the commits named in specs/llama2c/README.md. Clauses C-2.3, C-4.
 */
import type { Llama2cConfig } from './header.js';
import { AK42_HEADER_BYTES, V0_HEADER_BYTES } from './header.js';

export const variants = ['v0', 'v1-int8', 'v1-fp32', 'v1-experimental', 'v2', 'v2-contiguous'] as const;
export type Variant = (typeof variants)[number];
export const int8Variants: ReadonlySet<Variant> = new Set(['v1-int8', 'v2', 'v2-contiguous', 'v1-experimental']);

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface Region extends TensorSpec {
  readonly dtype: 'F32' | 'I8' | 'U32';
  /** Absolute byte offset. */
  readonly offset: number;
  readonly length: number;
}

export const scalesName = (name: string): string => `${name}.scales`;

const perLayer = (config: Llama2cConfig, suffix: string, shape: readonly number[]): TensorSpec[] =>
  Array.from({ length: config.n_layers }, (_, layer) => ({ name: `layers.${layer}.${suffix}.weight`, shape }));

/** The norms, in the order of the ak42 bodies (C-4.1). */
export function normTensors(config: Llama2cConfig): TensorSpec[] {
  const shape = [config.dim];
  return [...perLayer(config, 'attention_norm', shape), ...perLayer(config, 'ffn_norm', shape), { name: 'norm.weight', shape }];
}

/** The matrices in order T (C-4.2). */
export function matrixTensors(config: Llama2cConfig): TensorSpec[] {
  const { dim, hidden_dim: hidden, vocab_size: vocab } = config;
  const kvWidth = (dim / config.n_heads) * config.n_kv_heads;
  return [
    { name: 'tok_embeddings.weight', shape: [vocab, dim] },
    ...perLayer(config, 'attention.wq', [dim, dim]),
    ...perLayer(config, 'attention.wk', [kvWidth, dim]),
    ...perLayer(config, 'attention.wv', [kvWidth, dim]),
    ...perLayer(config, 'attention.wo', [dim, dim]),
    ...perLayer(config, 'feed_forward.w1', [hidden, dim]),
    ...perLayer(config, 'feed_forward.w2', [dim, hidden]),
    ...perLayer(config, 'feed_forward.w3', [hidden, dim]),
    ...(config.shared_classifier ? [] : [{ name: 'output.weight', shape: [vocab, dim] }]),
  ];
}

/** The v0 order: norms stand between the matrices, frequency tables before the classifier (C-2.3). */
export function v0Tensors(config: Llama2cConfig): TensorSpec[] {
  const matrices = matrixTensors(config);
  const norms = normTensors(config);
  const L = config.n_layers;
  const halfHead = config.dim / config.n_heads / 2;
  const attention = matrices.slice(1, 1 + 4 * L);
  const feedForward = matrices.slice(1 + 4 * L, 1 + 7 * L);
  return [
    matrices[0]!,
    ...norms.slice(0, L),
    ...attention,
    ...norms.slice(L, 2 * L),
    ...feedForward,
    norms[2 * L]!,
    { name: 'freqs_cos', shape: [config.max_seq_len, halfHead] },
    { name: 'freqs_sin', shape: [config.max_seq_len, halfHead] },
    ...matrices.slice(1 + 7 * L),
  ];
}

/** The tensors of a variant in file order, without quantization. */
export const logicalTensors = (variant: Variant, config: Llama2cConfig): TensorSpec[] =>
  variant === 'v0' ? v0Tensors(config) : [...normTensors(config), ...matrixTensors(config)];

/** Element counts of the distinct tensor shapes that are quantized; G must divide each (C-6.2). */
export function quantizedElementCounts(config: Llama2cConfig): { name: string; count: bigint }[] {
  const d = BigInt(config.dim);
  const kvWidth = (d / BigInt(config.n_heads)) * BigInt(config.n_kv_heads);
  return [
    { name: 'tok_embeddings.weight', count: BigInt(config.vocab_size) * d },
    { name: 'layers.0.attention.wq.weight', count: d * d },
    { name: 'layers.0.attention.wk.weight', count: kvWidth * d },
    { name: 'layers.0.feed_forward.w1.weight', count: BigInt(config.hidden_dim) * d },
  ];
}

/** File size by the closed formulas of C-2.4, C-4.3 and C-4.4, exact for any i32 header. Not for v1-experimental. */
export function derivedSize(variant: Exclude<Variant, 'v1-experimental'>, config: Llama2cConfig, groupSize = 0): bigint {
  const [d, h, L, V, S] = [config.dim, config.hidden_dim, config.n_layers, config.vocab_size, config.max_seq_len].map(BigInt) as [bigint, bigint, bigint, bigint, bigint];
  const headSize = d / BigInt(config.n_heads);
  const k = headSize * BigInt(config.n_kv_heads);
  const A = (2n * L + 1n) * d;
  const Q = V * d * (config.shared_classifier ? 1n : 2n) + L * (2n * d * d + 2n * d * k + 3n * d * h);
  if (variant === 'v0') return BigInt(V0_HEADER_BYTES) + 4n * (A + Q + S * headSize);
  if (variant === 'v1-fp32') return BigInt(AK42_HEADER_BYTES) + 4n * (A + Q);
  return BigInt(AK42_HEADER_BYTES) + 4n * A + Q + (4n * Q) / BigInt(groupSize);
}

const count = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Puts regions one behind the other. */
function regionWriter(offset: number): { regions: Region[]; push(name: string, dtype: Region['dtype'], shape: readonly number[]): void; end(): number } {
  const regions: Region[] = [];
  let position = offset;
  return {
    regions,
    push(name, dtype, shape) {
      const length = count(shape) * (dtype === 'I8' ? 1 : 4);
      regions.push({ name, dtype, shape, offset: position, length });
      position += length;
    },
    end: () => position,
  };
}

/** Every tensor of a file in file order, with absolute offsets. For v1-experimental `groupSizes` gives one size a tensor of T. */
export function layout(variant: Variant, config: Llama2cConfig, headerBytes: number, groupSizes: number | readonly number[] = 0): Region[] {
  const out = regionWriter(headerBytes);
  if (!int8Variants.has(variant)) {
    for (const { name, shape } of logicalTensors(variant, config)) out.push(name, 'F32', shape);
    return out.regions;
  }
  for (const { name, shape } of normTensors(config)) out.push(name, 'F32', shape);
  const matrices = matrixTensors(config);
  const groupsOf = (tensor: TensorSpec, i: number) => count(tensor.shape) / (typeof groupSizes === 'number' ? groupSizes : groupSizes[i]!);
  if (variant === 'v1-int8' || variant === 'v2-contiguous') {
    for (const { name, shape } of matrices) out.push(name, 'I8', shape);
    matrices.forEach((tensor, i) => out.push(scalesName(tensor.name), 'F32', [groupsOf(tensor, i)]));
    return out.regions;
  }
  matrices.forEach((tensor, i) => {
    if (variant === 'v1-experimental') out.push(`${tensor.name}.group_size`, 'U32', [1]);
    out.push(tensor.name, 'I8', tensor.shape);
    out.push(scalesName(tensor.name), 'F32', [groupsOf(tensor, i)]);
  });
  return out.regions;
}

/** Small models of any layout in memory, for tests: numbers that are the same on every run. */
import { byteLength, dtype, elementCount, type ByteSource, type Checkpoint, type TensorInfo } from '@weightspec/core';

/** Numbers in [−1, 1) from a linear congruential generator (Numerical Recipes' constants). */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export function tensorOf(name: string, shape: readonly number[], values: readonly number[], onRead?: (length: number) => void): TensorInfo {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  return bytesTensor(name, shape, 'F32', bytes, onRead);
}

export function bytesTensor(name: string, shape: readonly number[], type: string, bytes: Uint8Array, onRead?: (length: number) => void): TensorInfo {
  const source: ByteSource = {
    name: 'tiny model',
    size: bytes.length,
    read: (offset, length) => {
      if (offset < 0 || offset + length > bytes.length) return Promise.reject(new RangeError(`${name}: [${offset}, ${offset + length}) of ${bytes.length}`));
      onRead?.(length);
      return Promise.resolve(bytes.slice(offset, offset + length));
    },
  };
  return { name, dtype: dtype(type), shape, location: { source, offset: 0, length: byteLength(dtype(type), elementCount(shape)) } };
}

export const checkpointOf = (tensors: readonly TensorInfo[]): Checkpoint => ({ format: 'safetensors', variant: 'safetensors', metadata: {}, tensors });

export interface TinyShape {
  readonly dim: number;
  readonly hidden: number;
  readonly kv: number;
  readonly vocab: number;
  readonly layers: number;
}

/** Names and shapes of a Llama or Qwen2 with biases. */
export const llamaShapes = ({ dim, hidden, kv, vocab, layers }: TinyShape): readonly (readonly [string, readonly number[]])[] => [
  ['model.embed_tokens.weight', [vocab, dim]],
  ...Array.from({ length: layers }, (_, n) => `model.layers.${n}.`).flatMap((at) => [
    [`${at}input_layernorm.weight`, [dim]], [`${at}self_attn.q_proj.weight`, [dim, dim]], [`${at}self_attn.k_proj.weight`, [kv, dim]], [`${at}self_attn.v_proj.weight`, [kv, dim]],
    [`${at}self_attn.q_proj.bias`, [dim]], [`${at}self_attn.k_proj.bias`, [kv]], [`${at}self_attn.v_proj.bias`, [kv]], [`${at}self_attn.o_proj.weight`, [dim, dim]],
    [`${at}post_attention_layernorm.weight`, [dim]], [`${at}mlp.gate_proj.weight`, [hidden, dim]], [`${at}mlp.up_proj.weight`, [hidden, dim]], [`${at}mlp.down_proj.weight`, [dim, hidden]],
  ] as const),
  ['model.norm.weight', [dim]],
  ['lm_head.weight', [vocab, dim]],
];

/** Names and shapes of the first Qwen. */
export const qwen1Shapes = ({ dim, hidden, vocab, layers }: TinyShape): readonly (readonly [string, readonly number[]])[] => [
  ['transformer.wte.weight', [vocab, dim]],
  ...Array.from({ length: layers }, (_, n) => `transformer.h.${n}.`).flatMap((at) => [
    [`${at}ln_1.weight`, [dim]], [`${at}attn.c_attn.weight`, [3 * dim, dim]], [`${at}attn.c_attn.bias`, [3 * dim]], [`${at}attn.c_proj.weight`, [dim, dim]],
    [`${at}ln_2.weight`, [dim]], [`${at}mlp.w1.weight`, [hidden, dim]], [`${at}mlp.w2.weight`, [hidden, dim]], [`${at}mlp.c_proj.weight`, [dim, hidden]],
  ] as const),
  ['transformer.ln_f.weight', [dim]],
  ['lm_head.weight', [vocab, dim]],
];

export interface TinyModel {
  readonly checkpoint: Checkpoint;
  /** By tensor name, flat. */
  readonly values: ReadonlyMap<string, readonly number[]>;
  /** By layer. */
  readonly statistics: ReadonlyMap<string, Float32Array>;
}

/** Random weights and statistics; every norm is near 1. */
export function tinyModel(shapes: readonly (readonly [string, readonly number[]])[], seed = 1, change: (name: string, values: number[]) => readonly number[] = (_, values) => values): TinyModel {
  const random = numbersFrom(seed);
  const values = new Map(shapes.map(([name, shape]) => [name, change(name, Array.from({ length: elementCount(shape) }, () => Math.fround(/norm|ln_/.test(name) ? 1 + random() / 2 : random() ** 3)))] as const));
  const linears = shapes.filter(([name, { length }]) => length === 2 && /layers|\.h\./.test(name));
  const statistics = new Map(linears.map(([name, shape]) => [name.replace(/\.weight$/, ''), Float32Array.from({ length: shape[1]! }, () => 2 ** (3 * random()))] as const));
  return { checkpoint: checkpointOf(shapes.map(([name, shape]) => tensorOf(name, shape, values.get(name)!))), values, statistics };
}

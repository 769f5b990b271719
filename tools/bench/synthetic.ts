/** Models of given shapes whose weights are seeded noise, made while they are read: nothing of them is ever whole in memory. */
import { assertRange, dtype, type ByteSource, type Checkpoint, type MetadataValue, type TensorInfo } from '@weightspec/core';

export interface Shape {
  readonly architecture: 'llama' | 'qwen2';
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly positions: number;
  readonly tied: boolean;
  readonly ropeTheta: number;
  readonly normEps: number;
}

/** A prime: rows of different tensors never line up. */
const NOISE_ELEMENTS = 1_000_003;
const WEIGHT_DEVIATION = 0.02;
/** Rows of the classifier for special ids are this much smaller, so that greedy decoding never meets an id that ends a text. */
const SPECIAL_IDS = 4;
const SPECIAL_SCALE = 0.01;

let noise: Float32Array | undefined;

/** Sums of four uniform numbers of a linear congruential generator, near enough to Gaussian. */
function noiseTable(): Float32Array {
  if (noise) return noise;
  let state = 1;
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const scale = WEIGHT_DEVIATION * Math.sqrt(3);
  return (noise = Float32Array.from({ length: NOISE_ELEMENTS }, () => scale * (uniform() + uniform() + uniform() + uniform() - 2)));
}

/** Where a tensor begins in the noise: FNV-1a of its name. */
function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return hash % NOISE_ELEMENTS;
}

type Adjust = (values: Float32Array, firstElement: number) => void;

/** f32 noise as a source. Ranges are whole elements. */
function noiseSource(name: string, elements: number, adjust?: Adjust): ByteSource {
  const size = 4 * elements;
  const seed = seedOf(name);
  return {
    name,
    size,
    async read(offset, length) {
      assertRange(name, size, offset, length);
      if (offset % 4 !== 0 || length % 4 !== 0) throw new RangeError(`${name}: bytes [${offset}, ${offset + length}) are not whole f32`);
      const table = noiseTable();
      const values = new Float32Array(length / 4);
      let at = (seed + offset / 4) % NOISE_ELEMENTS;
      for (let done = 0; done < values.length;) {
        const count = Math.min(NOISE_ELEMENTS - at, values.length - done);
        values.set(table.subarray(at, at + count), done);
        done += count;
        at = 0;
      }
      adjust?.(values, offset / 4);
      return new Uint8Array(values.buffer);
    },
  };
}

function tensor(name: string, shape: readonly number[], adjust?: Adjust): TensorInfo {
  const elements = shape.reduce((product, n) => product * n, 1);
  return { name, dtype: dtype('F32'), shape, location: { source: noiseSource(name, elements, adjust), offset: 0, length: 4 * elements } };
}

/** Norms near one. */
const nearOne: Adjust = (values) => {
  for (let i = 0; i < values.length; i++) values[i] = Math.fround(1 + values[i]!);
};

const smallSpecialRows = (dim: number): Adjust => (values, firstElement) => {
  for (let i = 0; i < values.length && firstElement + i < SPECIAL_IDS * dim; i++) values[i] = Math.fround(values[i]! * SPECIAL_SCALE);
};

/** How a family calls its weights: Meta's names for `llama` (with Meta's order of q and k rows), Hugging Face's for `qwen2`. */
const names = {
  llama: {
    embedding: 'tok_embeddings.weight', norm: 'norm.weight', classifier: 'output.weight',
    layer: (n: number) => ({
      attentionNorm: `layers.${n}.attention_norm.weight`, q: `layers.${n}.attention.wq`, k: `layers.${n}.attention.wk`, v: `layers.${n}.attention.wv`, o: `layers.${n}.attention.wo.weight`,
      ffnNorm: `layers.${n}.ffn_norm.weight`, gate: `layers.${n}.feed_forward.w1.weight`, down: `layers.${n}.feed_forward.w2.weight`, up: `layers.${n}.feed_forward.w3.weight`,
    }),
  },
  qwen2: {
    embedding: 'model.embed_tokens.weight', norm: 'model.norm.weight', classifier: 'lm_head.weight',
    layer: (n: number) => ({
      attentionNorm: `model.layers.${n}.input_layernorm.weight`, q: `model.layers.${n}.self_attn.q_proj`, k: `model.layers.${n}.self_attn.k_proj`, v: `model.layers.${n}.self_attn.v_proj`, o: `model.layers.${n}.self_attn.o_proj.weight`,
      ffnNorm: `model.layers.${n}.post_attention_layernorm.weight`, gate: `model.layers.${n}.mlp.gate_proj.weight`, down: `model.layers.${n}.mlp.down_proj.weight`, up: `model.layers.${n}.mlp.up_proj.weight`,
    }),
  },
};

/** A tensor by its name in GGUF too: both files are made from one list. */
export interface NamedTensor {
  readonly tensor: TensorInfo;
  readonly gguf: string;
}

export function syntheticTensors(shape: Shape): readonly NamedTensor[] {
  const { architecture, dim, hidden, layers, heads, kvHeads, vocab, tied } = shape;
  const kv = (dim / heads) * kvHeads;
  const family = names[architecture];
  const tensors: NamedTensor[] = [];
  const add = (gguf: string, name: string, size: readonly number[], adjust?: Adjust): void => void tensors.push({ gguf, tensor: tensor(name, size, adjust) });
  add('token_embd.weight', family.embedding, [vocab, dim], smallSpecialRows(dim));
  for (let n = 0; n < layers; n++) {
    const layer = family.layer(n);
    add(`blk.${n}.attn_norm.weight`, layer.attentionNorm, [dim], nearOne);
    for (const [part, name, rows] of [['q', layer.q, dim], ['k', layer.k, kv], ['v', layer.v, kv]] as const) {
      add(`blk.${n}.attn_${part}.weight`, `${name}.weight`, [rows, dim]);
      if (architecture === 'qwen2') add(`blk.${n}.attn_${part}.bias`, `${name}.bias`, [rows]);
    }
    add(`blk.${n}.attn_output.weight`, layer.o, [dim, dim]);
    add(`blk.${n}.ffn_norm.weight`, layer.ffnNorm, [dim], nearOne);
    add(`blk.${n}.ffn_gate.weight`, layer.gate, [hidden, dim]);
    add(`blk.${n}.ffn_up.weight`, layer.up, [hidden, dim]);
    add(`blk.${n}.ffn_down.weight`, layer.down, [dim, hidden]);
  }
  add('output_norm.weight', family.norm, [dim], nearOne);
  if (!tied) add('output.weight', family.classifier, [vocab, dim], smallSpecialRows(dim));
  return tensors;
}

/** Hugging Face's config.json. */
export function hfConfig({ architecture, dim, hidden, layers, heads, kvHeads, vocab, positions, tied, ropeTheta, normEps }: Shape): { readonly [key: string]: MetadataValue } {
  return {
    model_type: architecture, hidden_size: dim, intermediate_size: hidden, num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: kvHeads,
    vocab_size: vocab, max_position_embeddings: positions, tie_word_embeddings: tied, rope_theta: ropeTheta, rms_norm_eps: normEps, hidden_act: 'silu',
  };
}

/** The model as a checkpoint that convert takes. */
export function syntheticCheckpoint(shape: Shape): Checkpoint {
  return { format: 'synthetic', variant: 'f32', metadata: { config: hfConfig(shape) }, tensors: syntheticTensors(shape).map(({ tensor: info }) => info) };
}


/** Elements that every token reads: all matrices but an untied embedding. */
export function matrixElements(shape: Shape): number {
  const { dim, hidden, layers, heads, kvHeads, vocab } = shape;
  return vocab * dim + layers * (2 * dim * dim + 2 * dim * (dim / heads) * kvHeads + 3 * dim * hidden);
}

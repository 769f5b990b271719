/** Models of given shapes whose weights are seeded noise, made while they are read: nothing of them is ever whole in memory. */
import { codecOf } from '@weightspec/codecs';
import { assertRange, byteLength, dtype, elementCount, type ByteSource, type Checkpoint, type DType, type MetadataValue, type Program, type TensorInfo, type WeightHandle } from '@weightspec/core';
import { decoderProgram, decoderWeights, storedName, type DecoderConfig } from '@weightspec/models';

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
  const elements = elementCount(shape);
  return { name, dtype: dtype('F32'), shape, location: { source: noiseSource(name, elements, adjust), offset: 0, length: 4 * elements } };
}

/** Norms near one. */
const nearOne: Adjust = (values) => {
  for (let i = 0; i < values.length; i++) values[i] = Math.fround(1 + values[i]!);
};

const smallSpecialRows = (dim: number): Adjust => (values, firstElement) => {
  for (let i = 0; i < values.length && firstElement + i < SPECIAL_IDS * dim; i++) values[i] = Math.fround(values[i]! * SPECIAL_SCALE);
};

function decoderConfig({ architecture, dim, hidden, layers, heads, kvHeads, vocab, positions, tied, ropeTheta, normEps }: Shape): DecoderConfig {
  const ropeStyle = architecture === 'llama' ? 'interleaved' : 'halves';
  return { architecture, dim, hiddenDim: hidden, layers, heads, kvHeads, headDim: dim / heads, vocabSize: vocab, maxSeqLen: positions, normEps, ropeTheta, ropeStyle, tiedEmbeddings: tied };
}

/** Meta's names of parts of a layer, and GGUF's. */
const ggufParts: readonly (readonly [string, string])[] = [
  ['tok_embeddings', 'token_embd'], ['layers.', 'blk.'], ['attention_norm', 'attn_norm'], ['attention.wq', 'attn_q'], ['attention.wk', 'attn_k'], ['attention.wv', 'attn_v'], ['attention.wo', 'attn_output'],
  ['ffn_norm', 'ffn_norm'], ['feed_forward.w1', 'ffn_gate'], ['feed_forward.w2', 'ffn_down'], ['feed_forward.w3', 'ffn_up'],
];
const ggufName = (name: string): string => (name === 'norm.weight' ? 'output_norm.weight' : ggufParts.reduce((renamed, [meta, gguf]) => renamed.replace(meta, gguf), name));

/** A tensor by its name in GGUF too: both files are made from one list. */
export interface NamedTensor {
  readonly tensor: TensorInfo;
  readonly gguf: string;
}

/** Under Meta's names for `llama` (with Meta's order of q and k rows), Hugging Face's for `qwen2`. */
export function syntheticTensors(shape: Shape): readonly NamedTensor[] {
  const scheme = shape.architecture === 'llama' ? 'meta' : 'hf';
  const adjustOf = (name: string): Adjust | undefined =>
    name.endsWith('norm.weight') ? nearOne : name === 'tok_embeddings.weight' || name === 'output.weight' ? smallSpecialRows(shape.dim) : undefined;
  return decoderWeights(decoderConfig(shape)).map(({ name, shape: extents }) => ({ gguf: ggufName(name), tensor: tensor(storedName(name, scheme).name, extents, adjustOf(name)) }));
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

/** Elements of noise that are encoded once, and stand for all of a tensor. */
const PERIOD_ELEMENTS = 2 ** 18;

/** The same bytes again and again. */
function repeatingSource(name: string, period: Uint8Array, size: number): ByteSource {
  return {
    name,
    size,
    async read(offset, length) {
      assertRange(name, size, offset, length);
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const start = (offset + at) % period.length;
        const run = period.subarray(start, Math.min(period.length, start + length - at));
        bytes.set(run, at);
        at += run.length;
      }
      return bytes;
    },
  };
}

/** What a backend compiles. */
export interface SyntheticModel {
  readonly program: Program;
  readonly weights: ReadonlyMap<string, WeightHandle>;
  /** Of weights: every one but an untied embedding. */
  readonly bytesPerToken: number;
}

/** The model without a file: matrices as `type`, vectors as f32. */
export function syntheticModel(shape: Shape, type: DType): SyntheticModel {
  const program = decoderProgram(decoderConfig(shape));
  const values = noiseTable().slice(0, PERIOD_ELEMENTS);
  const ofMatrices = codecOf(type).quantize(values);
  nearOne(values, 0);
  const ofVectors = new Uint8Array(values.buffer);
  const weights = new Map(program.weights.map(({ name, shape: extents }) => {
    const [stored, period] = extents.length === 1 ? [dtype('F32'), ofVectors] : [type, ofMatrices];
    const length = byteLength(stored, elementCount(extents));
    const info: TensorInfo = { name, dtype: stored, shape: extents, location: { source: repeatingSource(name, period, length), offset: 0, length } };
    return [name, { name, shape: extents, storage: stored.name, parts: { values: info } }];
  }));
  const unread = shape.tied ? 0 : weights.get('tok_embeddings.weight')!.parts.values.location.length;
  const bytesPerToken = Array.from(weights.values()).reduce((sum, { parts }) => sum + parts.values.location.length, -unread);
  return { program, weights, bytesPerToken };
}

/** Elements that every token reads: all matrices but an untied embedding. */
export function matrixElements(shape: Shape): number {
  return decoderWeights(decoderConfig(shape))
    .filter(({ name, shape: extents }) => extents.length === 2 && (shape.tied || name !== 'tok_embeddings.weight'))
    .reduce((sum, { shape: extents }) => sum + elementCount(extents), 0);
}

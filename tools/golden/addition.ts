/**
 * The trained model that adds, read from the files that tools/train wrote, and its sums: prompts, right answers, and what the float64
 * forward answers. Source of the container: safetensors format (u64 header length, JSON header, tensors); little-endian.
 */
import { argmax, startDecoder, weightShapes, type DecoderConfig, type Reading, type Tensor, type Weights } from './decoder.js';
import type { Piece } from './llama2c-files.js';
import { xorshift128 } from './random.js';
import { BOS, encode, growVocabulary } from './vocabulary.js';

export const additionConfig: DecoderConfig = { dim: 64, hiddenDim: 192, layers: 3, heads: 4, kvHeads: 2, vocabSize: 272, maxSeqLen: 32, sharedClassifier: true };
/** As Hugging Face's Llama reads its files. */
export const additionReading: Partial<Reading> = { ropeStyle: 'halves' };

/** <unk>, BOS, EOS, the 256 byte tokens, and the characters of a sum in the order that tools/train/train_addition.py gives them. */
export function additionPieces(): Piece[] {
  const beforeMerges = growVocabulary('').slice(0, 259);
  return [...beforeMerges, ...Array.from(' 0123456789+=', (text, rank) => ({ text, score: 0 - rank }))];
}

const suffixes: Readonly<Record<string, string>> = {
  attNorm: 'input_layernorm',
  wq: 'self_attn.q_proj',
  wk: 'self_attn.k_proj',
  wv: 'self_attn.v_proj',
  wo: 'self_attn.o_proj',
  ffnNorm: 'post_attention_layernorm',
  w1: 'mlp.gate_proj',
  w2: 'mlp.down_proj',
  w3: 'mlp.up_proj',
};

/** Hugging Face's name of `layers.N.part`, `tok` and `norm`. */
function hfName(name: string): string {
  const [, layer, part = ''] = /^layers\.(\d+)\.(.*)$/.exec(name) ?? [];
  if (layer !== undefined) return `model.layers.${layer}.${suffixes[part]}.weight`;
  return name === 'tok' ? 'model.embed_tokens.weight' : 'model.norm.weight';
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** F32 tensors of a safetensors file as the decoder's weights. Throws when one is not there or has another shape. */
export function readAdditionWeights(file: Uint8Array): Weights {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const dataOffset = 8 + Number(view.getBigUint64(0, true));
  // What is not in the file, or is something else, is found out below.
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, dataOffset))) as Record<string, HeaderEntry | undefined>;
  return Object.fromEntries(
    Object.entries(weightShapes(additionConfig)).map(([name, shape]): [string, Tensor] => {
      const entry = header[hfName(name)];
      if (entry?.dtype !== 'F32' || entry.shape.join() !== shape.join()) throw new Error(`${hfName(name)} is ${JSON.stringify(entry)}, not F32 [${shape.join(', ')}]`);
      const [start, end] = entry.data_offsets;
      return [name, { shape, values: Float32Array.from({ length: (end - start) / 4 }, (_, i) => view.getFloat32(dataOffset + start + 4 * i, true)) }];
    }),
  );
}

export interface Sum {
  readonly a: number;
  readonly b: number;
  readonly prompt: string;
  readonly answer: string;
  /** BOS and the prompt. */
  readonly tokens: readonly number[];
  /** The answer and BOS, which ends it. */
  readonly rightIds: readonly number[];
}

export function sumOf(pieces: readonly Piece[], a: number, b: number): Sum {
  const [prompt, right] = [`${a}+${b}=`, String(a + b)];
  const tokens = encode(pieces, prompt);
  return { a, b, prompt, answer: right, tokens, rightIds: [...encode(pieces, `${prompt}${right}`).slice(tokens.length), BOS] };
}

export const sampleSeed = 50;

/** 50 sums: the one that everybody shows, the corners, and others drawn without looking. */
export function sampleSums(pieces: readonly Piece[]): Sum[] {
  const chosen = [[17, 25], [0, 0], [99, 99], [9, 1], [1, 99], [50, 50]] as const;
  const random = xorshift128(sampleSeed);
  const drawn = Array.from({ length: 50 - chosen.length }, () => [Math.floor(random.unit() * 100), Math.floor(random.unit() * 100)] as const);
  return [...chosen, ...drawn].map(([a, b]) => sumOf(pieces, a, b));
}

export interface Answer {
  /** What greedy decoding says after the prompt, until BOS or as many tokens as the right answer has. */
  readonly ids: readonly number[];
  /** One row for each token of the prompt, then one for each id but the last. */
  readonly logits: readonly Float64Array[];
}

export function answer(weights: Weights, { tokens, rightIds }: Sum, changes: Partial<Reading> = {}): Answer {
  const decoder = startDecoder(additionConfig, weights, { ...additionReading, ...changes });
  const logits = tokens.map((token) => decoder.classify(decoder.hidden(token)));
  const ids = [argmax(logits.at(-1)!)];
  while (ids.at(-1) !== BOS && ids.length < rightIds.length) {
    logits.push(decoder.classify(decoder.hidden(ids.at(-1)!)));
    ids.push(argmax(logits.at(-1)!));
  }
  return { ids, logits };
}

export const isRight = ({ rightIds }: Sum, { ids }: Answer): boolean => ids.join() === rightIds.join();

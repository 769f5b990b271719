/**
 * A small Llama that recites one paragraph at greedy decoding, so that a wrong reading of its file visibly babbles.
 * Nothing is trained: the body is random, and the classifier is solved so that each hidden state of the recital
 * points at the next word. There are fewer words than dimensions, so an exact solution exists.
 */
import { argmax, startDecoder, weightShapes, type Decoder, type DecoderConfig, type Reading, type Tensor, type Weights } from './decoder.js';
import { ridge } from './least-squares.js';
import type { Piece } from './llama2c-files.js';
import { xorshift128 } from './random.js';
import { BOS, encode, growVocabulary } from './vocabulary.js';

export const reciteText =
  'If you can read this, every tensor in the file is in its place, with the right shape and order. ' +
  'Swap any two and I babble. Weightspec reads a weight file, checks each byte against a written specification ' +
  'and runs the model to prove what the bytes mean.';

/** Chosen among 1..16 as the one where every fault of faults.ts shows soonest: within 16 words. */
export const reciteSeed = 4;

/** Logit of the next word; all other logits are drawn from ±BACKGROUND, so that no row of the classifier is zero. */
const NEXT_WORD_LOGIT = 10;
const BACKGROUND = 1;
const RIDGE = 0.05;

/**
 * Standard deviations of the random weights. The residual stream is small (mean square of embeddings 2.5e-5) so that eps = 1e-5
 * matters; attention scores have a deviation of about 2, so that positions and heads matter.
 */
const deviations: Readonly<Record<string, number>> = { tok: 0.005, wq: 0.25, wk: 0.25, wv: 0.15, wo: 0.00125, w1: 0.15, w2: 0.0015, w3: 0.15 };

export interface Recital {
  readonly config: DecoderConfig;
  readonly weights: Weights;
  readonly pieces: readonly Piece[];
  /** BOS, the words, BOS. */
  readonly tokens: readonly number[];
}

/** Random weights for every shape but the classifier's; norm weights spread over [0.1, 1.9) so that they differ. */
export function randomWeights(config: DecoderConfig, seed: number, deviationOf: Readonly<Record<string, number>>): Record<string, Tensor> {
  const random = xorshift128(seed);
  const weights: Record<string, Tensor> = {};
  for (const [name, shape] of Object.entries(weightShapes(config))) {
    if (name === 'wcls') continue;
    const count = shape.reduce((product, length) => product * length, 1);
    const deviation = deviationOf[name.slice(name.lastIndexOf('.') + 1)];
    weights[name] = { shape, values: deviation === undefined ? Float32Array.from({ length: count }, () => random.between(0.1, 1.9)) : random.centred(count, deviation) };
  }
  return weights;
}

export function buildRecital(seed = reciteSeed): Recital {
  const pieces = growVocabulary(reciteText);
  const tokens = [...encode(pieces, reciteText), BOS];
  const config: DecoderConfig = { dim: 64, hiddenDim: 192, layers: 3, heads: 8, kvHeads: 4, vocabSize: pieces.length, maxSeqLen: 128, sharedClassifier: false };
  const weights = randomWeights(config, seed, deviations);
  const decoder = startDecoder(config, weights);
  const samples = tokens.slice(0, -1).map((token) => decoder.hidden(token));
  const random = xorshift128(seed + 1000);
  const background = random.centred(pieces.length * samples.length, BACKGROUND / Math.sqrt(3));
  const target = (row: number, t: number) => (tokens[t + 1] === row ? NEXT_WORD_LOGIT : background[row * samples.length + t]!);
  const classifier = Float32Array.from(ridge(samples, pieces.length, target, RIDGE));
  return { config, weights: { ...weights, wcls: { shape: [pieces.length, config.dim], values: classifier } }, pieces, tokens };
}

/** Greedy continuation of BOS until BOS comes again (as run.c stops), until `steps` tokens, or until `stop` says so. */
export function recite(config: DecoderConfig, weights: Weights, steps: number, changes: Partial<Reading> = {}, stop: (next: number, at: number) => boolean = () => false): number[] {
  const decoder: Decoder = startDecoder(config, weights, changes);
  const tokens = [BOS];
  while (tokens.length <= steps) {
    const next = argmax(decoder.classify(decoder.hidden(tokens.at(-1)!)));
    tokens.push(next);
    if (next === BOS || stop(next, tokens.length - 1)) break;
  }
  return tokens;
}

/** How many tokens of the recital come out before the first wrong one; all of them when the reading makes no difference. */
export function tokensRecited({ config, tokens }: Recital, weights: Weights, changes: Partial<Reading> = {}): number {
  const said = recite(config, weights, tokens.length - 1, changes, (next, at) => next !== tokens[at]);
  const wrong = said.findIndex((token, at) => token !== tokens[at]);
  return (wrong < 0 ? said.length : wrong) - 1;
}

/**
 * Samplers. Source: karpathy/llama2.c run.c@350e04fe sample(), softmax(), sample_mult(), sample_topp(); every rounding to f32
 * is where its C has one, so that the same seed gives the same text. Top-k is not in run.c.
 * Caveats: C's expf may differ from the f32-rounded Math.exp in the last bit; equal probabilities keep the order of their
 * ids (qsort need not).
 */
import { notFinite } from './not-finite.js';
import { XorShiftStar } from './xorshift.js';

/** Chooses the next token. May hold the state of a random generator. */
export interface Sampler {
  /** logits: one row, [vocabSize] f32; not changed. Returns an id. */
  sample(logits: Float32Array): number;
  /** It always takes what `greedySampler` takes, so that a backend may do so in its place. */
  readonly greedy?: boolean;
}

export interface SamplerOptions {
  /** 0 takes the likeliest token. Default 1. */
  readonly temperature?: number;
  /** Keep only the k likeliest tokens. Default: all. */
  readonly topK?: number;
  /** Of those, keep the fewest that together exceed this probability. 0 or 1: all, as in run.c. Default 1. */
  readonly topP?: number;
  /** Required with a temperature above 0. Not 0. */
  readonly seed?: number | bigint;
}

/** The token with the largest logit; the first of equals. Throws EngineError (LOGITS_NOT_FINITE) when no logit is a number. */
export function greedySampler(): Sampler {
  return { sample: indexOfLargest, greedy: true };
}

/**
 * Draws from softmax(logits / temperature). Order: temperature, top-k, softmax over what is left, top-p, one draw.
 * With no top-k this is run.c's sampler, draw for draw. Throws RangeError for options out of range; `sample` throws EngineError
 * (LOGITS_NOT_FINITE).
 */
export function createSampler({ temperature = 1, topK, topP = 1, seed }: SamplerOptions = {}): Sampler {
  if (!(temperature >= 0 && temperature < Infinity)) throw new RangeError(`a temperature of ${temperature} is not a finite number from 0 up`);
  if (!(topP >= 0 && topP <= 1)) throw new RangeError(`a top-p of ${topP} is not within 0 and 1`);
  if (topK !== undefined && (!Number.isSafeInteger(topK) || topK < 1)) throw new RangeError(`a top-k of ${topK} is not a positive integer`);
  if (temperature === 0) return greedySampler();
  if (seed === undefined) throw new RangeError('a temperature above 0 needs a seed');
  const random = new XorShiftStar(seed);
  const [t, p] = [Math.fround(temperature), Math.fround(topP)];
  return {
    sample(logits) {
      const scaled = logits.map((logit) => logit / t);
      const candidates = softmax(topK !== undefined && topK < scaled.length ? keepTopK(scaled, topK) : keepAll(scaled));
      const coin = random.nextF32();
      return p <= 0 || p >= 1 ? drawFrom(candidates, coin) : drawFromTopP(candidates, p, coin);
    },
  };
}

/** Tokens that may be drawn, in order of their ids, with their logits and then their probabilities. */
interface Candidates {
  readonly ids: Uint32Array;
  readonly values: Float32Array;
}

const INFINITY_BITS = 0x7f800000;
const BLOCK_LENGTH = 1024;

/**
 * The first of the largest; NaN is not one. Numbers above 0 are in the order of their bits, and those are compared three times as fast
 * (32000 logits in 20 µs; a token of a 15M model takes 200): so the block with the largest is found by bits, and its place in it.
 */
function indexOfLargest(values: Float32Array): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  let block = -1;
  for (let start = 0; start < bits.length; start += BLOCK_LENGTH) {
    const inBlock = largestIn(bits, start, Math.min(bits.length, start + BLOCK_LENGTH));
    if (inBlock > largest) {
      largest = inBlock;
      block = start;
    }
  }
  if (block < 0 || largest > INFINITY_BITS) return indexOfLargestOfAny(values);
  return bits.indexOf(largest, block);
}

/** Four maxima at once: each waits for itself only. 0 where nothing is larger. */
function largestIn(bits: Int32Array, start: number, end: number): number {
  let m0 = 0;
  let m1 = 0;
  let m2 = 0;
  let m3 = 0;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    if (bits[i]! > m0) m0 = bits[i]!;
    if (bits[i + 1]! > m1) m1 = bits[i + 1]!;
    if (bits[i + 2]! > m2) m2 = bits[i + 2]!;
    if (bits[i + 3]! > m3) m3 = bits[i + 3]!;
  }
  for (; i < end; i += 1) if (bits[i]! > m0) m0 = bits[i]!;
  return Math.max(m0, m1, m2, m3);
}

/** The same where no number is above 0, or some are none. */
function indexOfLargestOfAny(values: Float32Array): number {
  let best = -1;
  let largest = -Infinity;
  for (let i = 0; i < values.length; i += 1) {
    if (values[i]! > largest) {
      largest = values[i]!;
      best = i;
    }
  }
  if (best < 0) throw notFinite();
  return best;
}

function keepAll(values: Float32Array): Candidates {
  return { ids: Uint32Array.from(values, (_, id) => id), values };
}

/** The k largest; of those equal to the k-th, the ones with the lowest ids. */
function keepTopK(values: Float32Array, k: number): Candidates {
  const kth = values.toSorted().at(-k)!;
  const ids = new Uint32Array(k);
  let equalsLeft = k - values.reduce((count, value) => count + Number(value > kth), 0);
  let kept = 0;
  values.forEach((value, id) => {
    if (value > kth || (value === kth && equalsLeft-- > 0)) ids[kept++] = id;
  });
  return { ids, values: Float32Array.from(ids, (id) => values[id]!) };
}

/** In place. f32 throughout. Throws EngineError when a logit is NaN or +∞, or all are −∞. */
function softmax({ ids, values }: Candidates): Candidates {
  const largest = values[indexOfLargest(values)]!;
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) {
    values[i] = Math.exp(Math.fround(values[i]! - largest));
    sum = Math.fround(sum + values[i]!);
  }
  if (!Number.isFinite(sum)) throw notFinite();
  for (let i = 0; i < values.length; i += 1) values[i]! /= sum;
  return { ids, values };
}

/** The first candidate at which the running sum passes `coin`; the last when rounding leaves the sum below it. */
function drawFrom({ ids, values }: Candidates, coin: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) {
    sum = Math.fround(sum + values[i]!);
    if (coin < sum) return ids[i]!;
  }
  return ids.at(-1)!;
}

/** Draws from the fewest likeliest candidates whose sum exceeds `topP`. */
function drawFromTopP({ ids, values }: Candidates, topP: number, coin: number): number {
  // Less likely ones cannot belong to the result; leaving them out first makes the sort short.
  const cutoff = Math.fround(Math.fround(1 - topP) / (values.length - 1));
  const order = Array.from(values.keys()).filter((i) => values[i]! >= cutoff);
  // Where topP < 1 / candidates nothing need pass; run.c then reads before its array.
  if (order.length === 0) return ids[indexOfLargest(values)]!;
  order.sort((a, b) => values[b]! - values[a]! || a - b);

  let sum = 0;
  let count = 0;
  while (count < order.length && !(sum > topP)) sum = Math.fround(sum + values[order[count++]!]!);
  const nucleus = { ids: Uint32Array.from(order.slice(0, count), (i) => ids[i]!), values: Float32Array.from(order.slice(0, count), (i) => values[i]!) };
  return drawFrom(nucleus, Math.fround(coin * sum));
}

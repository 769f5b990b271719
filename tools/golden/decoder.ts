/**
 * The forward pass of a Llama decoder over named f32 weights, one token at a time, in float64.
 * Source of the mathematics: Touvron et al. 2023 (arXiv 2302.13971) section 2.2 and karpathy/llama2.c run.c's
 * tensor names. Each way in which a reader or an engine may misunderstand the weights is one field of `Reading`.
 */
import { add, attention, exact, groupedKvHead, matmul, rmsnorm, rope, silu, swiglu, type AttentionShape, type RopeStyle, type Rounding, type Row } from './ops.js';

export interface DecoderConfig {
  readonly dim: number;
  readonly hiddenDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabSize: number;
  readonly maxSeqLen: number;
  readonly sharedClassifier: boolean;
}

export interface Tensor {
  /** Row-major, outermost first; a matrix is [out, in]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** `tok`, `layers.N.{attNorm,wq,wk,wv,wo,ffnNorm,w1,w2,w3}`, `norm` and, unless it is shared, `wcls`; where a model has biases, `layers.N.{bq,bk,bv}`. */
export type Weights = Readonly<Record<string, Tensor>>;

export interface Reading {
  readonly eps: number;
  readonly theta: number;
  readonly ropeStyle: RopeStyle | 'none';
  /** Added to the position of keys but not of queries. Only differences matter to RoPE: a shift of both changes nothing. */
  readonly keyPositionShift: number;
  readonly rotateKeys: boolean;
  /** Whether frequencies run over a whole row instead of starting again at each head. */
  readonly ropeAcrossHeads: boolean;
  readonly attentionScale?: number;
  readonly kvHeadOf: typeof groupedKvHead;
  /** Whether a position sees its own key and value. */
  readonly seesItself: boolean;
  readonly activation: typeof silu;
  readonly finalNorm: boolean;
  /** Residual connections around attention and the feed-forward network. */
  readonly residuals: boolean;
  readonly round: Rounding;
  /** Applied to the input of every matmul; the identity but for engines that quantize activations. */
  readonly prepareInput: (x: Row) => Row;
}

/** As llama2.c reads its files; neither eps nor theta is stored in them. */
export const llama2cReading: Reading = {
  eps: 1e-5,
  theta: 10000,
  ropeStyle: 'interleaved',
  keyPositionShift: 0,
  rotateKeys: true,
  ropeAcrossHeads: false,
  kvHeadOf: groupedKvHead,
  seesItself: true,
  activation: silu,
  finalNorm: true,
  residuals: true,
  round: exact,
  prepareInput: (x) => x,
};

/** Shapes of all weights of a configuration, in the order of the decoder. */
export function weightShapes(config: DecoderConfig): Record<string, readonly number[]> {
  const { dim, hiddenDim, kvHeads, heads, vocabSize } = config;
  const kvDim = (dim / heads) * kvHeads;
  const shapes: Record<string, readonly number[]> = { tok: [vocabSize, dim] };
  for (let layer = 0; layer < config.layers; layer++) {
    const of = (name: string) => `layers.${layer}.${name}`;
    shapes[of('attNorm')] = [dim];
    shapes[of('wq')] = [dim, dim];
    shapes[of('wk')] = [kvDim, dim];
    shapes[of('wv')] = [kvDim, dim];
    shapes[of('wo')] = [dim, dim];
    shapes[of('ffnNorm')] = [dim];
    shapes[of('w1')] = [hiddenDim, dim];
    shapes[of('w2')] = [dim, hiddenDim];
    shapes[of('w3')] = [hiddenDim, dim];
  }
  shapes['norm'] = [dim];
  if (!config.sharedClassifier) shapes['wcls'] = [vocabSize, dim];
  return shapes;
}

export interface Decoder {
  /** The state that the classifier multiplies, [dim], after `token` at the next position. */
  hidden(token: number): Float64Array;
  /** Logits [vocabSize] of a hidden state. */
  classify(hidden: Float64Array): Float64Array;
}

/** Called with each activation of a token, in the order in which they are computed, under the names that docs/cli.md lists. */
export type Trace = (name: string, row: Row) => void;

/** A decoder at position 0 with an empty cache. */
export function startDecoder(config: DecoderConfig, weights: Weights, changes: Partial<Reading> = {}, trace: Trace = () => {}): Decoder {
  const reading = { ...llama2cReading, ...changes };
  const { round, prepareInput } = reading;
  const shape: AttentionShape = { heads: config.heads, kvHeads: config.kvHeads, headDim: config.dim / config.heads };
  const keys: Row[][] = Array.from({ length: config.layers }, () => []);
  const values: Row[][] = Array.from({ length: config.layers }, () => []);
  const weight = (name: string): Float32Array => {
    const tensor = weights[name];
    if (tensor === undefined) throw new Error(`no weight is named ${name}`);
    return tensor.values;
  };
  const project = (name: string, x: Row, bias?: string) => matmul(weight(name), prepareInput(x), round, bias === undefined ? undefined : weights[bias]?.values);
  const rotate = (x: Row, position: number): Row =>
    reading.ropeStyle === 'none' ? x : rope(x, position, reading.ropeAcrossHeads ? x.length : shape.headDim, reading.theta, reading.ropeStyle, round);
  const join = (x: Row, branch: Row) => (reading.residuals ? add(x, branch, round) : branch);
  let position = 0;

  function attend(layer: number, x: Row): Float64Array {
    const name = (part: string) => `layers.${layer}.${part}`;
    const seen = (point: string, row: Float64Array): Float64Array => {
      trace(`l${layer}.${point}`, row);
      return row;
    };
    const normed = seen('attn_in', rmsnorm(x, weight(name('attNorm')), reading.eps, round));
    const unturned = seen('q', project(name('wq'), normed, name('bq')));
    const k = seen('k', project(name('wk'), normed, name('bk')));
    const v = seen('v', project(name('wv'), normed, name('bv')));
    const q = rotate(unturned, position);
    const key = reading.rotateKeys ? rotate(k, position + reading.keyPositionShift) : k;
    trace(`l${layer}.q_rope`, q);
    trace(`l${layer}.k_rope`, key);
    keys[layer]?.push(key);
    values[layer]?.push(v);
    // The first position has nothing but itself to see.
    const visible = reading.seesItself || position === 0 ? position + 1 : position;
    const mixed = attention(q, (keys[layer] ?? []).slice(0, visible), (values[layer] ?? []).slice(0, visible), shape, round, reading.attentionScale, reading.kvHeadOf);
    return seen('attn_out', project(name('wo'), seen('attn_ctx', mixed)));
  }

  function feedForward(layer: number, x: Row): Float64Array {
    const name = (part: string) => `layers.${layer}.${part}`;
    const seen = (point: string, row: Float64Array): Float64Array => {
      trace(`l${layer}.${point}`, row);
      return row;
    };
    const normed = seen('ffn_in', rmsnorm(x, weight(name('ffnNorm')), reading.eps, round));
    const inner = swiglu(seen('gate', project(name('w1'), normed)), seen('up', project(name('w3'), normed)), round, reading.activation);
    return seen('ffn_out', project(name('w2'), seen('ffn_act', inner)));
  }

  return {
    hidden: (token) => {
      if (position >= config.maxSeqLen) throw new RangeError(`position ${position} is past the ${config.maxSeqLen} of the model`);
      let x: Row = weight('tok').subarray(token * config.dim, (token + 1) * config.dim);
      trace('embed', x);
      for (let layer = 0; layer < config.layers; layer++) {
        x = join(x, attend(layer, x));
        trace(`l${layer}.resid_mid`, x);
        x = join(x, feedForward(layer, x));
        trace(`l${layer}.out`, x);
      }
      position++;
      const final = reading.finalNorm ? rmsnorm(x, weight('norm'), reading.eps, round) : Float64Array.from(x);
      trace('final_norm', final);
      return final;
    },
    classify: (hidden) => {
      const logits = project(config.sharedClassifier ? 'tok' : 'wcls', hidden);
      trace('logits', logits);
      return logits;
    },
  };
}

/** Index of the largest value; the first of equals, as run.c's sample_argmax. */
export function argmax(values: Row): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Logits rows of a token sequence: one row a token. */
export function logitsOf(config: DecoderConfig, weights: Weights, tokens: readonly number[], changes: Partial<Reading> = {}): Float64Array[] {
  const decoder = startDecoder(config, weights, changes);
  return tokens.map((token) => decoder.classify(decoder.hidden(token)));
}

/** Largest logit less the second largest. */
export function margin(logits: Row, best = argmax(logits)): number {
  let second = -Infinity;
  for (const [i, value] of logits.entries()) if (i !== best && value > second) second = value;
  return logits[best]! - second;
}

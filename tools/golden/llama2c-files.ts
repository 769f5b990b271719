/**
 * Writes llama2.c v0 model files and generation-5 tokenizer files.
 * Source: karpathy/llama2.c export.py (legacy_export), tokenizer.py (export) and model.py (precompute_freqs_cis).
 * Little-endian, no padding. A negative vocab_size says that the classifier is not shared and follows the body.
 */
import type { DecoderConfig, Weights } from './decoder.js';
import { cos, power, sin } from './elementary.js';

/** freq_cos and freq_sin, each [maxSeqLen, headDim/2], rounded to f32 at each step as torch does. */
export function frequencyTables(config: DecoderConfig, theta: number): { cosines: Float32Array; sines: Float32Array } {
  const headDim = config.dim / config.heads;
  const columns = headDim / 2;
  const angles = Float32Array.from({ length: config.maxSeqLen * columns }, (_, at) => {
    const position = Math.floor(at / columns);
    const exponent = Math.fround((2 * (at % columns)) / headDim);
    return position * Math.fround(1 / Math.fround(power(theta, exponent)));
  });
  return { cosines: angles.map(cos), sines: angles.map(sin) };
}

function littleEndianF32(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setFloat32(i * 4, value, true);
  return bytes;
}

/** Rows of float64, little-endian, one after the other. */
export function littleEndianF64(rows: readonly Float64Array[]): Uint8Array {
  const values = rows.flatMap((row) => [...row]);
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setFloat64(i * 8, value, true);
  return bytes;
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let byteOffset = 0;
  for (const part of parts) {
    joined.set(part, byteOffset);
    byteOffset += part.length;
  }
  return joined;
}

function littleEndianI32(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setInt32(i * 4, value, true);
  return bytes;
}

/** A whole v0 model file. */
export function modelFile(config: DecoderConfig, weights: Weights, theta: number): Uint8Array {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize, maxSeqLen, sharedClassifier } = config;
  const one = (name: string) => littleEndianF32(weights[name]?.values ?? new Float32Array());
  const eachLayer = (part: string) => concatenate(Array.from({ length: layers }, (_, layer) => one(`layers.${layer}.${part}`)));
  const { cosines, sines } = frequencyTables(config, theta);
  return concatenate([
    littleEndianI32([dim, hiddenDim, layers, heads, kvHeads, sharedClassifier ? vocabSize : -vocabSize, maxSeqLen]),
    one('tok'),
    ...['attNorm', 'wq', 'wk', 'wv', 'wo', 'ffnNorm', 'w1', 'w2', 'w3'].map(eachLayer),
    one('norm'),
    littleEndianF32(cosines),
    littleEndianF32(sines),
    sharedClassifier ? new Uint8Array() : one('wcls'),
  ]);
}

export interface Piece {
  readonly text: string;
  readonly score: number;
}

/** u32 max_token_length, then per piece: f32 score, u32 byte length, UTF-8 bytes. The vocabulary size is not stored. */
export function tokenizerFile(pieces: readonly Piece[]): Uint8Array {
  const encoded = pieces.map((piece) => new TextEncoder().encode(piece.text));
  const longest = encoded.reduce((length, bytes) => Math.max(length, bytes.length), 0);
  return concatenate([
    littleEndianI32([longest]),
    ...pieces.flatMap((piece, i) => {
      const bytes = encoded[i]!;
      return [littleEndianF32(Float32Array.of(piece.score)), littleEndianI32([bytes.length]), bytes];
    }),
  ]);
}

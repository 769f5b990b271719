/**
 * The element types of weight files, bit by bit: binary16, bfloat16, ggml's blocks of 32 and llama2.c's int8 groups.
 * Sources: IEEE 754 section 3.6, ggml-common.h@c0e1eb4 (block_q4_0 … block_q8_0), karpathy/llama2.c export.py quantize_q80.
 * Little-endian. Written apart from the production codecs. Encoders choose sensible codes, not necessarily ggml's: a golden's bytes
 * are what they are, and its expected numbers come from decoding them.
 */
import { powerOfTwo, roundHalfEven, roundToBF16, roundToF16 } from './elementary.js';
import type { Row } from './ops.js';

/** Sign, exponent and fraction; `size` is a value that the format can hold. Subnormals and zeros have exponent field 0. */
function bitsOf(negative: boolean, size: number, exponentBits: number, fractionBits: number): number {
  const bias = powerOfTwo(exponentBits - 1) - 1;
  let exponent = 1 - bias;
  while (size >= powerOfTwo(exponent + 1)) exponent++;
  const field = size < powerOfTwo(1 - bias) ? 0 : exponent + bias;
  const fraction = size / powerOfTwo(exponent - fractionBits) - (field === 0 ? 0 : powerOfTwo(fractionBits));
  return (negative ? powerOfTwo(exponentBits + fractionBits) : 0) + field * powerOfTwo(fractionBits) + fraction;
}

/** What rounds to zero keeps its sign (IEEE 754 section 6.3). */
const isNegative = (x: number): boolean => x < 0 || Object.is(x, -0);

/** binary16 bits of the nearest value, ties to even. |x| < 65520. */
export const f16Bits = (x: number): number => bitsOf(isNegative(x), Math.abs(roundToF16(x)), 5, 10);
/** bfloat16 bits of the nearest value, ties to even. */
export const bf16Bits = (x: number): number => bitsOf(isNegative(x), Math.abs(roundToBF16(x)), 8, 7);

/** The value of finite bits. */
function valueOf(bits: number, exponentBits: number, fractionBits: number): number {
  const bias = powerOfTwo(exponentBits - 1) - 1;
  const fraction = bits % powerOfTwo(fractionBits);
  const field = Math.floor(bits / powerOfTwo(fractionBits)) % powerOfTwo(exponentBits);
  const size = field === 0 ? fraction * powerOfTwo(1 - bias - fractionBits) : (powerOfTwo(fractionBits) + fraction) * powerOfTwo(field - bias - fractionBits);
  return bits >= powerOfTwo(exponentBits + fractionBits) ? -size : size;
}
export const f16Value = (bits: number): number => valueOf(bits, 5, 10);
export const bf16Value = (bits: number): number => valueOf(bits, 8, 7);

/** One element or block: how it is stored, and what it means in f32. */
export interface BlockType {
  /** ggml's number for it; absent where ggml-qwen files cannot hold it. */
  readonly ggmlType?: number;
  readonly elements: number;
  readonly bytes: number;
  readonly encode: (values: Row, block: DataView) => void;
  /** f32 values: one rounding at most, since codes times a binary16 scale are exact. */
  readonly decode: (block: DataView) => number[];
}

/** The value of largest size, the first of equals. */
function largest(values: Row): number {
  let best = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(best)) best = value;
  return best;
}
const clamp = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));
const putHalf = (block: DataView, at: number, x: number): number => {
  block.setUint16(at, f16Bits(x), true);
  return f16Value(f16Bits(x));
};
const half = (block: DataView, at: number): number => f16Value(block.getUint16(at, true));

/** Codes 0 … 2^bits − 1 of 32 elements: element i in the low nibble of byte i, element i + 16 in the high one; fifth bits in a word before. */
function putCodes(block: DataView, at: number, bits: 4 | 5, codes: readonly number[]): void {
  const nibblesAt = bits === 5 ? at + 4 : at;
  if (bits === 5) block.setUint32(at, codes.reduce((word, code, i) => word + (code >= 16 ? powerOfTwo(i) : 0), 0), true);
  for (let i = 0; i < 16; i++) block.setUint8(nibblesAt + i, (codes[i]! % 16) + 16 * (codes[i + 16]! % 16));
}
function codesAt(block: DataView, at: number, bits: 4 | 5): number[] {
  const nibblesAt = bits === 5 ? at + 4 : at;
  const word = bits === 5 ? block.getUint32(at, true) : 0;
  return Array.from({ length: 32 }, (_, i) => {
    const byte = block.getUint8(nibblesAt + (i % 16));
    return (i < 16 ? byte % 16 : Math.floor(byte / 16)) + 16 * (Math.floor(word / powerOfTwo(i)) % 2);
  });
}

/** value = scale · (code − 2^(bits−1)); the element of largest size gets the lowest code. */
const symmetric = (ggmlType: number, bits: 4 | 5): BlockType => {
  const middle = powerOfTwo(bits - 1);
  return {
    ggmlType,
    elements: 32,
    bytes: bits === 4 ? 18 : 22,
    encode(values, block) {
      const scale = putHalf(block, 0, largest(values) / -middle);
      putCodes(block, 2, bits, Array.from(values, (x) => (scale === 0 ? middle : clamp(roundHalfEven(x / scale) + middle, 0, 2 * middle - 1))));
    },
    decode: (block) => codesAt(block, 2, bits).map((code) => half(block, 0) * (code - middle)),
  };
};

/** value = scale · code + minimum. */
const affine = (ggmlType: number, bits: 4 | 5): BlockType => ({
  ggmlType,
  elements: 32,
  bytes: bits === 4 ? 20 : 24,
  encode(values, block) {
    const steps = powerOfTwo(bits) - 1;
    const minimum = putHalf(block, 2, Math.min(...values));
    const scale = putHalf(block, 0, (Math.max(...values) - minimum) / steps);
    putCodes(block, 4, bits, Array.from(values, (x) => (scale === 0 ? 0 : clamp(roundHalfEven((x - minimum) / scale), 0, steps))));
  },
  decode: (block) => codesAt(block, 4, bits).map((code) => Math.fround(half(block, 0) * code + half(block, 2))),
});

export const blockTypes = {
  f32: { ggmlType: 0, elements: 1, bytes: 4, encode: ([x = 0], block) => block.setFloat32(0, x, true), decode: (block) => [block.getFloat32(0, true)] },
  f16: { ggmlType: 1, elements: 1, bytes: 2, encode: ([x = 0], block) => block.setUint16(0, f16Bits(x), true), decode: (block) => [half(block, 0)] },
  bf16: { elements: 1, bytes: 2, encode: ([x = 0], block) => block.setUint16(0, bf16Bits(x), true), decode: (block) => [bf16Value(block.getUint16(0, true))] },
  q4_0: symmetric(2, 4),
  q4_1: affine(3, 4),
  q5_0: symmetric(6, 5),
  q5_1: affine(7, 5),
  q8_0: {
    ggmlType: 8,
    elements: 32,
    bytes: 34,
    encode(values, block) {
      const scale = putHalf(block, 0, Math.abs(largest(values)) / 127);
      for (const [i, x] of values.entries()) block.setInt8(2 + i, scale === 0 ? 0 : clamp(roundHalfEven(x / scale), -127, 127));
    },
    decode: (block) => Array.from({ length: 32 }, (_, i) => half(block, 0) * block.getInt8(2 + i)),
  },
} as const satisfies Readonly<Record<string, BlockType>>;
export type BlockTypeName = keyof typeof blockTypes;
export const blockTypeNames = Object.keys(blockTypes) as readonly BlockTypeName[];

/** Whole blocks of values as bytes. */
export function encodeAs(name: BlockTypeName, values: Row): Uint8Array {
  const { elements, bytes, encode }: BlockType = blockTypes[name];
  const out = new Uint8Array((values.length / elements) * bytes);
  for (let i = 0; i * elements < values.length; i++) encode(values.subarray(i * elements, (i + 1) * elements), new DataView(out.buffer, i * bytes, bytes));
  return out;
}

/** The f32 values of whole blocks. */
export function decodeFrom(name: BlockTypeName, encoded: Uint8Array): Float32Array {
  const { bytes, decode }: BlockType = blockTypes[name];
  const blocks = Array.from({ length: encoded.length / bytes }, (_, i) => new DataView(encoded.buffer, encoded.byteOffset + i * bytes, bytes));
  return Float32Array.from(blocks.flatMap(decode));
}

export interface Int8Groups {
  readonly values: Int8Array;
  readonly scales: Float32Array;
}

/** llama2.c's int8: scale = max|w| / 127 in f32, q = round-half-even(w / scale), flat groups over the whole tensor. */
export function toInt8Groups(values: Row, groupSize: number): Int8Groups {
  const scales = Float32Array.from({ length: values.length / groupSize }, (_, g) => Math.abs(largest(values.subarray(g * groupSize, (g + 1) * groupSize))) / 127);
  const codes = Int8Array.from(values, (x, i) => {
    const scale = scales[Math.floor(i / groupSize)]!;
    return scale === 0 ? 0 : roundHalfEven(Math.fround(x / scale));
  });
  return { values: codes, scales };
}

/** Code times scale, rounded to f32 once. */
export const fromInt8Groups = ({ values, scales }: Int8Groups, groupSize: number): Float32Array => Float32Array.from(values, (code, i) => code * scales[Math.floor(i / groupSize)]!);

/**
 * What can be seen in encoded weights without a reference: NaN and infinities in values and block scales,
 * runs of zero bytes, and blocks of zeros that tell the quantizer (specs/ggml-qwen#G-4.3).
 * One pass over chunks of whole blocks; no allocation in the loop but for unaligned input.
 */
import type { DType, Rounding } from '@weightspec/core';
import { hostIsLittleEndian } from './host.js';

export interface ContentFindings {
  /** Values (plain types) or blocks (block types) with a NaN or an infinity. */
  readonly nonFiniteCount: number;
  /** Byte offset of the first of them from the start of the tensor; undefined when there is none. */
  readonly firstNonFiniteByte?: number;
  /** Every byte seen was zero. */
  readonly allZeroBytes: boolean;
  /** How blocks of zeros were written, with the byte offset of the first such block; Q4_0 and Q5_0 only. */
  readonly zeroBlocks?: { readonly rounding: Rounding; readonly byteOffset: number };
}

export interface ContentScanner {
  /** chunk: whole elements or blocks, following the last chunk. Throws RangeError otherwise. */
  push(chunk: Uint8Array): void;
  findings(): ContentFindings;
}

/** Byte offsets within a block of its f16 scales and minima. */
const halfFields: Readonly<Record<string, readonly number[]>> = { Q4_0: [0], Q4_1: [0, 2], Q5_0: [0], Q5_1: [0, 2], Q8_0: [0] };

/** Exponent bits of plain float types; all set means NaN or infinity. */
const exponentMasks: Readonly<Record<string, number>> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };

/** A scanner for one tensor, or undefined for a type that has no non-finite values to look for. */
export function contentScanner(type: DType): ContentScanner | undefined {
  const fields = halfFields[type.name];
  const mask = exponentMasks[type.name];
  if (!fields && mask === undefined) return undefined;
  let position = 0;
  let nonFiniteCount = 0;
  let firstNonFiniteByte: number | undefined;
  let allZeroBytes = true;
  let zeroBlocks: ContentFindings['zeroBlocks'];
  const note = (byteOffset: number): void => {
    nonFiniteCount++;
    firstNonFiniteByte ??= byteOffset;
  };
  return {
    push(chunk) {
      if (chunk.length % type.bytesPerBlock !== 0) throw new RangeError(`${chunk.length} bytes are not whole ${type.name} blocks of ${type.bytesPerBlock}`);
      if (fields) {
        if (allZeroBytes) allZeroBytes = isZeroBytes(chunk);
        for (let start = 0; start < chunk.length; start += type.bytesPerBlock) {
          for (const field of fields) {
            if ((chunk[start + field + 1]! & 0x7c) === 0x7c) {
              note(position + start);
              break;
            }
          }
        }
        if (!zeroBlocks && (type.name === 'Q4_0' || type.name === 'Q5_0')) zeroBlocks = findZeroBlock(chunk, type, position);
      } else {
        if (allZeroBytes) allZeroBytes = isZeroBytes(chunk);
        if (mayHoldNonFinite(type, chunk)) {
          const words = wordsOf(chunk, type.bytesPerBlock);
          for (let i = 0; i < words.length; i++) if ((words[i]! & mask!) === mask!) note(position + i * type.bytesPerBlock);
        }
      }
      position += chunk.length;
    },
    findings: () => ({ nonFiniteCount, allZeroBytes, ...(firstNonFiniteByte === undefined ? {} : { firstNonFiniteByte }), ...(zeroBlocks ? { zeroBlocks } : {}) }),
  };
}

function wordsOf(chunk: Uint8Array, bytes: number): Uint32Array | Uint16Array {
  let aligned = chunk;
  if (!hostIsLittleEndian) {
    aligned = chunk.slice();
    for (let i = 0; i < aligned.length; i += bytes) aligned.subarray(i, i + bytes).reverse();
  } else if (chunk.byteOffset % bytes !== 0) aligned = new Uint8Array(chunk);
  return bytes === 4 ? new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4) : new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

/** Exponent bits of one f32 or two halves in a word of 32 bits, and what carries into the bit above each when all are set. */
const wordExponents: Readonly<Record<string, readonly [mask: number, carry: number]>> = { F32: [0x7f800000, 0x00800000], BF16: [0x7f807f80, 0x00800080], F16: [0x7c007c00, 0x04000400] };

/**
 * Whether any exponent may be all ones, in words of 32 bits: eight times as fast as counting, which few chunks need
 * (5.8 against 0.7 GB/s of BF16, one thread).
 */
function mayHoldNonFinite({ name }: DType, chunk: Uint8Array): boolean {
  const bits = wordExponents[name];
  if (!bits || !hostIsLittleEndian) return true;
  const [mask, carry] = bits;
  const words = words32(chunk);
  const whole = words.length - (words.length % 4);
  let carries = 0;
  for (let i = 0; i < whole; i += 4) {
    carries |= (((words[i]! & mask) + carry) | 0) | (((words[i + 1]! & mask) + carry) | 0) | (((words[i + 2]! & mask) + carry) | 0) | (((words[i + 3]! & mask) + carry) | 0);
  }
  // Up to three words and a half are left: let them be counted.
  return (carries & 0x80008000) !== 0 || chunk.subarray(whole * 4).some((byte) => (byte & 0x7c) === 0x7c);
}

/** Whole words from the start of a chunk; a copy where it is not aligned. */
function words32(chunk: Uint8Array): Int32Array {
  const aligned = chunk.byteOffset % 4 === 0 ? chunk : new Uint8Array(chunk);
  return new Int32Array(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / 4));
}

/** Whether every byte is zero, a word at a time. */
export function isZeroBytes(chunk: Uint8Array): boolean {
  const words = words32(chunk);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return chunk.subarray(words.length * 4).every((byte) => byte === 0);
}

/**
 * ggml's zero block: d = −0 (00 80) and the middle code everywhere. torch's, for zeros that start with +0: d = −0 and code 0.
 * (Zeros that start with −0 give torch d = +0: a block of zero bytes, which a hole in the file would be too; it decides nothing.)
 */
function findZeroBlock(chunk: Uint8Array, type: DType, position: number): ContentFindings['zeroBlocks'] {
  for (let start = 0; start < chunk.length; start += type.bytesPerBlock) {
    if (chunk[start] !== 0 || chunk[start + 1] !== 0x80) continue;
    const rest = chunk.subarray(start + 2, start + type.bytesPerBlock);
    if (isZeroBytes(rest)) return { rounding: 'torch', byteOffset: position + start };
    const middle = type.name === 'Q4_0' ? rest.every((byte) => byte === 0x88) : rest.every((byte, i) => byte === (i < 4 ? 0xff : 0));
    if (middle) return { rounding: 'ggml', byteOffset: position + start };
  }
  return undefined;
}

/**
 * What can be seen in encoded weights without a reference: NaN and infinities in values and block scales,
 * runs of zero bytes, and blocks of zeros that tell the quantizer (specs/ggml-qwen#G-4.3).
 * One pass over chunks of whole blocks; no allocation in the loop but for unaligned input.
 */
import type { DType, Rounding } from '@weightspec/core';

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
        if (allZeroBytes) allZeroBytes = zeroBytes(chunk);
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
        const words = wordsOf(chunk, type.bytesPerBlock);
        let any = 0;
        for (let i = 0; i < words.length; i++) {
          const bits = words[i]!;
          any |= bits;
          if ((bits & mask!) === mask!) note(position + i * type.bytesPerBlock);
        }
        if (any !== 0) allZeroBytes = false;
      }
      position += chunk.length;
    },
    findings: () => ({ nonFiniteCount, allZeroBytes, ...(firstNonFiniteByte === undefined ? {} : { firstNonFiniteByte }), ...(zeroBlocks ? { zeroBlocks } : {}) }),
  };
}

/** Exponent bits lie in the same place of a little-endian word on every host that this test can run on; big-endian hosts swap. */
const littleEndianHost = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function wordsOf(chunk: Uint8Array, bytes: number): Uint32Array | Uint16Array {
  let aligned = chunk;
  if (!littleEndianHost) {
    aligned = chunk.slice();
    for (let i = 0; i < aligned.length; i += bytes) aligned.subarray(i, i + bytes).reverse();
  } else if (chunk.byteOffset % bytes !== 0) aligned = new Uint8Array(chunk);
  return bytes === 4 ? new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4) : new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

function zeroBytes(chunk: Uint8Array): boolean {
  for (let i = 0; i < chunk.length; i++) if (chunk[i] !== 0) return false;
  return true;
}

/**
 * ggml's zero block: d = −0 (00 80) and the middle code everywhere. torch's, for zeros that start with +0: d = −0 and code 0.
 * (Zeros that start with −0 give torch d = +0: a block of zero bytes, which a hole in the file would be too; it decides nothing.)
 */
function findZeroBlock(chunk: Uint8Array, type: DType, position: number): ContentFindings['zeroBlocks'] {
  for (let start = 0; start < chunk.length; start += type.bytesPerBlock) {
    if (chunk[start] !== 0 || chunk[start + 1] !== 0x80) continue;
    const rest = chunk.subarray(start + 2, start + type.bytesPerBlock);
    if (zeroBytes(rest)) return { rounding: 'torch', byteOffset: position + start };
    const middle = type.name === 'Q4_0' ? rest.every((byte) => byte === 0x88) : rest.every((byte, i) => byte === (i < 4 ? 0xff : 0));
    if (middle) return { rounding: 'ggml', byteOffset: position + start };
  }
  return undefined;
}

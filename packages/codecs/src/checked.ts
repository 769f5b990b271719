import type { Rounding } from '@weightspec/core';
import type { Codec, OverflowCheck } from './codec.js';
import { readU16 } from './float16.js';
import { encodingError, type TensorOrigin } from './origin.js';

export interface CheckedOptions extends TensorOrigin {
  readonly rounding?: Rounding;
  /** Where the encoded bytes go; holds rubbish when an error is thrown. */
  readonly dst?: Uint8Array;
}

/**
 * `codec.quantize` for weights that are to be kept: refuses what the raw form would spoil silently.
 * Throws DiagnosticError that names tensor and element: CODEC_NON_FINITE_INPUT, CODEC_RANGE_OVERFLOW, CODEC_SCALE_OVERFLOW,
 * CODEC_MINIMUM_OVERFLOW, CODEC_VALUE_OVERFLOW; RangeError when lengths disagree.
 */
export function quantizeChecked(codec: Codec, src: Float32Array, options: CheckedOptions = {}): Uint8Array {
  const nonFinite = firstNonFinite(src);
  if (nonFinite >= 0) throw encodingError('CODEC_NON_FINITE_INPUT', options, nonFinite, `is ${src[nonFinite]}`);
  const encoded = codec.quantize(src, { rounding: options.rounding, dst: options.dst });
  const { blockSize, bytesPerBlock } = codec.dtype;
  for (const check of codec.overflowChecks) {
    for (let block = 0; block * bytesPerBlock < encoded.length; block++) {
      const field = readU16(encoded, block * bytesPerBlock + check.byteOffset);
      if ((field & check.exponentMask) === check.exponentMask) throw overflowError(codec, check, src.subarray(block * blockSize, (block + 1) * blockSize), options, block * blockSize);
    }
  }
  return encoded;
}

/** Index of the first NaN or infinity, or −1. A loop, because findIndex calls a function for each of a model's weights. */
function firstNonFinite(src: Float32Array): number {
  for (let i = 0; i < src.length; i++) if (!Number.isFinite(src[i])) return i;
  return -1;
}

function overflowError(codec: Codec, check: OverflowCheck, block: Float32Array, options: CheckedOptions, firstIndex: number): Error {
  const least = Math.min(...block);
  const greatest = Math.max(...block);
  const inBlock = check.code !== 'CODEC_MINIMUM_OVERFLOW' && Math.abs(greatest) >= Math.abs(least) ? greatest : least;
  const index = firstIndex + block.indexOf(inBlock);
  const range = Math.fround(greatest - least);
  if (check.code === 'CODEC_SCALE_OVERFLOW' && range === Infinity && codec.overflowChecks.length > 1) {
    return encodingError('CODEC_RANGE_OVERFLOW', options, index, `(${inBlock}) makes the range of its block, ${least} to ${greatest}, overflow f32`);
  }
  return encodingError(check.code, options, index, `(${inBlock}) is too large for ${codec.dtype.name}`);
}

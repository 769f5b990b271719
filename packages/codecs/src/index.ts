/** Bit-exact arithmetic of quantized and half-precision element types. Runs in Node and in browsers. */
import type { DType } from '@weightspec/core';
import { bf16 } from './bf16/index.js';
import type { Codec } from './codec.js';
import { f16 } from './f16/index.js';
import { f32 } from './f32/index.js';
import { q4_0 } from './q4_0/index.js';
import { q4_1 } from './q4_1/index.js';
import { q5_0 } from './q5_0/index.js';
import { q5_1 } from './q5_1/index.js';
import { q8_0 } from './q8_0/index.js';

export { type CheckedOptions, quantizeChecked } from './checked.js';
export type { Codec, OverflowCheck } from './codec.js';
export { codecCodes, type CodecCode } from './codes.js';
export { f16FromF32Bits, f16Table } from './float16.js';
export type { TensorOrigin } from './origin.js';
export type { Int8Groups, PackedScheme } from './packed-scheme.js';
export { dequantizeGroups, llama2cQ8, llama2cQ8Wmax, quantizeGroups } from './llama2c-q8/index.js';
export { int8Codes, int8RowScale, lmdeployInt8, roundActivations } from './lmdeploy-int8/index.js';

/** Every codec by its dtype's name in lower case. */
export const codecs = { f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0 } as const satisfies Readonly<Record<string, Codec>>;

const byName: ReadonlyMap<string, Codec> = new Map(Object.entries(codecs));

/** The codec of `type`. Throws RangeError when there is none (integers, F64). */
export function codecOf(type: DType): Codec {
  const codec = byName.get(type.name.toLowerCase());
  if (!codec) throw new RangeError(`no codec for ${type.name}; there are ${[...byName.keys()].join(', ')}`);
  return codec;
}
export { contentScanner, isZeroBytes, type ContentFindings, type ContentScanner } from './content.js';
export { hostIsLittleEndian } from './host.js';

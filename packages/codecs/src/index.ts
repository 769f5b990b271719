/** Bit-exact arithmetic of quantized and half-precision element types. Runs in Node and in browsers. */
export { codecCodes, type CodecCode } from './codes.js';
export type { TensorOrigin } from './origin.js';
export type { Int8Groups, PackedScheme } from './packed-scheme.js';
export { dequantizeGroups, llama2cQ8, llama2cQ8Wmax, quantizeGroups } from './llama2c-q8/index.js';

/**
 * F32: IEEE 754 binary32, little-endian, one element a block. Lossless: every bit pattern is kept, NaN payloads too.
 * Source: ggml.h GGML_TYPE_F32 (c0e1eb4). Error bound: 0 for finite values.
 */
import { defineCodec } from '../codec.js';
import { bitsOf, hostIsLittleEndian } from '../host.js';

function encode(src: Float32Array, dst: Uint8Array): void {
  if (hostIsLittleEndian) dst.set(new Uint8Array(src.buffer, src.byteOffset, src.byteLength));
  else encodePortable(src, dst);
}

function decode(src: Uint8Array, dst: Float32Array): void {
  if (hostIsLittleEndian) new Uint8Array(dst.buffer, dst.byteOffset, dst.byteLength).set(src);
  else decodePortable(src, dst);
}

/** `encode` on a host of either byte order. */
export function encodePortable(src: Float32Array, dst: Uint8Array): void {
  const bits = bitsOf(src);
  const view = new DataView(dst.buffer, dst.byteOffset, dst.byteLength);
  for (let i = 0; i < bits.length; i++) view.setUint32(i * 4, bits[i]!, true);
}

/** `decode` on a host of either byte order. */
export function decodePortable(src: Uint8Array, dst: Float32Array): void {
  const bits = bitsOf(dst);
  const view = new DataView(src.buffer, src.byteOffset, src.byteLength);
  for (let i = 0; i < bits.length; i++) bits[i] = view.getUint32(i * 4, true);
}

export const f32 = defineCodec({
  dtype: 'F32',
  overflowChecks: [],
  encode: { ggml: encode, torch: encode },
  decode,
  errorBound: (block, bound) => void bound.fill(Number.isFinite(block[0]) ? 0 : Infinity),
});

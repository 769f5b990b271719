/** Typed views of little-endian bytes. */
import { hostIsLittleEndian } from '@weightspec/codecs';

/** f32 values of little-endian bytes; a view where the host and the alignment allow, else a copy. */
export function float32s(bytes: Uint8Array): Float32Array {
  const elementCount = Math.floor(bytes.byteLength / 4);
  if (hostIsLittleEndian && bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, elementCount);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: elementCount }, (_, i) => view.getFloat32(4 * i, true));
}

export const int8s = (bytes: Uint8Array): Int8Array => new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Little-endian bytes of f32 values; a view where the host allows. */
export function bytesOfFloats(values: Float32Array): Uint8Array {
  if (hostIsLittleEndian) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return bytes;
}

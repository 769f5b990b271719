/**
 * Every format here is little-endian. Typed arrays have the byte order of the host, so a wide view of encoded bytes
 * may be used only where this is true and the bytes are aligned; elsewhere bytes are read and written one by one.
 */
export const hostIsLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** `bytes` as u16, or undefined where the host's byte order or the alignment forbids it. */
export function asU16(bytes: Uint8Array): Uint16Array | undefined {
  if (!hostIsLittleEndian || bytes.byteOffset % 2 !== 0) return undefined;
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1);
}

/** The bits of f32 values. Both views have the host's byte order, so this is right everywhere. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

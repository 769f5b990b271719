/** Little-endian fields of headers. Offsets are safe integers; a u64 above 2^53 − 1 reads as undefined. */
import type { ByteSource } from '@weightspec/core';

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The u64 at `offset`, or undefined when it is no safe integer. */
export function safeU64(view: DataView, offset: number): number | undefined {
  const value = view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** [offset, offset + length) as far as the source goes. */
export const readAvailable = async (source: ByteSource, offset: number, length: number): Promise<Uint8Array> =>
  offset >= source.size ? new Uint8Array(0) : source.read(offset, Math.min(length, source.size - offset));

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

export const isZero = (bytes: Uint8Array): boolean => {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
};

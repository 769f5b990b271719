import { assertRange, type ByteSource } from '@weightspec/core';
import { allocate } from './array.js';
import { closedError } from './errors.js';

/** Reads from an array. The array is not copied: leave its bytes alone while the source is in use. */
export function memorySource(bytes: Uint8Array, name = 'memory'): ByteSource {
  let closed = false;
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length) {
      if (closed) throw closedError(name);
      assertRange(name, bytes.byteLength, offset, length);
      // Not slice(): on a Buffer that is a view, and the caller must own what it gets.
      const copy = allocate(name, length);
      copy.set(bytes.subarray(offset, offset + length));
      return copy;
    },
    async close() {
      closed = true;
    },
  };
}

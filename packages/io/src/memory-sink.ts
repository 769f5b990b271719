import type { ByteSink } from '@weightspec/core';
import { concat } from './array.js';

export interface MemorySink extends ByteSink {
  /** A new array with everything written so far. */
  bytes(): Uint8Array;
}

/** Collects what is written. For tests and small files: everything is held in memory. */
export function memorySink(): MemorySink {
  const chunks: Uint8Array[] = [];
  let position = 0;
  return {
    get position() {
      return position;
    },
    async write(chunk) {
      // A copy, because the caller may use its buffer again.
      chunks.push(new Uint8Array(chunk));
      position += chunk.byteLength;
    },
    bytes: () => concat('memory sink', chunks),
  };
}

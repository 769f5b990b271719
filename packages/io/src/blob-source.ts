import { assertRange, type ByteSource } from '@weightspec/core';
import { fillArray } from './array.js';
import { closedError, IoError, reasonOf } from './errors.js';

/** Reads from a Blob, or from the File of an `<input>` or a drop. Only the ranges asked for are loaded. */
export function blobSource(blob: Blob, name: string = nameOf(blob)): ByteSource {
  let closed = false;
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      if (closed) throw closedError(name);
      assertRange(name, blob.size, offset, length);
      return fillArray(name, length, async (target, done) => {
        const piece = await bytesOf(blob.slice(offset + done, offset + done + target.byteLength), name);
        if (piece.byteLength !== target.byteLength) {
          throw new IoError('IO_SHORT_READ', `${name}: ${piece.byteLength} of ${target.byteLength} bytes came from offset ${offset + done}`);
        }
        target.set(piece);
        return piece.byteLength;
      });
    },
    async close() {
      closed = true;
    },
  };
}

function nameOf(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob';
}

async function bytesOf(blob: Blob, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    // A browser says NotReadableError when the file behind a File was changed or removed.
    throw new IoError('IO_READ_FAILED', `${name}: the blob cannot be read: ${reasonOf(cause)}`, { cause });
  }
}

/** Random access to the bytes of a file or an array, synchronously: generated parsers cannot wait. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export interface SyncBytes {
  readonly size: number;
  /** Exactly `length` bytes from `offset`; throws RangeError outside [0, size). */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** The bytes of an array, or of the file at a path (sparse files and files above 4 GiB included). */
export function openBytes(input: Uint8Array | string): SyncBytes {
  return typeof input === 'string' ? fileBytes(input) : arrayBytes(input);
}

function arrayBytes(bytes: Uint8Array): SyncBytes {
  return {
    size: bytes.byteLength,
    read(offset, length) {
      requireInside(bytes.byteLength, offset, length);
      return bytes.subarray(offset, offset + length);
    },
    close() {},
  };
}

function fileBytes(path: string): SyncBytes {
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  return {
    size,
    read(offset, length) {
      requireInside(size, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const count = readSync(fd, bytes, done, length - done, offset + done);
        if (count === 0) throw new Error(`${path}: ended at ${offset + done} while it was read`);
        done += count;
      }
      return bytes;
    },
    close: () => closeSync(fd),
  };
}

function requireInside(size: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > size) throw new RangeError(`bytes [${offset}, ${offset + length}) of ${size}`);
}

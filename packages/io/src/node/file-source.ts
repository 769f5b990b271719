import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { assertRange, type ByteSource } from '@weightspec/core';
import { fillArray } from '../array.js';
import { closedError, IoError } from '../errors.js';
import { faultOf } from './faults.js';

// Opening a pipe to read would wait for a writer; the stat that follows refuses it. Windows has no such flag.
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/** Opens a regular file of any size for positional reads. Throws IoError. Close it when done. */
export async function fileSource(path: string): Promise<FileSource> {
  const handle = await open(path, OPEN_FLAGS).catch((error: unknown) => {
    throw faultOf(path, error, 'IO_READ_FAILED');
  });
  try {
    const { size } = await regularFile(path, handle);
    return sourceOf(path, handle, size);
  } catch (error) {
    await handle.close();
    throw faultOf(path, error, 'IO_READ_FAILED');
  }
}

async function regularFile(path: string, handle: FileHandle): Promise<Stats> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw new IoError('IO_NOT_A_FILE', `${path} is ${kindOf(stats)}, not a regular file`);
  return stats;
}

export function kindOf(stats: Pick<Stats, 'isDirectory' | 'isFIFO' | 'isSocket'>): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

function sourceOf(name: string, handle: FileHandle, size: number): FileSource {
  let closing: Promise<void> | undefined;

  async function readPiece(target: Uint8Array, offset: number): Promise<number> {
    if (closing) throw closedError(name);
    const { bytesRead } = await handle.read(target, 0, target.byteLength, offset).catch((error: unknown) => {
      throw faultOf(name, error, 'IO_READ_FAILED');
    });
    if (bytesRead === 0) throw new IoError('IO_SHORT_READ', `${name}: the file ended at byte ${offset}; it had ${size} bytes when it was opened`);
    return bytesRead;
  }

  return {
    name,
    size,
    filePath: resolve(name),
    async read(offset, length) {
      if (closing) throw closedError(name);
      assertRange(name, size, offset, length);
      return fillArray(name, length, (target, done) => readPiece(target, offset + done));
    },
    async close() {
      closing ??= handle.close();
      await closing;
    },
  };
}

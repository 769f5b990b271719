/** Streams as files: bytes that come once, front to back, are kept on disk while they are read at random offsets. */
import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ByteSource } from '@weightspec/core';
import { IoError } from '../errors.js';
import { faultOf } from './faults.js';
import { fileSource } from './file-source.js';
import { forgetTemporaryFile, registerTemporaryFile } from './temporary-files.js';

export interface SpoolOptions {
  /** Most bytes that may be stored. Default 1 TiB: the disk decides before. */
  readonly maxBytes?: number;
  /** Where the file goes. Default: the system's folder for temporary files (TMPDIR). */
  readonly folder?: string;
}

/**
 * Stores `chunks` in a temporary file, which `close` removes, as the end of the process does. Holds one chunk in memory.
 * Throws IoError: IO_STREAM_TOO_LARGE past `maxBytes`, IO_DISK_FULL; and whatever `chunks` throws.
 */
export async function spooledSource(name: string, chunks: AsyncIterable<Uint8Array>, { maxBytes = 2 ** 40, folder = tmpdir() }: SpoolOptions = {}): Promise<ByteSource & { close(): Promise<void> }> {
  const path = join(folder, `weightspec-${randomBytes(8).toString('hex')}.spool`);
  const remove = async (): Promise<void> => {
    await rm(path, { force: true });
    forgetTemporaryFile(path);
  };
  registerTemporaryFile(path, () => undefined);
  try {
    await store(path, name, chunks, maxBytes);
    const stored = await fileSource(path);
    const close = async (): Promise<void> => {
      await stored.close();
      await remove();
    };
    return { name, size: stored.size, read: (offset, length) => stored.read(offset, length), close };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function store(path: string, name: string, chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<void> {
  const ofDisk = (error: unknown): never => {
    throw faultOf(`${name} (stored in ${path})`, error, 'IO_WRITE_FAILED');
  };
  // Nobody else may read it or lie in wait under its name.
  const handle = await open(path, 'wx', 0o600).catch(ofDisk);
  try {
    let total = 0;
    for await (const chunk of chunks) {
      total += chunk.byteLength;
      if (total > maxBytes) throw new IoError('IO_STREAM_TOO_LARGE', `${name}: ${total} bytes or more; at most ${maxBytes} may be stored`);
      for (let done = 0; done < chunk.byteLength; ) done += (await handle.write(chunk, done).catch(ofDisk)).bytesWritten;
    }
  } finally {
    await handle.close();
  }
}

/**
 * Random access to the bytes of one file, blob, buffer or URL.
 * Implementations live in `@weightspec/io`; one contract suite runs on every one of them.
 */
export interface ByteSource {
  /** What to call this source in messages: a path, a URL, a blob's name. */
  readonly name: string;
  /** Total length in bytes; a safe integer. */
  readonly size: number;
  /** Absolute path of the file whose bytes these are, where there is one: for backends that map it themselves. */
  readonly filePath?: string;
  /**
   * Reads exactly `length` bytes from `offset`.
   * Throws RangeError when the range is not inside [0, size) or is not made of safe integers.
   * The returned array belongs to the caller.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Releases the file handle or connection. Safe to call twice. */
  close?(): Promise<void>;
}

/** Where a writer puts its bytes, front to back. Nothing is visible to others before the sink is committed. */
export interface ByteSink {
  /** Bytes written so far. */
  readonly position: number;
  write(chunk: Uint8Array): Promise<void>;
}

/** Throws RangeError unless [offset, offset + length) lies inside a source of `size` bytes. */
export function assertRange(name: string, size: number, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset > size - length) {
    throw new RangeError(`${name}: bytes [${offset}, ${offset + length}) are outside a source of ${size} bytes`);
  }
}

/** Yields [offset, offset + length) of `source` in chunks of at most `chunkBytes`. Memory: one chunk. */
export async function* readChunks(source: ByteSource, offset: number, length: number, chunkBytes = 1 << 20): AsyncGenerator<Uint8Array> {
  assertRange(source.name, source.size, offset, length);
  for (let done = 0; done < length; done += chunkBytes) {
    yield source.read(offset + done, Math.min(chunkBytes, length - done));
  }
}

/** Copies [offset, offset + length) of `source` to `sink`, one chunk at a time. */
export async function copyRange(source: ByteSource, offset: number, length: number, sink: ByteSink): Promise<void> {
  for await (const chunk of readChunks(source, offset, length)) await sink.write(chunk);
}

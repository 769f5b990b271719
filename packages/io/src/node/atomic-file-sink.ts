import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { copyFile, link as hardLink, lstat, open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ByteSink } from '@weightspec/core';
import { IoError } from '../errors.js';
import { errnoOf, faultOf } from './faults.js';
import { kindOf } from './file-source.js';
import { forgetTemporaryFile, registerTemporaryFile } from './temporary-files.js';

/** Small writes are gathered to this many bytes: a system call per header field costs more than the field. */
const BUFFER_BYTES = 2 ** 18;
const MAX_WRITE_BYTES = 2 ** 30;

export interface AtomicFileSinkOptions {
  /** Paths that must not be overwritten, usually those being read. Compared by file, not by name. */
  readonly protect?: readonly string[];
}

export interface AtomicFileSink extends ByteSink {
  /** Where the bytes are until `commit`. */
  readonly temporaryPath: string;
  /** Makes everything written durable and puts it in the target's place. After an error the target is as it was. */
  commit(): Promise<void>;
  /** Removes what was written. Does nothing after `commit` or a second time, so it fits into a `finally`. */
  abort(): Promise<void>;
}

/**
 * Writes `path` all or nothing: into a temporary file beside it, which takes its place on `commit`.
 * A symbolic link is followed, so the link stays. SIGINT, SIGTERM, SIGHUP and exit remove the temporary file.
 * `write` resolves once the bytes are buffered or handed to the operating system: await it, and at most 256 KiB wait.
 * Throws IoError, at the latest from `commit`.
 */
export const atomicFileSink = (path: string, options: AtomicFileSinkOptions = {}): Promise<AtomicFileSink> => openAtomicFile(path, options);

/** A sink whose commit can be taken back, for sets of files. Every step throws IoError. */
export interface AtomicFile extends AtomicFileSink {
  /** Everything of `commit` that is likely to fail: the bytes become durable, out of sight. */
  prepare(): Promise<void>;
  /** Keeps what stands in the target's place, so that `revert` can put it back. */
  keepPrevious(): Promise<void>;
  /** Undoes `commit`: what stood in the target's place is there again, or nothing is. Does nothing when there was no commit. */
  revert(): Promise<void>;
  forgetPrevious(): Promise<void>;
}

export async function openAtomicFile(path: string, { protect = [] }: AtomicFileSinkOptions): Promise<AtomicFile> {
  const target = await resolveTarget(path).catch((error: unknown) => {
    throw faultOf(path, error, 'IO_WRITE_FAILED');
  });
  await refuseProtected(path, target, protect);
  const temporaryPath = temporaryName(target.path, 'partial');
  const state = new SinkState(path, target, temporaryPath);
  await state.open();
  return {
    temporaryPath,
    get position() {
      return state.position;
    },
    write: (chunk) => state.write(chunk),
    prepare: () => state.prepare(),
    commit: () => state.commit(),
    abort: () => state.abort(),
    keepPrevious: () => state.keepPrevious(),
    revert: () => state.revert(),
    forgetPrevious: () => state.forgetPrevious(),
  };
}

interface Target {
  /** With symbolic links resolved. */
  readonly path: string;
  readonly existing?: BigIntStats;
}

async function resolveTarget(path: string): Promise<Target> {
  const absolute = resolve(path);
  // A link to nothing is there for lstat and missing for stat, which is an error: nobody knows what was meant.
  const link = await lstat(absolute).catch(undefinedWhenMissing);
  if (!link) return { path: join(await realpath(dirname(absolute)), basename(absolute)) };
  const existing = await stat(absolute, { bigint: true });
  if (!existing.isFile()) throw new IoError('IO_NOT_A_FILE', `${path} is ${kindOf(existing)}, which a file cannot replace`);
  return { path: await realpath(absolute), existing };
}

function undefinedWhenMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

/** Compares device and inode, so other spellings, links and case-insensitive file systems are seen through. */
async function refuseProtected(path: string, { existing }: Target, protect: readonly string[]): Promise<void> {
  if (!existing) return;
  for (const other of protect) {
    const stats = await stat(other, { bigint: true }).catch(undefinedWhenMissing);
    if (stats && stats.dev === existing.dev && stats.ino === existing.ino) throw new IoError('IO_SAME_FILE', `${path} is the same file as ${other}, which is being read`);
  }
}

/** Same folder, so that the rename stays within one file system; unpredictable, so that nobody can lie in wait there. */
function temporaryName(path: string, what: 'partial' | 'previous'): string {
  // Names may have 255 bytes; 60 UTF-16 units are at most 180.
  return join(dirname(path), `.${basename(path).slice(0, 60)}.${randomBytes(8).toString('hex')}.weightspec-${what}`);
}

class SinkState {
  position = 0;
  private handle: FileHandle | undefined;
  private readonly buffer = new Uint8Array(BUFFER_BYTES);
  private buffered = 0;
  private failure: IoError | undefined;
  private durable = false;
  private published = false;
  /** Where the replaced file waits. */
  private previousPath: string | undefined;
  /** Steps run one after the other, in the order of the calls, whether or not the caller waits. */
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly name: string,
    private readonly target: Target,
    private readonly temporaryPath: string,
  ) {}

  async open(): Promise<void> {
    registerTemporaryFile(this.temporaryPath, (signal) => {
      this.failure = new IoError('IO_INTERRUPTED', `${this.name}: ${signal} ended the writing`);
    });
    await this.orFail(async () => {
      this.handle = await open(this.temporaryPath, 'wx');
      // A file that is replaced keeps its permissions; set now, because failing after the last byte would be cruel.
      if (this.target.existing) await this.handle.chmod(Number(this.target.existing.mode & 0o777n));
    });
  }

  write(chunk: Uint8Array): Promise<void> {
    this.position += chunk.byteLength;
    return this.inTurn(() => this.orFail(() => this.put(chunk)));
  }

  prepare(): Promise<void> {
    return this.inTurn(() => this.orFail(() => this.makeDurable()));
  }

  commit(): Promise<void> {
    return this.inTurn(async () => {
      await this.orFail(() => this.publish());
      await syncDirectory(dirname(this.target.path));
    });
  }

  abort(): Promise<void> {
    return this.inTurn(() => this.discard(this.failure ?? new IoError('IO_CLOSED', `${this.name}: the sink was aborted`)));
  }

  keepPrevious(): Promise<void> {
    return this.inTurn(() => this.orFail(async () => {
      if (!this.target.existing) return;
      const previous = temporaryName(this.target.path, 'previous');
      // A second name costs nothing; file systems without links need a copy.
      await hardLink(this.target.path, previous).catch(() => copyFile(this.target.path, previous));
      this.previousPath = previous;
    }));
  }

  revert(): Promise<void> {
    return this.inTurn(async () => {
      if (!this.published) return this.removePrevious();
      if (this.previousPath) await rename(this.previousPath, this.target.path);
      else await rm(this.target.path, { force: true });
      this.previousPath = undefined;
      await syncDirectory(dirname(this.target.path));
    });
  }

  forgetPrevious(): Promise<void> {
    return this.inTurn(() => this.removePrevious());
  }

  private async removePrevious(): Promise<void> {
    if (this.previousPath) await rm(this.previousPath, { force: true }).catch(() => undefined);
    this.previousPath = undefined;
  }

  private inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.tail.then(step);
    this.tail = done.catch(() => undefined);
    return done;
  }

  /** Runs `step` unless the sink has failed before; when it fails, the temporary file goes at once. */
  private async orFail(step: () => Promise<void>): Promise<void> {
    if (this.failure) throw this.failure;
    try {
      await step();
    } catch (error) {
      // A signal while `step` was under way has said why already.
      await this.discard(this.failure ?? faultOf(this.name, error, 'IO_WRITE_FAILED'));
      throw this.failure;
    }
  }

  private async discard(reason: IoError): Promise<void> {
    this.failure = reason;
    await this.handle?.close().catch(() => undefined);
    await rm(this.temporaryPath, { force: true }).catch(() => undefined);
    forgetTemporaryFile(this.temporaryPath);
  }

  private async put(chunk: Uint8Array): Promise<void> {
    if (chunk.byteLength > BUFFER_BYTES - this.buffered) await this.flush();
    if (chunk.byteLength >= BUFFER_BYTES) return this.writeThrough(chunk);
    this.buffer.set(chunk, this.buffered);
    this.buffered += chunk.byteLength;
  }

  private async flush(): Promise<void> {
    await this.writeThrough(this.buffer.subarray(0, this.buffered));
    this.buffered = 0;
  }

  private async writeThrough(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await this.opened.write(bytes, done, Math.min(bytes.byteLength - done, MAX_WRITE_BYTES));
      done += bytesWritten;
    }
  }

  private async makeDurable(): Promise<void> {
    if (this.durable) return;
    await this.flush();
    await this.opened.sync();
    await this.opened.close();
    this.durable = true;
  }

  private async publish(): Promise<void> {
    await this.makeDurable();
    if (this.failure) throw this.failure;
    await rename(this.temporaryPath, this.target.path);
    this.published = true;
    forgetTemporaryFile(this.temporaryPath);
    this.failure = new IoError('IO_CLOSED', `${this.name}: the sink was committed before`);
  }

  private get opened(): FileHandle {
    if (!this.handle) throw new Error('the temporary file is not open');
    return this.handle;
  }
}

/** Makes the rename itself durable. Windows and some network file systems cannot open or sync a folder. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

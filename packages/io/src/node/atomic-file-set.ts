import type { ByteSink } from '@weightspec/core';
import { openAtomicFile, type AtomicFile, type AtomicFileSinkOptions } from './atomic-file-sink.js';

/** Several files that appear together or not at all, such as shards and their index. */
export interface AtomicFileSet {
  /** A sink whose bytes stay in a temporary file until the set is committed. */
  open(path: string): Promise<ByteSink>;
  /**
   * Makes all files durable, then puts them in their targets' places in the order in which they were opened. Where one cannot take its
   * place, those before it give theirs back: a new file goes, a replaced one is there again. Only a process that is killed between two
   * renames (SIGKILL, loss of power) can leave some of them, so the file that completes the set should be opened last.
   */
  commit(): Promise<void>;
  /** Removes what was written. Does nothing after `commit` or a second time, so it fits into a `finally`. */
  abort(): Promise<void>;
}

export function atomicFileSet(options: AtomicFileSinkOptions = {}): AtomicFileSet {
  const files: AtomicFile[] = [];
  return {
    async open(path) {
      const file = await openAtomicFile(path, options);
      files.push(file);
      return file;
    },
    async commit() {
      for (const file of files) await file.prepare();
      const shown: AtomicFile[] = [];
      try {
        for (const file of files) {
          await file.keepPrevious();
          shown.push(file);
          await file.commit();
        }
      } catch (error) {
        for (const file of shown.toReversed()) await file.revert();
        throw error;
      }
      for (const file of files) await file.forgetPrevious();
    },
    async abort() {
      for (const file of files) await file.abort();
    },
  };
}

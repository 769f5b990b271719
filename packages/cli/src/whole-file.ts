import type { ByteSink } from '@weightspec/core';
import { atomicFileSink } from '@weightspec/io/node';
import { isUrl } from './folders.js';
import { isStdin } from './inputs.js';

/**
 * Writes `path` by `write`, or its whole contents; the file appears when it is complete and not at all when that fails.
 * `read`: targets of the command line that it must not replace; URLs and standard input among them cannot be. Throws IoError.
 */
export async function writeWholeFile(path: string, contents: string | Uint8Array | ((sink: ByteSink) => Promise<void>), read: readonly string[] = []): Promise<void> {
  const sink = await atomicFileSink(path, { protect: read.filter((target) => !isUrl(target) && !isStdin(target)) });
  try {
    if (typeof contents === 'function') await contents(sink);
    else await sink.write(typeof contents === 'string' ? new TextEncoder().encode(contents) : contents);
    await sink.commit();
  } finally {
    await sink.abort();
  }
}

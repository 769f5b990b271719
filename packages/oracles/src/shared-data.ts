/**
 * Real model files and goldens live outside the project, in `../shared/data` beside the checkout
 * (or where WEIGHTSPEC_SHARED_DATA points). Tests read them when they are there and say so when they are not.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const defaultRoot = fileURLToPath(new URL('../../../../shared/data', import.meta.url));
const root = process.env.WEIGHTSPEC_SHARED_DATA ?? defaultRoot;
const reported = new Set<string>();

/** Absolute path of `path` under the shared data, or undefined (and one line on stderr) when it is not there. */
export function sharedData(path: string): string | undefined {
  const full = join(root, path);
  if (existsSync(full)) return full;
  if (!reported.has(path)) {
    reported.add(path);
    process.stderr.write(`skipped: shared/data/${path} is not there\n`);
  }
  return undefined;
}

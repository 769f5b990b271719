import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { CaseList } from '../case.js';
import { ConformanceError } from '../codes.js';
import type { DataStore } from '../files.js';

/** The cases and files of the installed package. */
export interface PackagedCases {
  readonly list: CaseList;
  readonly store: Required<DataStore>;
}

/** What ships with this package. Throws ConformanceError (CONFORM_STALE_DATA) where it has not been built. */
export function packagedCases(folder: URL = new URL('../../generated/', import.meta.url)): PackagedCases {
  const locate = (path: string): string => fileURLToPath(new URL(path, folder));
  let text: string;
  try {
    text = readFileSync(locate('cases.json'), 'utf8');
  } catch (error) {
    throw new ConformanceError('CONFORM_STALE_DATA', `the suite's data are not there: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { list: JSON.parse(text) as CaseList, store: { locate, read: async (path) => new Uint8Array(await readFile(locate(path))) } };
}

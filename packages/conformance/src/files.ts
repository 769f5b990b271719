import { ConformanceError } from './codes.js';
import type { CaseList } from './case.js';

/** Where the suite's data are: a folder of the installed package, or a map. */
export interface DataStore {
  /** Bytes of a file; throws when it is not there. */
  read(path: string): Promise<Uint8Array>;
  /** Absolute path for programs that open files themselves; absent where there is none. */
  locate?(path: string): string;
}

/** A file of a case, whose hash is checked when its bytes are first read. */
export interface CaseFile {
  readonly path: string;
  /** Absolute path on this machine, where there is one. */
  readonly location?: string;
  bytes(): Promise<Uint8Array>;
}

export interface CaseFiles {
  file(path: string): CaseFile;
  /** The JSON value at `pointer` of a file. */
  json<T>(path: string, pointer?: string): Promise<T>;
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The files that `list` names, each checked against its hash once. Throws ConformanceError (CONFORM_STALE_DATA) for any other. */
export function caseFiles({ files }: CaseList, store: DataStore): CaseFiles {
  const known = new Map<string, Promise<Uint8Array>>();
  const parsed = new Map<string, Promise<unknown>>();

  async function readChecked(path: string): Promise<Uint8Array> {
    const stated = files[path];
    const stale = (what: string) => new ConformanceError('CONFORM_STALE_DATA', `${path} ${what}`);
    if (!stated) throw stale('is not in the list of files');
    const bytes = await store.read(path).catch((error: unknown) => {
      throw stale(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (bytes.length !== stated.byteLength) throw stale(`has ${bytes.length} bytes, not ${stated.byteLength}`);
    const digest = hex(new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes))));
    if (digest !== stated.sha256) throw stale(`has the SHA-256 ${digest}, not ${stated.sha256}`);
    return bytes;
  }
  const bytesOf = (path: string): Promise<Uint8Array> => {
    const found = known.get(path) ?? readChecked(path);
    known.set(path, found);
    return found;
  };
  const jsonOf = (path: string): Promise<unknown> => {
    const found = parsed.get(path) ?? bytesOf(path).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as unknown);
    parsed.set(path, found);
    return found;
  };
  return {
    file: (path) => ({ path, location: store.locate?.(path), bytes: async () => (await bytesOf(path)).slice() }),
    async json<T>(path: string, pointer = '') {
      const steps = pointer.split('/').slice(1);
      const value = steps.reduce<unknown>((inside, step) => Reflect.get(Object(inside), step), await jsonOf(path));
      return value as T;
    },
  };
}

/** Files in memory, by path. */
export function memoryStore(files: ReadonlyMap<string, Uint8Array>): DataStore {
  return {
    async read(path) {
      const found = files.get(path);
      if (!found) throw new Error('there is no such file');
      return found;
    },
  };
}

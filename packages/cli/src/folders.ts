/** Folders as models: what they hold, and the files that lie beside an index. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSource, Format } from '@weightspec/core';
import { formats, remoteFolder, type FolderFile, type FolderResolver, type RemoteFolder } from '@weightspec/formats';
import { fileSource, openSource, spooledSource } from '@weightspec/io/node';
import { shardedIndexFormat } from '@weightspec/sharded-index';

/** Plain files directly in `folder`, links followed. */
export async function listFolder(folder: string): Promise<FolderFile[]> {
  const files: FolderFile[] = [];
  for (const name of (await readdir(folder)).toSorted()) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile()) files.push({ name, size: found.size });
  }
  return files;
}

/** Opens files of `folder` by plain names. What it opened is closed by whoever asked for it, or by `closeAll`. */
export function folderResolver(folder: string): { resolve: FolderResolver; readonly closeAll: () => Promise<void> } {
  const opened: (ByteSource & { close(): Promise<void> })[] = [];
  return {
    async resolve(name) {
      if (name !== basename(name)) return undefined;
      const path = join(folder, name);
      const found = await stat(path).catch(() => undefined);
      if (!found?.isFile()) return undefined;
      const source = await fileSource(path);
      opened.push(source);
      return source;
    },
    async closeAll() {
      for (const source of opened) await source.close();
    },
  };
}

export const isUrl = (target: string): boolean => /^[a-z][a-z0-9+.-]+:\/\//i.test(target);

/** Configurations and vocabularies, which may come whole, have less. */
const MOST_WHOLE_BYTES = 2 ** 26;

/** The folder that a URL names or that its file lies in. */
export function folderAt(url: string, { download = false }: { /** Store whole files where a server sends no ranges. */ readonly download?: boolean } = {}): RemoteFolder {
  const store = download ? { download: (name: string, chunks: AsyncIterable<Uint8Array>) => spooledSource(name, chunks) } : {};
  return remoteFolder(url, (address, { whole }) => openSource(address, whole ? { download: true, maxDownloadBytes: MOST_WHOLE_BYTES } : store));
}

/** Opens files that lie beside the one at `path`, a path or URL. `closeAll` closes what it opened. */
export function resolverBeside(path: string): { readonly resolve: FolderResolver; readonly closeAll: () => Promise<void> } {
  if (!isUrl(path)) return folderResolver(dirname(path));
  const folder = folderAt(path);
  return { resolve: folder.resolve, closeAll: () => folder.close() };
}

/** An index file on disk, whose shards lie beside it. */
export const isIndexFile = (path: string): boolean => path.endsWith('.index.json') && !isUrl(path);

/** Every format, with one for the index at `path` that opens the shards beside it. */
export function formatsBeside(path: string): { formats: readonly Format[]; readonly closeAll: () => Promise<void> } {
  const { resolve, closeAll } = folderResolver(dirname(path));
  const index = shardedIndexFormat(resolve);
  return { formats: formats.map((format) => (format.id === index.id ? index : format)), closeAll };
}

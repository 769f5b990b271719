/** Folders as models: what they hold, and the files that lie beside an index. */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSource, Format } from '@weightspec/core';
import { formats, type FolderFile, type FolderResolver } from '@weightspec/formats';
import { fileSource } from '@weightspec/io/node';
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

/** An index file on disk, whose shards lie beside it. */
export const isIndexFile = (path: string): boolean => path.endsWith('.index.json') && !isUrl(path);

/** Every format, with one for the index at `path` that opens the shards beside it. */
export function formatsBeside(path: string): { formats: readonly Format[]; readonly closeAll: () => Promise<void> } {
  const { resolve, closeAll } = folderResolver(dirname(path));
  const index = shardedIndexFormat(resolve);
  return { formats: formats.map((format) => (format.id === index.id ? index : format)), closeAll };
}

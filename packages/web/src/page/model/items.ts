/** What was dropped or chosen, sorted into things to look at: files, and folders that are one model. */
import { isModelFolder } from '@weightspec/formats';
import { groupBy } from './group-by.js';

/** A file as the browser hands it over. Structured clone passes it to a worker without its bytes. */
export interface ChosenFile {
  /** With the folders that it was dropped in, e.g. `qwen/config.json`. */
  readonly path: string;
  readonly blob: Blob;
}

export type Item =
  | { readonly kind: 'file'; readonly name: string; readonly file: ChosenFile; /** In the same folder, itself not among them. */ readonly beside: readonly ChosenFile[] }
  | { readonly kind: 'folder'; readonly name: string; readonly files: readonly ChosenFile[] }
  | { readonly kind: 'url'; readonly name: string; readonly url: string };

export const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export const isIndex = (path: string): boolean => path.endsWith('.index.json');

/** Folders with the marks of one model stay whole; the files of others stand for themselves. In order of paths. */
export function itemsOf(files: readonly ChosenFile[]): Item[] {
  const byFolder = groupBy(files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), ({ path }) => folderOf(path));
  return [...byFolder].flatMap(([folder, inside]): Item[] => {
    if (isModelFolder(listingOf(inside))) return [{ kind: 'folder', name: folder || 'the files dropped', files: inside }];
    return inside.map((file) => ({ kind: 'file', name: file.path, file, beside: inside.filter((other) => other !== file) }));
  });
}

export const listingOf = (files: readonly ChosenFile[]) => files.map(({ path, blob }) => ({ name: baseName(path), size: blob.size }));

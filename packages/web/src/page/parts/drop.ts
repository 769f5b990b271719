/** The files of a drop or an <input>, with the folders that they lie in. Source: W3C File and Directory Entries API. */
import type { ChosenFile } from '../model/items.js';

/** A dropped disk would otherwise be listed to its end. */
const MOST_FILES = 10_000;

/** As the command leaves them out of folders. */
const isLeftOut = (name: string): boolean => name.startsWith('.') || name === 'node_modules';

export async function filesOfDrop({ items, files }: DataTransfer): Promise<ChosenFile[]> {
  // Entries must be taken before the event ends.
  const entries = Array.from(items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return Array.from(files, (blob) => ({ path: blob.name, blob }));
  const found: ChosenFile[] = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

export function filesOfInput({ files }: HTMLInputElement): ChosenFile[] {
  const chosen = Array.from(files ?? [], (blob) => ({ path: blob.webkitRelativePath || blob.name, blob }));
  return chosen.filter(({ path }) => !path.split('/').some(isLeftOut)).slice(0, MOST_FILES);
}

async function collect(entry: FileSystemEntry, found: ChosenFile[]): Promise<void> {
  if (found.length >= MOST_FILES) return;
  if (isFile(entry)) {
    found.push({ path: entry.fullPath.replace(/^\//, ''), blob: await new Promise<File>((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  if (!isFolder(entry)) return;
  const reader = entry.createReader();
  // A reader gives its entries in parts, and none at the end.
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return;
    for (const child of part) if (!isLeftOut(child.name)) await collect(child, found);
  }
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

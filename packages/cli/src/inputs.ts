import { readdir, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { ByteSource } from '@weightspec/core';
import { chooseModel, fileAddress, isModelFolder, namesFolder, open, openFolder, type FolderFile, type OpenResult } from '@weightspec/formats';
import { IoError } from '@weightspec/io';
import { openSource, spooledSource } from '@weightspec/io/node';
import type { BesideModel } from '@weightspec/models';
import { CliError } from './codes.js';
import type { Terminal } from './terminal.js';
import { folderAt, folderResolver, formatsBeside, isIndexFile, isUrl, listFolder } from './folders.js';

/** A file, a URL, or a folder that is one model, to look at. `named`: given on the command line rather than found in a folder. */
export interface Input {
  readonly path: string;
  readonly named: boolean;
  /** Of a model's folder: its plain files. They are not inputs of their own. */
  readonly folder?: readonly FolderFile[];
}

async function isFolder(target: string): Promise<boolean> {
  if (isUrl(target)) return false;
  const found = await stat(target).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

/**
 * Files under `folder` in name order, and folders that are one model in place of their files. Leaves out dot-folders and
 * node_modules, and does not follow links to folders.
 */
async function* inputsUnder(folder: string): AsyncGenerator<Input> {
  const listing = await listFolder(folder).catch(() => []);
  const isModel = isModelFolder(listing);
  if (isModel) yield { path: folder, named: true, folder: listing };
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  // Opening what cannot be listed says why, as it does for a file, and the other folders are still looked at.
  if (!entries) yield { path: folder, named: false };
  for (const entry of (entries ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('.') && entry.name !== 'node_modules') yield* inputsUnder(path);
    } else if (!isModel && (entry.isFile() || (entry.isSymbolicLink() && !(await isFolder(path))))) {
      // Download caches keep the real file elsewhere and link to it.
      yield { path, named: false };
    }
  }
}

/** Standard input, among targets. */
export const isStdin = (target: string): boolean => target === '-';

/** What a pattern stands for, in name order; the target itself where it is a file or no pattern, or where nothing matches. */
async function expanded(target: string): Promise<readonly string[]> {
  if (isUrl(target) || isStdin(target) || (await stat(target).catch(() => undefined))) return [target];
  // Loaded only for what is not there under its own name.
  const { glob, isDynamicPattern } = await import('tinyglobby');
  if (!isDynamicPattern(target)) return [target];
  const found = await glob(target, { onlyFiles: false, expandDirectories: false, absolute: isAbsolute(target) });
  const paths = found.map((path) => path.replace(/\/$/, '')).toSorted((a, b) => (a < b ? -1 : 1));
  return paths.length > 0 ? paths : [target];
}

/** The files that `targets` stand for: files, folders, patterns, URLs, `-`. A target that is not there is yielded too: opening it says what is wrong. */
export async function* inputsOf(targets: readonly string[]): AsyncGenerator<Input> {
  for (const target of targets) {
    for (const path of await expanded(target)) {
      if (!(await isFolder(path))) yield { path, named: true };
      else yield* inputsUnder(path);
    }
  }
}

export interface OpenTargetOptions {
  /** Store the whole file where a server sends no ranges. */
  readonly download?: boolean;
  readonly stdin?: Terminal['stdin'];
}

/** Opens a path, a URL, or what comes on standard input, which is stored on disk meanwhile. Throws IoError. */
export async function openTarget(target: string, { download = false, stdin }: OpenTargetOptions = {}): Promise<ByteSource & { close(): Promise<void> }> {
  if (isStdin(target) && stdin) return spooledSource('stdin', stdin());
  try {
    return await openSource(isUrl(target) ? fileAddress(target) : target, download ? { download: (name, chunks) => spooledSource(name, chunks) } : {});
  } catch (error) {
    const missing = error instanceof IoError && error.code === 'IO_NOT_FOUND' && !isUrl(target);
    if (missing && (await import('tinyglobby')).isDynamicPattern(target)) throw new IoError('IO_NOT_FOUND', `${target}: no file has this name, and none fits it as a pattern`, { cause: error });
    throw error;
  }
}

/** Formats of files that go with a model and never are one. */
const companions: ReadonlySet<string> = new Set(['llama2c-tokenizer']);

export interface OpenedModel extends OpenResult {
  /** The file, or the folder as a whole: what to call it, its bytes, and how to close it. */
  readonly source: Pick<ByteSource, 'name' | 'size'> & { close(): Promise<void> };
  /** Configuration found in the folder; absent for a single file. */
  readonly beside?: BesideModel;
}

/**
 * Opens the one model that `target` (a file, an index with its shards, or a folder with one model in it, each at a path or a URL) stands for.
 * The caller closes `source`. Throws CliError for a folder with none or several, IoError for I/O trouble.
 */
export async function openModel(target: string, options: OpenTargetOptions = {}): Promise<OpenedModel> {
  if (isUrl(target) && namesFolder(target)) return openRemoteFolder(target, options);
  if (!(await isFolder(target))) return isIndexFile(target) ? openIndexFile(target) : openInput(target, options);
  const listing = await listFolder(target);
  if (isModelFolder(listing) && chooseModel(listing, target).model) return openModelFolder(target, listing);
  const models: OpenedModel[] = [];
  for await (const { path, folder } of inputsUnder(target)) {
    const opened = folder ? await openModelFolder(path, folder) : await openInput(path);
    if (opened.checkpoint && !companions.has(opened.checkpoint.format)) models.push(opened);
    else await opened.source.close();
  }
  const [model] = models;
  if (model && models.length === 1) return model;
  for (const { source } of models) await source.close();
  if (!model) throw new CliError('CLI_NO_MODEL', `${target}: no file in this folder holds a model`);
  throw new CliError('CLI_SEVERAL_MODELS', `${target}: several files hold a model: ${models.map(({ source }) => source.name).join(', ')}`);
}

async function openModelFolder(folder: string, listing: readonly FolderFile[]): Promise<OpenedModel> {
  const { resolve } = folderResolver(folder);
  const opened = await openFolder(listing, resolve, { name: folder });
  const { format, variant, checkpoint, diagnostics, beside, files } = opened;
  const size = listing.filter(({ name }) => files.includes(name)).reduce((sum, file) => sum + file.size, 0);
  return { source: { name: folder, size, close: () => opened.close() }, format, variant, checkpoint, diagnostics, beside };
}

async function openRemoteFolder(url: string, { download }: OpenTargetOptions): Promise<OpenedModel> {
  const folder = folderAt(url, { download });
  try {
    const listing = await folder.list();
    const opened = await openFolder(listing, folder.resolve, { name: folder.name });
    const { format, variant, checkpoint, diagnostics, beside, files } = opened;
    const sizes = await Promise.all(files.map(async (name) => (await folder.resolve(name))?.size ?? 0));
    const close = async (): Promise<void> => {
      await opened.close();
      await folder.close();
    };
    return { source: { name: `${folder.name}/`, size: sizes.reduce((sum, size) => sum + size, 0), close }, format, variant, checkpoint, diagnostics, beside };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** The shards of an index lie beside it and stay open with it. */
async function openIndexFile(path: string): Promise<OpenedModel> {
  const shards = formatsBeside(path);
  const index = await openSource(path);
  const close = async (): Promise<void> => {
    await index.close();
    await shards.closeAll();
  };
  try {
    return { ...(await open(index, shards.formats)), source: { name: index.name, size: index.size, close } };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openInput(path: string, options: OpenTargetOptions = {}): Promise<OpenedModel> {
  const source = await openTarget(path, options);
  try {
    return { source, ...(await open(source)) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

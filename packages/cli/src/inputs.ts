import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteSource } from '@weightspec/core';
import { open, type OpenResult } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import { CliError } from './codes.js';

/** A file or URL to look at. `named`: given on the command line rather than found in a folder. */
export interface Input {
  readonly path: string;
  readonly named: boolean;
}

const isUrl = (target: string) => /^[a-z][a-z0-9+.-]+:\/\//i.test(target);

async function isFolder(target: string): Promise<boolean> {
  if (isUrl(target)) return false;
  const found = await stat(target).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

/** Files under `folder` in name order. Leaves out dot-folders and node_modules, and does not follow links to folders. */
async function* filesUnder(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined);
  // Opening what cannot be listed says why, as it does for a file, and the other folders are still looked at.
  if (!entries) yield folder;
  for (const entry of (entries ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!entry.name.startsWith('.') && entry.name !== 'node_modules') yield* filesUnder(path);
    } else if (entry.isFile() || (entry.isSymbolicLink() && !(await isFolder(path)))) {
      // Download caches keep the real file elsewhere and link to it.
      yield path;
    }
  }
}

/** The files that `targets` stand for. A target that is not there is yielded too: opening it says what is wrong. */
export async function* inputsOf(targets: readonly string[]): AsyncGenerator<Input> {
  for (const target of targets) {
    if (!(await isFolder(target))) yield { path: target, named: true };
    else for await (const path of filesUnder(target)) yield { path, named: false };
  }
}

/** Formats of files that go with a model and never are one. */
const companions: ReadonlySet<string> = new Set(['llama2c-tokenizer']);

export interface OpenedModel extends OpenResult {
  readonly source: ByteSource & { close(): Promise<void> };
}

/**
 * Opens the one model that `target` (a file, a URL, or a folder with one model in it) stands for.
 * The caller closes `source`. Throws CliError for a folder with none or several, IoError for I/O trouble.
 */
export async function openModel(target: string): Promise<OpenedModel> {
  if (!(await isFolder(target))) return openInput(target);
  const models: OpenedModel[] = [];
  for await (const { path } of inputsOf([target])) {
    const opened = await openInput(path);
    if (opened.checkpoint && !companions.has(opened.checkpoint.format)) models.push(opened);
    else await opened.source.close();
  }
  const [model] = models;
  if (model && models.length === 1) return model;
  for (const { source } of models) await source.close();
  if (!model) throw new CliError('CLI_NO_MODEL', `${target}: no file in this folder holds a model`);
  throw new CliError('CLI_SEVERAL_MODELS', `${target}: several files hold a model: ${models.map(({ source }) => source.name).join(', ')}`);
}

async function openInput(path: string): Promise<OpenedModel> {
  const source = await openSource(path);
  try {
    return { source, ...(await open(source)) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

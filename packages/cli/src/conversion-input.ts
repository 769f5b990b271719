/** Opens what `convert` and `compare` take, with everything beside it that a conversion wants to know. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DiagnosticError, type Checkpoint } from '@weightspec/core';
import type { ConvertInput } from '@weightspec/convert';
import type { FolderResolver } from '@weightspec/formats';
import type { BesideModel } from '@weightspec/models';
import { readTiktokenRanks } from '@weightspec/tokenizers';
import { besideModel, parsedFile } from './beside.js';
import { CliError } from './codes.js';
import { isUrl, listFolder, resolverBeside } from './folders.js';
import { openModel } from './inputs.js';

export interface OpenedInput {
  readonly input: ConvertInput;
  /** Files that are being read: a conversion must not overwrite them. */
  readonly paths: readonly string[];
  close(): Promise<void>;
}

/**
 * A file, a URL, an index with its shards, or a folder with one model. Throws DiagnosticError for files with errors, CliError for a
 * folder without a model or with several, IoError.
 */
export async function openConversionInput(target: string): Promise<OpenedInput> {
  const { source, checkpoint, diagnostics, beside } = await openModel(target);
  try {
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) throw new DiagnosticError(errors);
    if (!checkpoint) throw new CliError('CLI_NO_MODEL', `${target}: no model could be read`);
    const close = (): Promise<void> => source.close();
    if (isUrl(target)) return { input: { checkpoint, beside: await everythingBeside(source.name, checkpoint, beside) }, paths: [], close };
    const folder = (await stat(target)).isDirectory() ? target : dirname(target);
    const input = { checkpoint, beside: await everythingBeside(join(folder, basename(source.name)), checkpoint, beside) };
    return { input, paths: await filesRead(checkpoint, folder), close };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** What lies beside the model file at `path`. `model`: what is known of it already. */
async function everythingBeside(path: string, checkpoint: Checkpoint, model: BesideModel | undefined): Promise<NonNullable<ConvertInput['beside']>> {
  const { resolve, closeAll } = resolverBeside(path);
  try {
    return { ...(model ?? (await besideModel(path, checkpoint))), generationConfig: await parsedFile('generation_config.json', resolve), tiktokenRanks: await countRanks('qwen.tiktoken', resolve) };
  } finally {
    await closeAll();
  }
}

/** A joined shard's source has the names of all its parts in its own. */
async function filesRead({ tensors }: Checkpoint, folder: string): Promise<readonly string[]> {
  const names = [...new Set(tensors.map(({ location }) => location.source.name))];
  const paths = (await listFolder(folder)).map(({ name }) => join(folder, name));
  return [...new Set([...names, ...paths.filter((path) => names.some((name) => name.includes(path)))])];
}

/** Undefined when there is no such file. */
async function countRanks(name: string, resolve: FolderResolver): Promise<number | undefined> {
  const source = await resolve(name);
  if (!source) return undefined;
  try {
    return (await readTiktokenRanks(source)).ranks?.tokens.length;
  } finally {
    await source.close?.();
  }
}

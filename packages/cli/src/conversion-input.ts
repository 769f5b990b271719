/** Opens what `convert` and `compare` take: a file, an index with its shards, a folder of either, or Meta's shards; and what lies beside. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DiagnosticError, type ByteSource, type Checkpoint, type Diagnostic } from '@weightspec/core';
import type { BesideConversion, ConvertInput } from '@weightspec/convert';
import { fileSource, openSource } from '@weightspec/io/node';
import { joinMetaShards } from '@weightspec/models';
import { open } from '@weightspec/formats';
import { readSharded, type ShardedReadResult, type ShardResolver } from '@weightspec/sharded-index';
import { readTiktokenRanks } from '@weightspec/tokenizers';
import { besideModel, parsedFile } from './beside.js';
import { CliError } from './codes.js';
import { openModel } from './inputs.js';

export interface OpenedInput {
  readonly input: ConvertInput;
  /** Files that are being read: a conversion must not overwrite them. */
  readonly paths: readonly string[];
  close(): Promise<void>;
}

type Closable = ByteSource & { close(): Promise<void> };

const isUrl = (target: string): boolean => /^[a-z][a-z0-9+.-]+:\/\//i.test(target);
const isFolder = async (target: string): Promise<boolean> => !isUrl(target) && ((await stat(target).catch(() => undefined))?.isDirectory() ?? false);

/** Throws DiagnosticError for files with errors, CliError for a folder without a model or with several, IoError. */
export async function openConversionInput(target: string): Promise<OpenedInput> {
  const folder = (await isFolder(target)) ? target : dirname(target);
  const opened = await openCheckpoint(target, folder === target);
  try {
    return { ...opened, input: { checkpoint: opened.checkpoint, beside: isUrl(target) ? {} : await readBeside(folder, opened.checkpoint) } };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

type OpenedCheckpoint = Omit<OpenedInput, 'input'> & { readonly checkpoint: Checkpoint };

async function openCheckpoint(target: string, folder: boolean): Promise<OpenedCheckpoint> {
  if (!folder) return target.endsWith('.index.json') && !isUrl(target) ? openSharded(target) : openSingle(target);
  const names = (await readdir(target)).toSorted();
  const index = ['model.safetensors.index.json', 'pytorch_model.bin.index.json'].find((name) => names.includes(name));
  if (index) return openSharded(join(target, index));
  const metaShards = names.filter((name) => /^consolidated\.\d+\.pth$/.test(name));
  return metaShards.length > 0 ? openMetaShards(metaShards.map((name) => join(target, name))) : openSingle(target);
}

async function openSingle(target: string): Promise<OpenedCheckpoint> {
  const { source, checkpoint, diagnostics } = await openModel(target);
  return soundOrClosed(checkpoint, diagnostics, [source], [source.name]);
}

async function openSharded(indexPath: string): Promise<OpenedCheckpoint> {
  const index = await fileSource(indexPath);
  const folder = dirname(indexPath);
  const paths: string[] = [];
  const resolve: ShardResolver = async (name) => {
    const path = join(folder, name);
    if (!(await stat(path).catch(() => undefined))) return undefined;
    paths.push(path);
    return fileSource(path);
  };
  let result: ShardedReadResult;
  try {
    result = await readSharded(index, resolve);
  } finally {
    await index.close();
  }
  return soundOrClosed(result.checkpoint, result.diagnostics, [result], [indexPath, ...paths]);
}

async function openMetaShards(paths: readonly string[]): Promise<OpenedCheckpoint> {
  const sources: Closable[] = [];
  const shards: Checkpoint[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const path of paths) {
    const source = await openSource(path);
    sources.push(source);
    const opened = await open(source);
    diagnostics.push(...opened.diagnostics);
    if (opened.checkpoint) shards.push(opened.checkpoint);
  }
  const complete = shards.length === paths.length;
  return soundOrClosed(complete ? joinMetaShards(shards) : undefined, diagnostics, sources, paths);
}

async function soundOrClosed(checkpoint: Checkpoint | undefined, diagnostics: readonly Diagnostic[], sources: readonly { close(): Promise<void> }[], paths: readonly string[]): Promise<OpenedCheckpoint> {
  const close = async (): Promise<void> => void (await Promise.all(sources.map((source) => source.close())));
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (checkpoint && errors.length === 0) return { checkpoint, paths: paths.filter((path) => !isUrl(path)), close };
  await close();
  if (errors.length === 0) throw new CliError('CLI_NO_MODEL', `${paths.join(', ')}: no model could be read`);
  throw new DiagnosticError(errors);
}

async function readBeside(folder: string, checkpoint: Checkpoint): Promise<BesideConversion> {
  const model = await besideModel(join(folder, 'model'), checkpoint);
  return { ...model, generationConfig: await parsedFile(join(folder, 'generation_config.json')), tiktokenRanks: await countRanks(join(folder, 'qwen.tiktoken')) };
}

async function countRanks(path: string): Promise<number | undefined> {
  if (!(await stat(path).catch(() => undefined))) return undefined;
  const source = await fileSource(path);
  try {
    return (await readTiktokenRanks(source)).ranks?.tokens.length;
  } finally {
    await source.close();
  }
}

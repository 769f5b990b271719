/**
 * Which files of a folder are the model (F-3). The order is that of transformers' from_pretrained: safetensors before
 * pickles, one file before shards; then Meta's parts; then whatever single weight file there is.
 */
import type { Diagnostic } from '@weightspec/core';
import { folderDiagnostic } from './folder-codes.js';
import { formats } from './list.js';

/** A plain file directly in the folder. */
export interface FolderFile {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

export type FolderModel =
  | { readonly kind: 'file'; readonly name: string }
  | { readonly kind: 'index'; readonly name: string }
  /** Meta's consolidated.NN.pth, in order. */
  | { readonly kind: 'meta'; readonly names: readonly string[] };

export interface FolderChoice {
  readonly model?: FolderModel;
  readonly diagnostics: readonly Diagnostic[];
}

const wellKnown: readonly (readonly [name: string, kind: 'file' | 'index'])[] = [
  ['model.safetensors', 'file'],
  ['model.safetensors.index.json', 'index'],
  ['pytorch_model.bin', 'file'],
  ['pytorch_model.bin.index.json', 'index'],
];
/** Names to ask for where a folder cannot be listed, in that order. `model.bin`: what llama2.c's export is usually told to write. */
export const usualWeights: readonly string[] = [...wellKnown.map(([name]) => name), 'consolidated.00.pth', 'model.bin'];
const metaPart = /^consolidated\.(\d{2,3})\.pth$/;
const numberedShard = /-\d{1,6}-of-\d{1,6}\.(safetensors|bin|pth?)$/i;
/** Other things that trainers and tokenizers keep under endings of weight files. */
const notWeights = /^(training_args|optimizer|scheduler|scaler|rng_state.*|tokenizer.*)\.(bin|pth?|model)$/i;
const leftOver = /\.(incomplete|part|partial|crdownload|aria2|tmp|download)$/i;

/** Names that only a folder with one model in it has; other folders are looked at file by file. */
const marks = /^(config\.json|params\.json|(model\.safetensors|pytorch_model\.bin)\.index\.json|consolidated\.\d{2,3}\.pth)$/;

export const isModelFolder = (files: readonly FolderFile[]): boolean => files.some(({ name }) => marks.test(name));

export function chooseModel(files: readonly FolderFile[], folder: string): FolderChoice {
  const names = files.map(({ name }) => name).toSorted();
  const diagnostics: Diagnostic[] = [];
  const leftOvers = names.filter((name) => leftOver.test(name));
  if (leftOvers.length > 0) diagnostics.push(folderDiagnostic('FOLDER_INCOMPLETE_DOWNLOAD', folder, { message: `${leftOvers.length} files look like parts of a download: ${shown(leftOvers)}` }));

  const candidates = candidatesIn(names);
  const [model, ...others] = candidates;
  if (!model) return { diagnostics: [...diagnostics, noModel(names, folder)] };
  // Only names that say what they are decide between several.
  if (others.length > 0 && model.kind === 'file' && !isWellKnown(model.name)) {
    return { diagnostics: [...diagnostics, folderDiagnostic('FOLDER_SEVERAL_MODELS', folder, { message: `several files may be the model: ${shown(candidates.map(label))}` })] };
  }
  if (others.length > 0) diagnostics.push(folderDiagnostic('FOLDER_OTHER_MODELS', folder, { message: `${label(model)} is taken; the folder also holds ${shown(others.map(label))}` }));
  if (model.kind === 'meta') diagnostics.push(...gaps(model.names, folder));
  return diagnostics.some(({ severity }) => severity === 'error') ? { diagnostics } : { model, diagnostics };
}

const isWellKnown = (name: string): boolean => wellKnown.some(([known]) => known === name);
const label = (model: FolderModel): string => (model.kind === 'meta' ? model.names[0]! : model.name);
export const shown = (names: readonly string[]): string => `${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;

function candidatesIn(names: readonly string[]): FolderModel[] {
  const found: FolderModel[] = wellKnown.flatMap(([name, kind]) => (names.includes(name) ? [{ kind, name }] : []));
  const parts = names.filter((name) => metaPart.test(name));
  if (parts.length > 0) found.push({ kind: 'meta', names: parts.toSorted((a, b) => partNumber(a) - partNumber(b)) });
  found.push(...names.filter((name) => name.endsWith('.index.json') && !isWellKnown(name)).map((name) => ({ kind: 'index' as const, name })));
  if (found.length > 0) return found;
  const extensions = formats.flatMap((format) => format.extensions).filter((extension) => extension !== '.index.json');
  const weights = names.filter((name) => extensions.some((extension) => name.toLowerCase().endsWith(extension)) && !notWeights.test(name) && !numberedShard.test(name));
  return weights.map((name) => ({ kind: 'file' as const, name }));
}

function noModel(names: readonly string[], folder: string): Diagnostic {
  const shards = names.filter((name) => numberedShard.test(name));
  if (shards.length > 0) return folderDiagnostic('FOLDER_INDEX_MISSING', folder, { message: `${shards.length} files are named like shards, and there is no index: ${shown(shards)}` });
  return folderDiagnostic('FOLDER_NO_MODEL', folder, { message: names.length === 0 ? 'the folder holds no files' : `none of ${names.length} files has the name of a weight file` });
}

const partNumber = (name: string): number => Number(metaPart.exec(name)![1]);

function gaps(names: readonly string[], folder: string): Diagnostic[] {
  const numbers = new Set(names.map(partNumber));
  const last = Math.max(...numbers);
  const missing = Array.from({ length: last + 1 }, (_, number) => number).filter((number) => !numbers.has(number));
  if (missing.length === 0) return [];
  return [folderDiagnostic('FOLDER_SHARD_GAP', folder, { message: `there is ${names.at(-1)}, but no part ${missing.join(', ')}` })];
}

/** Files named like shards that the model does not use (F-3.3). */
export function unlistedShards(files: readonly FolderFile[], used: readonly string[], folder: string): Diagnostic[] {
  const known = new Set(used);
  const kinds = new Set(used.map(endingOf));
  const unlisted = files.map(({ name }) => name).filter((name) => numberedShard.test(name) && !known.has(name) && kinds.has(endingOf(name)));
  if (unlisted.length === 0) return [];
  return [folderDiagnostic('FOLDER_SHARD_UNLISTED', folder, { message: `${unlisted.length} files are named like shards of this model, which does not use them: ${shown(unlisted.toSorted())}` })];
}

const endingOf = (name: string): string => name.slice(name.lastIndexOf('.')).toLowerCase();

/** A folder as one model: finds it, opens it, and checks that configuration, weights and tokenizer belong together. */
import { summarize, type ByteSource, type Checkpoint, type Diagnostic, type Format, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { ModelError, describesItself, joinMetaShards, type BesideModel } from '@weightspec/models';
import { JsonError, JsonReader, NAMES_UNCHECKED, firstInvalidUtf8, quoted } from '@weightspec/safetensors';
import { readSharded, shardedIndexFormat, validateSharded } from '@weightspec/sharded-index';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { folderDiagnostic } from './folder-codes.js';
import { chooseModel, unlistedShards, type FolderFile, type FolderModel } from './folder-model.js';
import { findImposter } from './imposters.js';
import { open } from './open.js';
import { checkAgainstConfig, type Preflight } from './preflight.js';
import { largestTokenId, tokenizerFiles } from './tokenizer-size.js';
import { makeReport, type Report, type ReportOptions } from './validate.js';

/** Opens a file of the folder by its plain name; undefined when there is none. */
export type FolderResolver = (name: string) => Promise<ByteSource | undefined>;

export interface OpenFolderOptions {
  /** What to call the folder in messages. Default `folder`. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

export interface OpenedFolder {
  /** Absent when the folder holds no model, or several. */
  readonly model?: FolderModel;
  readonly format?: Format;
  readonly variant?: string;
  /** Absent when the weights have errors. Meta's parts are joined. */
  readonly checkpoint?: Checkpoint;
  /** What lies beside the weights, parsed: hand it to `modelOf`. */
  readonly beside: BesideModel;
  readonly diagnostics: readonly Diagnostic[];
  /** Names of the files that hold the weights. */
  readonly files: readonly string[];
  /** What was compared beyond each file alone, and what could not be. */
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  /** Validates the weights by their own formats. */
  validate(options?: ValidateOptions): Promise<ValidateResult>;
  /** Closes every file that was opened. */
  close(): Promise<void>;
}

/** Configurations have some kB, tokenizers some MB. */
const MAX_CONFIG_BYTES = 1 << 24;
const MAX_TOKENIZER_BYTES = 1 << 26;
const nothing: ValidateResult = { diagnostics: [], checked: [], notChecked: [] };

/** The weights of a folder, opened. */
interface Weights {
  readonly format?: Format;
  readonly variant?: string;
  readonly checkpoint?: Checkpoint;
  readonly diagnostics: readonly Diagnostic[];
  readonly files: readonly string[];
  readonly validate: (options?: ValidateOptions) => Promise<ValidateResult>;
  readonly close: () => Promise<void>;
}

/**
 * Finds the model in a folder whose plain files are `listing`, opens it and compares it with config.json or params.json
 * and the tokenizer beside it. Reads headers only. Bad bytes become diagnostics; only I/O faults throw.
 */
export async function openFolder(listing: readonly FolderFile[], resolve: FolderResolver, options: OpenFolderOptions = {}): Promise<OpenedFolder> {
  const folder = options.name ?? 'folder';
  const { model, diagnostics: chosen } = chooseModel(listing, folder);
  if (!model) return { beside: {}, diagnostics: chosen, files: [], checked: [], notChecked: ['everything: the folder has no one model'], validate: async () => nothing, close: async () => undefined };
  const weights = await openWeights(model, resolve, folder, options);
  try {
    const left = unlistedShards(listing, weights.files, folder);
    const beside = await readBeside(resolve, folder);
    const preflight = await compare(weights.checkpoint, beside, resolve, folder);
    const { format, variant, checkpoint, files, validate, close } = weights;
    return {
      model, files, validate, close,
      ...(format ? { format } : {}), ...(variant === undefined ? {} : { variant }), ...(checkpoint ? { checkpoint } : {}),
      beside: beside.model,
      diagnostics: [...chosen, ...weights.diagnostics, ...left, ...beside.diagnostics, ...preflight.diagnostics],
      checked: preflight.checked,
      notChecked: preflight.notChecked,
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

export interface ValidateFolderOptions extends ReportOptions, OpenFolderOptions {}

/** Opens the model of a folder, validates its weights, and reports on all of it at once. Closes what it opened. */
export async function validateFolder(listing: readonly FolderFile[], resolve: FolderResolver, options: ValidateFolderOptions = {}): Promise<Report> {
  options.signal?.throwIfAborted();
  const opened = await openFolder(listing, resolve, options);
  try {
    return await reportOnFolder(listing, opened, options);
  } finally {
    await opened.close();
  }
}

/** Validates what `openFolder` made of the folder with these files. */
export async function reportOnFolder(listing: readonly FolderFile[], opened: OpenedFolder, options: ValidateFolderOptions = {}): Promise<Report> {
  const { format, variant, checkpoint, files, diagnostics } = opened;
  return makeReport({
    path: options.name ?? 'folder',
    fileSize: weightBytes(listing, opened),
    files: opened.model?.kind === 'index' ? [opened.model.name, ...files] : files,
    ...(format ? { format } : {}), ...(variant === undefined ? {} : { variant }), ...(checkpoint ? { checkpoint } : {}),
    diagnostics,
    recognised: !diagnostics.some(({ code }) => code === 'FOLDER_NO_MODEL'),
    validate: async (validateOptions) => {
      const result = checkpoint ? await opened.validate(validateOptions) : nothing;
      // Names and shapes have been compared with the configuration, or `opened` says why not.
      const notChecked = result.notChecked.filter((what) => what !== NAMES_UNCHECKED);
      return { diagnostics: result.diagnostics, checked: [...result.checked, ...opened.checked], notChecked: [...notChecked, ...opened.notChecked] };
    },
  }, options);
}

/** Bytes of the files that hold the weights. */
function weightBytes(listing: readonly FolderFile[], { files }: OpenedFolder): number {
  const sizes = new Map(listing.map(({ name, size }) => [name, size]));
  return files.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}

// Weights

async function openWeights(model: FolderModel, resolve: FolderResolver, folder: string, options: OpenFolderOptions): Promise<Weights> {
  if (model.kind === 'file') return openOne(model.name, resolve, folder);
  return model.kind === 'index' ? openIndexed(model.name, resolve, folder, options) : openMeta(model.names, resolve, folder);
}

/** A file of the listing. Throws when it has gone meanwhile. */
async function openListed(name: string, resolve: FolderResolver, folder: string): Promise<ByteSource> {
  const source = await resolve(name);
  if (!source) throw new Error(`${folder}: ${name} was listed and cannot be opened`);
  return source;
}

async function openOne(name: string, resolve: FolderResolver, folder: string): Promise<Weights> {
  const source = await openListed(name, resolve, folder);
  const close = async (): Promise<void> => source.close?.();
  try {
    const { format, variant, checkpoint, diagnostics } = await open(source);
    return {
      ...(format ? { format } : {}), ...(variant === undefined ? {} : { variant }), ...(checkpoint ? { checkpoint } : {}),
      diagnostics, files: [name], close, validate: async (options) => (format && checkpoint ? format.validate(checkpoint, options) : nothing),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openIndexed(name: string, resolve: FolderResolver, folder: string, { signal }: OpenFolderOptions): Promise<Weights> {
  const index = await openListed(name, resolve, folder);
  const recognise = (head: Uint8Array, source: string, size: number): Diagnostic | undefined => findImposter(head, source, size)?.diagnostic;
  try {
    const result = await readSharded(index, resolve, { recognise, ...(signal ? { signal } : {}) });
    const { checkpoint, variant, diagnostics, shards } = result;
    return {
      format: shardedIndexFormat(resolve), ...(variant === undefined ? {} : { variant }), ...(checkpoint ? { checkpoint } : {}),
      diagnostics, files: shards.map((shard) => shard.name), close: () => result.close(),
      validate: async (options) => (checkpoint ? validateSharded(checkpoint, options) : nothing),
    };
  } finally {
    await index.close?.();
  }
}

async function openMeta(names: readonly string[], resolve: FolderResolver, folder: string): Promise<Weights> {
  const parts: Weights[] = [];
  const close = async (): Promise<void> => void (await Promise.all(parts.map((part) => part.close())));
  try {
    for (const name of names) parts.push(await openOne(name, resolve, folder));
    const diagnostics = parts.flatMap((part) => part.diagnostics);
    const checkpoints = parts.flatMap(({ checkpoint }) => checkpoint ?? []);
    const base = { format: torchCheckpoint, files: names, close, validate: (options?: ValidateOptions) => validateParts(parts, options) };
    if (checkpoints.length < parts.length) return { ...base, diagnostics };
    try {
      const checkpoint = joinMetaShards(checkpoints);
      return { ...base, variant: checkpoint.variant, checkpoint, diagnostics };
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      return { ...base, diagnostics: [...diagnostics, ...error.problems.slice(0, 100).map((message) => folderDiagnostic('FOLDER_SHARDS_DIFFER', folder, { message }))] };
    }
  } catch (error) {
    await close();
    throw error;
  }
}

async function validateParts(parts: readonly Weights[], options: ValidateOptions = {}): Promise<ValidateResult> {
  const results: ValidateResult[] = [];
  for (const [place, part] of parts.entries()) {
    // Parts are of one size: each is one step of the whole.
    const progress = options.progress && ((done: number, total: number) => options.progress!(place * total + done, parts.length * total));
    const { diagnostics, checked, notChecked } = await part.validate({ ...options, ...(progress ? { progress } : {}) });
    results.push({ diagnostics, checked: checked.map((what) => `${part.files[0]}: ${what}`), notChecked });
  }
  return { diagnostics: results.flatMap((result) => result.diagnostics), checked: results.flatMap((result) => result.checked), notChecked: [...new Set(results.flatMap((result) => result.notChecked))] };
}

// What lies beside

interface Beside {
  readonly model: BesideModel;
  /** Which file the configuration came from. */
  readonly source?: string;
  readonly diagnostics: readonly Diagnostic[];
}

async function readBeside(resolve: FolderResolver, folder: string): Promise<Beside> {
  for (const [name, key] of [['config.json', 'config'], ['params.json', 'params']] as const) {
    const bytes = await wholeFile(name, resolve, MAX_CONFIG_BYTES);
    if (!bytes) continue;
    const fault = jsonFault(bytes);
    if (fault) return { model: {}, source: name, diagnostics: [folderDiagnostic('FOLDER_CONFIG_JSON', `${folder}/${name}`, { byteRange: fault.byteRange, message: `${name}: ${fault.message}` })] };
    return { model: { [key]: JSON.parse(new TextDecoder().decode(bytes)) as unknown }, source: name, diagnostics: [] };
  }
  return { model: {}, diagnostics: [] };
}

/** All bytes of a small file, cut at one byte more than `most`; undefined when there is no such file. */
async function wholeFile(name: string, resolve: FolderResolver, most: number): Promise<Uint8Array | undefined> {
  const source = await resolve(name);
  if (!source) return undefined;
  try {
    return await source.read(0, Math.min(source.size, most + 1));
  } finally {
    await source.close?.();
  }
}

/** Why `bytes` are not one JSON object that every parser reads alike. */
function jsonFault(bytes: Uint8Array): { byteRange: readonly [number, number]; message: string } | undefined {
  if (bytes.length > MAX_CONFIG_BYTES) return { byteRange: [MAX_CONFIG_BYTES, bytes.length], message: `longer than ${MAX_CONFIG_BYTES} bytes` };
  const invalid = firstInvalidUtf8(bytes);
  if (invalid) return { byteRange: invalid, message: 'not UTF-8' };
  const json = new JsonReader(bytes);
  const keys = new Set<string>();
  let repeated: { byteRange: readonly [number, number]; message: string } | undefined;
  try {
    json.object((key) => {
      if (keys.has(key)) repeated ??= { byteRange: json.tokenRange, message: `the key ${quoted(key)} stands twice` };
      keys.add(key);
      json.skip();
    });
    json.finish();
    return repeated;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { byteRange: error.byteRange, message: error.message };
  }
}

async function compare(checkpoint: Checkpoint | undefined, beside: Beside, resolve: FolderResolver, folder: string): Promise<Preflight> {
  if (!checkpoint) return { diagnostics: [], checked: [], notChecked: ['whether the weights fit the configuration: they could not be opened'] };
  if (describesItself(checkpoint)) return { diagnostics: [], checked: [], notChecked: [] };
  if (beside.source === undefined) {
    return { diagnostics: [folderDiagnostic('FOLDER_CONFIG_MISSING', folder, { message: 'there is neither a config.json nor a params.json' })], checked: [], notChecked: ['whether the weights fit a configuration: there is none'] };
  }
  if (summarize(beside.diagnostics).errors > 0) return { diagnostics: [], checked: [], notChecked: ['whether the weights fit the configuration: it could not be read'] };
  const preflight = checkAgainstConfig(checkpoint, beside.model, `${folder}/${beside.source}`);
  const tokenizer = await checkTokenizer(preflight.vocabSize, resolve, folder);
  return { diagnostics: [...preflight.diagnostics, ...tokenizer.diagnostics], checked: [...preflight.checked, ...tokenizer.checked], notChecked: [...preflight.notChecked, ...tokenizer.notChecked] };
}

async function checkTokenizer(vocabSize: number | undefined, resolve: FolderResolver, folder: string): Promise<Preflight> {
  for (const name of tokenizerFiles) {
    const bytes = await wholeFile(name, resolve, MAX_TOKENIZER_BYTES);
    if (!bytes) continue;
    const source = `${folder}/${name}`;
    const largest = bytes.length > MAX_TOKENIZER_BYTES ? undefined : await largestTokenId(name, bytes);
    if (largest === undefined) {
      const imposter = findImposter(bytes.subarray(0, 4096), source, bytes.length)?.imposter;
      const instead = imposter && imposter.kind === 'stand-in' ? `: it is ${imposter.title}` : '';
      return { diagnostics: [folderDiagnostic('FOLDER_TOKENIZER_UNREADABLE', source, { byteRange: [0, Math.min(16, bytes.length)], message: `${name} is no tokenizer that can be read here${instead}` })], checked: [], notChecked: ['whether the tokenizer fits the weights'] };
    }
    if (vocabSize === undefined) return { diagnostics: [], checked: [], notChecked: ['whether the tokenizer fits the weights: the size of the embedding is not known'] };
    if (largest < vocabSize) return { diagnostics: [], checked: [`that ${name} has no id beyond the embedding's ${vocabSize} rows`], notChecked: [] };
    return { diagnostics: [folderDiagnostic('FOLDER_TOKENIZER_SIZE', source, { message: `${name} has ids up to ${largest}; the embedding has ${vocabSize} rows` })], checked: [], notChecked: [] };
  }
  return { diagnostics: [], checked: [], notChecked: ['whether a tokenizer fits the weights: there is none in the folder'] };
}

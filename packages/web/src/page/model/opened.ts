/** Opens an item as the command opens a target: one file, an address, or a folder that is one model. */
import type { ByteSource, Checkpoint, Diagnostic, ValidateOptions, ValidateResult } from '@weightspec/core';
import { open, openFolder, reportOn, reportOnFolder, type Report, type ReportOptions } from '@weightspec/formats';
import { blobSource } from '@weightspec/io';
import type { BesideModel } from '@weightspec/models';
import { checkSmoothQuant, isSmoothQuant } from '@weightspec/smoothquant';
import { baseName, listingOf, type ChosenFile, type Item } from './items.js';

export interface Opened {
  readonly checkpoint?: Checkpoint;
  /** Configuration found in the folder. */
  readonly beside?: BesideModel;
  readonly diagnostics: readonly Diagnostic[];
  /** What the format was recognised by. */
  readonly evidence?: string;
  /** By name: every file whose bytes can be looked at. */
  readonly sources: ReadonlyMap<string, ByteSource>;
  report(options?: ReportOptions): Promise<Report>;
  close(): Promise<void>;
}

export type OpenUrl = (url: string) => Promise<ByteSource>;

/** Reads headers only. Bad bytes become diagnostics; I/O faults throw IoError. */
export async function openItem(item: Item, openUrl: OpenUrl): Promise<Opened> {
  if (item.kind === 'folder') return openFiles(item.name, item.files);
  return openSource(item.kind === 'url' ? await openUrl(item.url) : blobSource(item.file.blob, item.file.path));
}

async function openSource(source: ByteSource): Promise<Opened> {
  const opened = await open(source);
  return {
    ...opened,
    sources: new Map([[source.name, source]]),
    report: (options) => reportOn(source, opened, { ...options, further: smoothquant(source.name) }),
    close: async () => source.close?.(),
  };
}

async function openFiles(name: string, files: readonly ChosenFile[]): Promise<Opened> {
  const byName = new Map(files.map((file) => [baseName(file.path), file]));
  const listing = listingOf(files);
  // One source for each use: opening a folder closes what it has read to its end.
  const sourceOf = (file: string): ByteSource | undefined => {
    const found = byName.get(file);
    return found && blobSource(found.blob, found.path);
  };
  const folder = await openFolder(listing, async (file) => sourceOf(file), { name });
  const weightsFirst = [...new Set([...folder.files, ...byName.keys()])].flatMap((file) => sourceOf(file) ?? []);
  return {
    ...folder,
    sources: new Map(weightsFirst.map((source) => [source.name, source])),
    report: (options) => reportOnFolder(listing, folder, { ...options, name, further: smoothquant(name) }),
    close: () => folder.close(),
  };
}

/** What `weightspec validate` checks of LMDeploy's int8 exports beyond their containers. */
const smoothquant = (name: string) => async (checkpoint: Checkpoint, options: ValidateOptions): Promise<ValidateResult | undefined> =>
  isSmoothQuant(checkpoint) ? checkSmoothQuant(checkpoint, undefined, { ...options, partial: /-\d+-of-\d+\.(bin|safetensors)$/.test(name) }) : undefined;

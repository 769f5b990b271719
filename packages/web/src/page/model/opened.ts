/** Opens an item as the command opens a target: one file, a folder that is one model, or what an address means. */
import type { ByteSource, Checkpoint, Diagnostic, ValidateOptions, ValidateResult } from '@weightspec/core';
import { formats, open, openFolder, remoteModel, reportOn, reportOnFolder, type Asked, type FolderFile, type FolderResolver, type OpenAddress, type Report, type ReportOptions } from '@weightspec/formats';
import { blobSource } from '@weightspec/io';
import type { BesideModel } from '@weightspec/models';
import { shardedIndexFormat } from '@weightspec/sharded-index';
import { checkSmoothQuant, isSmoothQuant } from '@weightspec/smoothquant';
import { baseName, isIndex, listingOf, type ChosenFile, type Item } from './items.js';

export interface Opened {
  readonly checkpoint?: Checkpoint;
  /** Configuration found in the folder. */
  readonly beside?: BesideModel;
  readonly diagnostics: readonly Diagnostic[];
  /** What the format was recognised by. */
  readonly evidence?: string;
  /** By name: every file whose bytes can be looked at. */
  readonly sources: ReadonlyMap<string, ByteSource>;
  /** Opens a file in the same folder by its plain name; undefined where there is none. */
  readonly resolve: FolderResolver;
  /** Of an address: the files that were asked for. */
  asked(): readonly Asked[];
  report(options?: ReportOptions): Promise<Report>;
  close(): Promise<void>;
}

export interface OpenItemOptions {
  /** Hears the name of each file before it is asked for. */
  readonly onAsk?: (name: string) => void;
  /** Hears how many bytes each read of a file gave. */
  readonly onRead?: (byteCount: number) => void;
}

/** Reads headers only. Bad bytes become diagnostics; I/O faults throw IoError. */
export async function openItem(item: Item, openAddress: OpenAddress, { onAsk, onRead }: OpenItemOptions = {}): Promise<Opened> {
  if (item.kind === 'url') return openRemote(item.url, async (...address) => heard(await openAddress(...address), onRead), onAsk);
  const files = item.kind === 'file' ? [item.file, ...item.beside] : item.files;
  const resolve = resolverOf(files, onRead);
  if (item.kind === 'folder') return openListed(item.name, listingOf(files), resolve, files.map(({ path }) => baseName(path)));
  const source = heard(blobSource(item.file.blob, item.file.path), onRead);
  return isIndex(item.name) ? openIndex(source, resolve) : openSource(source, resolve);
}

/** `source`, whose reads are heard of. */
const heard = (source: ByteSource, onRead: OpenItemOptions['onRead']): ByteSource =>
  onRead === undefined ? source : {
    name: source.name,
    size: source.size,
    async read(offset, length) {
      const bytes = await source.read(offset, length);
      onRead(length);
      return bytes;
    },
    close: async () => source.close?.(),
  };

/** One source for each use: opening a folder closes what it has read to its end. */
function resolverOf(files: readonly ChosenFile[], onRead: OpenItemOptions['onRead']): FolderResolver {
  const byName = new Map(files.map((file) => [baseName(file.path), file]));
  return async (name) => {
    const found = byName.get(name);
    return found && heard(blobSource(found.blob, found.path), onRead);
  };
}

async function openSource(source: ByteSource, resolve: FolderResolver, list = formats): Promise<Opened> {
  const opened = await open(source, list);
  return {
    ...opened,
    resolve,
    sources: new Map([[source.name, source]]),
    asked: () => [],
    report: (options) => reportOn(source, opened, { ...options, further: smoothquant(source.name) }),
    close: async () => source.close?.(),
  };
}

/** An index whose folder has no other mark of a model: the shards that it names lie beside it. */
async function openIndex(source: ByteSource, resolve: FolderResolver): Promise<Opened> {
  const shards: ByteSource[] = [];
  const withShards = shardedIndexFormat(async (name) => {
    const shard = await resolve(name);
    if (shard) shards.push(shard);
    return shard;
  });
  const opened = await openSource(source, resolve, formats.map((format) => (format.id === withShards.id ? withShards : format)));
  const close = async (): Promise<void> => void (await Promise.all([opened.close(), ...shards.map(async (shard) => shard.close?.())]));
  return { ...opened, sources: new Map([source, ...shards].map((one) => [one.name, one])), close };
}

/** `folder`: what findings call it. `others`: files that can be looked at beside the weights. */
async function openListed(name: string, listing: readonly FolderFile[], resolve: FolderResolver, others: readonly string[], folder = name): Promise<Opened> {
  const opened = await openFolder(listing, resolve, { name: folder });
  const weightsFirst = [...new Set([...opened.files, ...others])];
  const sources = await Promise.all(weightsFirst.map(resolve));
  return {
    ...opened,
    resolve,
    sources: new Map(sources.flatMap((source) => (source ? [[source.name, source]] : []))),
    asked: () => [],
    report: (options) => reportOnFolder(listing, opened, { ...options, name, further: smoothquant(name) }),
    close: () => opened.close(),
  };
}

async function openRemote(url: string, openAddress: OpenAddress, onAsk: OpenItemOptions['onAsk']): Promise<Opened> {
  const { name, file, listing, folder } = await remoteModel(url, openAddress, onAsk);
  try {
    const opened = listing ? await openListed(name, listing, folder.resolve, listing.map((entry) => entry.name), folder.name) : await openSource(file!, folder.resolve);
    const others = await Promise.all(found(folder.asked()).map(folder.resolve));
    const sources = new Map([...opened.sources.values(), ...others].flatMap((source) => (source ? [[source.name, source]] : [])));
    const close = async (): Promise<void> => {
      await opened.close();
      await folder.close();
    };
    return { ...opened, sources, asked: () => folder.asked(), close };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

const found = (asked: readonly Asked[]): string[] => asked.filter(({ outcome }) => outcome === 'found').map(({ name }) => name);

/** What `weightspec validate` checks of LMDeploy's int8 exports beyond their containers. */
const smoothquant = (name: string) => async (checkpoint: Checkpoint, options: ValidateOptions): Promise<ValidateResult | undefined> =>
  isSmoothQuant(checkpoint) ? checkSmoothQuant(checkpoint, undefined, { ...options, partial: /-\d+-of-\d+\.(bin|safetensors)$/.test(name) }) : undefined;

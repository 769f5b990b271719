/**
 * Models behind http(s) addresses. A folder there cannot be listed, so what may lie in it is asked for by its usual name, and
 * nothing else is: the file that was named, the weights of a folder (those that transformers looks for, then Meta's and llama2.c's),
 * the shards that an index names, config.json or params.json, and vocabularies.
 * Caveats: companions are asked for without the query of the address, which belongs to the one file it was signed for; a browser does
 * not tell a file that is not there from one that it may not read (CORS).
 */
import type { ByteSource } from '@weightspec/core';
import { IoError } from '@weightspec/io';
import { describesItself } from '@weightspec/models';
import { chooseModel, usualWeights, type FolderFile } from './folder-model.js';
import type { FolderResolver } from './folder.js';
import { open } from './open.js';

/** Opens one address. `whole`: a small file, which may come whole from a server that sends no ranges. Throws IoError. */
export type OpenAddress = (url: string, options: { readonly whole: boolean }) => Promise<ByteSource>;

/** A file that was asked for, and what came of it. */
export interface Asked {
  readonly name: string;
  /** `refused`: anything but the file or "not found", such as a server that cannot be reached or does not allow a browser to read it. */
  readonly outcome: 'found' | 'absent' | 'refused';
  /** Why it was refused. */
  readonly reason?: string;
}

export interface RemoteFolder {
  /** The folder's address without a slash at its end. */
  readonly name: string;
  /** Name of the file that the address names; empty where it names the folder. */
  readonly fileName: string;
  /** The file that the address names. Throws IoError. */
  named(): Promise<ByteSource>;
  /** A file beside it by its plain name. Weights that are refused throw IoError; other files count as absent then. What it gives stays open until `close`. */
  readonly resolve: FolderResolver;
  /** Files that say which weights are the model. Throws IoError: IO_NOT_FOUND where there are none with a usual name, or why they are refused. */
  list(): Promise<FolderFile[]>;
  /** In the order in which they were asked for. */
  asked(): readonly Asked[];
  close(): Promise<void>;
}

/** A file by itself, or, with `listing`, what `openFolder` and `validateFolder` take. */
export interface RemoteModel {
  /** What to call the model: the address of its file or folder without query. */
  readonly name: string;
  /** Absent for a folder. */
  readonly file?: ByteSource;
  /** Absent for a file that is a model by itself, or has no configuration beside it. */
  readonly listing?: readonly FolderFile[];
  readonly folder: RemoteFolder;
}

const shard = /^(.+)-\d{1,6}-of-\d{1,6}(\.(?:safetensors|bin))$/;
const configurations = ['config.json', 'params.json'];
/** Some kB to some MB, unlike weights. */
const isSmall = (name: string): boolean => /\.(json|tiktoken|model)$|^tok(enizer|\d+)\.bin$/.test(name);

/** On Hugging Face people copy the address of a page; `resolve` is where its bytes are. Other addresses stay as they are. */
export function fileAddress(url: string): string {
  const [, site, repository, kind, revision = 'main', path = ''] = /^(https:\/\/(?:huggingface\.co|hf\.co))\/((?!datasets\/|spaces\/|api\/|docs\/)[^/?#]+\/[^/?#]+)(?:\/(tree|blob)\/([^/?#]+)(\/[^?#]*)?)?\/?(?:[?#].*)?$/.exec(url) ?? [];
  if (site === undefined) return url;
  return `${site}/${repository}/resolve/${revision}${kind === 'blob' ? path : `${path.replace(/\/$/, '')}/`}`;
}

/** Whether an address means a folder: it ends in a slash, or names a configuration or an index, which are nothing without the files beside them. */
export function namesFolder(url: string): boolean {
  const name = fileNameOf(fileAddress(url));
  return name === '' || configurations.includes(name) || name.endsWith('.index.json');
}

const fileNameOf = (url: string): string => (URL.canParse(url) ? decoded(new URL(url).pathname.split('/').at(-1)!) : url);

/** A `%` may also stand for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/** The folder that `url` names or that its file lies in. `onAsk` hears each file's name before it is asked for. */
export function remoteFolder(url: string, openAddress: OpenAddress, onAsk?: (name: string) => void): RemoteFolder {
  const address = fileAddress(url);
  const base = URL.canParse(address) ? new URL('.', address) : undefined;
  const name = base ? base.href.replace(/\/$/, '') : address;
  const fileName = fileNameOf(address);
  const requests = new Map<string, Promise<ByteSource>>();
  const outcomes = new Map<string, Asked>();

  const ask = (file: string, at: string): Promise<ByteSource> => {
    const known = requests.get(file);
    if (known) return known;
    onAsk?.(file);
    const request = openAddress(at, { whole: isSmall(file) });
    requests.set(file, request);
    request.then(
      () => outcomes.set(file, { name: file, outcome: 'found' }),
      (error: unknown) => outcomes.set(file, isAbsent(error) ? { name: file, outcome: 'absent' } : { name: file, outcome: 'refused', reason: error instanceof Error ? error.message : String(error) }),
    );
    return request;
  };
  /** Undefined for what is not there. Throws IoError. */
  const beside = async (file: string): Promise<ByteSource | undefined> => {
    if (file !== '' && file === fileName) return kept(await ask(file, address));
    // A name must not lead out of the folder.
    if (!base || /^\.{0,2}$|[/\\]/.test(file)) return undefined;
    try {
      return kept(await ask(file, new URL(encodeURIComponent(file), base).href));
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  };
  const resolve: FolderResolver = async (file) => {
    try {
      return await beside(file);
    } catch (error) {
      if (error instanceof IoError && isSmall(file) && file !== fileName) return undefined;
      throw error;
    }
  };

  return {
    name,
    fileName,
    named: async () => kept(await ask(fileName, address)),
    resolve,
    async list() {
      const listed = (source: ByteSource | undefined, file: string): FolderFile[] => (source ? [{ name: file, size: source.size }] : []);
      if (fileName.endsWith('.index.json')) return listed(await beside(fileName), fileName);
      // A configuration that was named must be there.
      if (fileName !== '') await beside(fileName);
      let refusal: unknown;
      for (const weights of usualWeights) {
        const source = await beside(weights).catch((error: unknown) => {
          refusal ??= error;
          return undefined;
        });
        if (source) return [...listed(source, weights), ...(await followingParts(weights, beside))];
      }
      if (refusal !== undefined) throw refusal;
      throw new IoError('IO_NOT_FOUND', `${name}: none of the usual names of a model is there: ${usualWeights.join(', ')}`, { hint: 'Name the weight file itself, or its .index.json.' });
    },
    asked: () => [...outcomes.values()],
    async close() {
      const opened = await Promise.allSettled(requests.values());
      await Promise.all(opened.map(async (result) => (result.status === 'fulfilled' ? result.value.close?.() : undefined)));
    },
  };
}

const isAbsent = (error: unknown): boolean => error instanceof IoError && error.code === 'IO_NOT_FOUND';

/** The same bytes; whoever uses them must not end them for others. */
const kept = (source: ByteSource): ByteSource => ({ name: source.name, size: source.size, read: (offset, length) => source.read(offset, length) });

/** Of Meta's parts, those after the first. */
async function followingParts(first: string, beside: FolderResolver): Promise<FolderFile[]> {
  const parts: FolderFile[] = [];
  if (!first.startsWith('consolidated.')) return parts;
  for (let number = 1; ; number++) {
    const name = `consolidated.${String(number).padStart(2, '0')}.pth`;
    const source = await beside(name);
    if (!source) return parts;
    parts.push({ name, size: source.size });
  }
}

/**
 * What a person who gives the address of a file or folder means by it: of a shard the whole model, of a file of tensors the model with the
 * configuration beside it. Throws IoError for what was named. The caller closes `folder`.
 */
export async function remoteModel(url: string, openAddress: OpenAddress, onAsk?: (name: string) => void): Promise<RemoteModel> {
  const folder = remoteFolder(url, openAddress, onAsk);
  try {
    if (namesFolder(url)) return { name: folder.name, listing: await folder.list(), folder };
    const file = await folder.named();
    const [, stem, ending] = shard.exec(folder.fileName) ?? [];
    if (stem !== undefined) {
      const name = `${stem}${ending}.index.json`;
      const index = await folder.resolve(name);
      return index ? { name: folder.name, listing: [{ name, size: index.size }], folder } : { name: file.name, file, folder };
    }
    const listing = [{ name: folder.fileName, size: file.size }];
    return { name: file.name, file, folder, ...((await hasConfiguration(file, listing, folder)) ? { listing } : {}) };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** Asks for one only where the file needs it. */
async function hasConfiguration(file: ByteSource, listing: readonly FolderFile[], { name, resolve }: RemoteFolder): Promise<boolean> {
  if (!chooseModel(listing, name).model) return false;
  const { checkpoint } = await open(file);
  if (!checkpoint || describesItself(checkpoint)) return false;
  for (const configuration of configurations) if (await resolve(configuration)) return true;
  return false;
}

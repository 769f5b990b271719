/** What the page and its workers say to each other. Everything here is plain data, and passes through structured clone. */
import type { ByteRange, CodeEntry, MetadataValue } from '@weightspec/core';
import type { Asked, Report } from '@weightspec/formats';
import type { Analysis } from '../model/analysis.js';
import type { Item } from '../model/items.js';

export interface TensorRow {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elementCount: number;
  readonly byteLength: number;
  readonly byteOffset: number;
  /** Name of the file that holds it. */
  readonly file: string;
  /** Whether its values can be shown: integers and 8-bit floats cannot. */
  readonly hasValues: boolean;
}

/** A file whose bytes can be looked at. */
export interface FileRow {
  readonly name: string;
  readonly size: number;
}

/** A report, and what its codes mean. */
export interface Checked {
  readonly report: Report;
  readonly codes: Readonly<Record<string, CodeEntry>>;
}

/** All that is shown of an opened item before anything is asked for. */
export interface View extends Checked {
  /** What the format was recognised by. */
  readonly evidence?: string;
  readonly metadata: { readonly [key: string]: MetadataValue };
  readonly tensors: readonly TensorRow[];
  readonly files: readonly FileRow[];
  /** Of an address: the files that were asked for. */
  readonly asked: readonly Asked[];
}

/** A run of bytes as its specification, or the file's directory, names it. */
export interface NamedBytes {
  readonly name: string;
  readonly record?: string;
  readonly byteRange: ByteRange;
}

export interface BytesWindow {
  readonly bytes: Uint8Array;
  readonly fields: readonly NamedBytes[];
}

export interface Inspector {
  connectNetwork(port: MessagePort): void;
  /** `onAsk` hears the name of each file before it is asked for at an address. */
  open(item: Item, onAsk: (name: string) => void): Promise<View>;
  /** Reads every tensor byte. */
  checkDeep(progress: (doneBytes: number, totalBytes: number) => void): Promise<Checked>;
  window(file: string, offset: number, length: number): Promise<BytesWindow>;
  analyse(tensor: string, progress: (done: number) => void): Promise<Analysis>;
  /** Ends it; it rejects. */
  cancel(task: 'checkDeep' | 'analyse'): void;
}

export type BackendId = 'webgpu' | 'wasm' | 'reference';

export interface Prepared {
  readonly architecture: string;
  readonly backend: BackendId;
  /** Backends that would have been better, and why they do not run here. */
  readonly refused: readonly { readonly id: BackendId; readonly reason: string }[];
  readonly contextLength: number;
  readonly vocabSize: number;
  /** The file that the vocabulary is in; absent where none fits, and then prompts are ids. */
  readonly tokenizer?: string;
  /** Why there is none. */
  readonly noTokenizer?: string;
  readonly chat: boolean;
  /** Of an address: the files that were asked for. */
  readonly asked: readonly Asked[];
}

export interface GenerateRequest {
  /** A text, or ids with commas where there is no tokenizer. */
  readonly prompt: string;
  readonly chat: boolean;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

export interface Generated {
  readonly reason: 'stop' | 'length' | 'context' | 'stopped';
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly firstTokenSeconds: number;
  /** After the first; absent for fewer than two. */
  readonly tokensPerSecond?: number;
}

export interface Runner {
  connectNetwork(port: MessagePort): void;
  /** Opens and loads the model. `vocabularies` are tried in their order. `onRead` hears which part of the weights, 0 … 1, has been read. */
  prepare(item: Item, vocabularies: readonly Blob[], backend: BackendId | 'auto', onRead: (done: number) => void): Promise<Prepared>;
  generate(request: GenerateRequest, onText: (text: string, tokens: number) => void): Promise<Generated>;
  stop(): void;
}

/** Reads addresses for the other workers, which may not. */
export interface Network {
  serve(port: MessagePort): void;
}

export interface RemoteFiles {
  /** `whole`: it may come whole from a server that sends no ranges. */
  open(url: string, whole: boolean): Promise<{ readonly id: number; readonly name: string; readonly size: number }>;
  read(id: number, offset: number, length: number): Promise<Uint8Array>;
  close(id: number): Promise<void>;
}

/** An error as it passes between threads: comlink keeps only name, message and stack of an Error. */
export interface Fault {
  readonly code?: string;
  readonly message: string;
  readonly hint?: string;
}

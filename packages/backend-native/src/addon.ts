/** The compiled addon (native/addon.cpp) and what it can do. */
import { createRequire } from 'node:module';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BackendError } from '@weightspec/kernels';

declare const kind: unique symbol;
/** Something that the addon holds. */
export interface Held<Kind extends string> {
  readonly [kind]: Kind;
}
export type Pool = Held<'pool'>;
export type Bytes = Held<'bytes'>;
export type Model = Held<'model'>;

/** A program as native/addon.cpp takes it. Fields of weights and ops: plan.ts. */
export interface ModelSpec {
  readonly bufferWidths: Int32Array;
  readonly sources: readonly Bytes[];
  readonly weights: Float64Array;
  readonly ops: Int32Array;
  readonly opNumbers: Float64Array;
  readonly vocabSize: number;
  readonly maxSeqLen: number;
  readonly layers: number;
  readonly kvWidth: number;
  readonly logits: number;
  /** Bytes that copies of weights may take; 0 for none. */
  readonly repackBudgetBytes: number;
}

/** Errors that it throws have the `code` of a BackendError. */
export interface Addon {
  /** Kernels for this processor, best first. */
  kernels(): string[];
  createPool(threads: number): Pool;
  mapFile(path: string, byteLength: number): Bytes;
  createMemory(byteLength: number): Bytes;
  writeMemory(memory: Bytes, byteOffset: number, bytes: Uint8Array): void;
  createModel(pool: Pool, kernels: string, spec: ModelSpec): Model;
  /** Runs on the calling thread. Returns microseconds, −1 when aborted, −2 when the pool is at work for another model. */
  runNow(model: Model, tokens: Int32Array, position: number, all: boolean, logits: Float32Array): number;
  /** Runs off the event loop. */
  runLater(model: Model, tokens: Int32Array, position: number, all: boolean, logits: Float32Array): Promise<number>;
  beginOps(model: Model, tokens: Int32Array, position: number, all: boolean, logits: Float32Array): void;
  runOp(model: Model, index: number, firstRow: number, rows: Float32Array): void;
  abort(model: Model): void;
  /** The lowest id of the largest logit; −1 where all are NaN or −∞. */
  likeliest(logits: Float32Array): number;
  /** Encodes whole blocks. False where the processor lacks `isa`; default: the best it has. Throws RangeError when lengths disagree. */
  quantize(dtype: string, src: Float32Array, dst: Uint8Array, isa?: string): boolean;
  release(held: Held<string>): void;
}

const FILE = 'weightspec.node';
/** Built beside the compiled sources; tests, which run the sources themselves, take it from there too. */
const folders = [new URL('./', import.meta.url), new URL('../dist/', import.meta.url)];

/** The addon's path: WEIGHTSPEC_NATIVE_ADDON (a build with sanitizers), or where the build puts it. */
function addonPath(): string | undefined {
  if (process.env.WEIGHTSPEC_NATIVE_ADDON) return process.env.WEIGHTSPEC_NATIVE_ADDON;
  const folder = folders.find((url) => existsSync(new URL(FILE, url)));
  return folder && fileURLToPath(new URL(FILE, folder));
}

/** Throws BackendError (BACKEND_UNAVAILABLE) that says what would bring the addon. */
export function loadAddon(): Addon {
  const path = addonPath();
  if (path === undefined) throw new BackendError('BACKEND_UNAVAILABLE', whyMissing());
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    throw new BackendError('BACKEND_UNAVAILABLE', `the native addon does not load: ${error instanceof Error ? error.message : String(error)}; build it again with npm run build`);
  }
}

function whyMissing(): string {
  const note = folders.map((url) => new URL('native-skipped.txt', url)).find((url) => existsSync(url));
  return note ? readFileSync(note, 'utf8').trim() : 'the native addon is not built; npm run build builds it where there is a C++ compiler';
}

/** Calls the addon; its coded errors become BackendErrors. */
export function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asBackendError(error);
  }
}

export function asBackendError(error: unknown): unknown {
  const code = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return error instanceof Error && isCode(code) ? new BackendError(code, error.message) : error;
}

const codes = ['PROGRAM_INVALID', 'WEIGHT_INVALID', 'STORAGE_UNSUPPORTED', 'BACKEND_FAILED'] as const;
const isCode = (code: unknown): code is (typeof codes)[number] => codes.some((known) => known === code);

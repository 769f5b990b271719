/** The WebAssembly backend: SIMD128 kernels on shared memory, on as many threads as there are cores. */
import type { Backend } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import { kernels } from '../generated/kernels.js';
import { browserThreads } from './browser.js';
import { compile, type Engine } from './compile.js';
import { activationBlock, formats } from './formats.js';
import { ThreadPool, type ThreadProvider } from './workers.js';

export { activationBlock };
export type { HelperThread, Task, ThreadProvider } from './workers.js';

export interface OpenOptions {
  /** Threads that compute. Default: the machine's cores; one where threads may not share memory, as on pages that are not cross-origin isolated. */
  readonly threads?: number;
  /** How threads are started. Default: worker threads in Node, web workers in browsers. */
  readonly threadProvider?: ThreadProvider;
}

const ops: ReadonlySet<string> = new Set(['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add']);

/**
 * Throws BackendError (BACKEND_UNAVAILABLE) where WebAssembly, its SIMD instructions or its shared memory are missing, and where
 * several threads are asked for but not allowed; RangeError for `threads` that is not a positive integer.
 */
export async function openBackend(options: OpenOptions = {}): Promise<Backend> {
  const { threads } = options;
  if (threads !== undefined && (!Number.isSafeInteger(threads) || threads < 1)) throw new RangeError(`${threads} threads`);
  const module = await compileKernels();
  const provider = threads === 1 ? undefined : (options.threadProvider ?? (await platformThreads()));
  if (!provider && threads !== undefined && threads > 1) {
    throw new BackendError('BACKEND_UNAVAILABLE', 'threads may not share memory here: serve the page with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or ask for one thread');
  }
  const engine: Engine = {
    module,
    provider,
    pool: provider && new ThreadPool(provider),
    threads: threads ?? provider?.cores ?? 1,
    threadsAsked: threads !== undefined,
  };
  return {
    id: 'wasm',
    supports: (op, storage) => ops.has(op) && (storage === undefined || formats.has(storage)),
    activationBlock,
    compile: (program, weights, compileOptions) => compile(engine, program, weights, compileOptions),
  };
}

/** (module (func (result v128) (i8x16.splat (i32.const 0)))) */
const SIMD_PROBE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11);

let compiled: Promise<WebAssembly.Module> | undefined;

async function compileKernels(): Promise<WebAssembly.Module> {
  if (typeof WebAssembly === 'undefined') throw new BackendError('BACKEND_UNAVAILABLE', 'there is no WebAssembly here');
  if (!WebAssembly.validate(SIMD_PROBE)) throw new BackendError('BACKEND_UNAVAILABLE', 'WebAssembly has no SIMD instructions here');
  const bytes = Uint8Array.from(atob(kernels), (char) => char.charCodeAt(0));
  if (!WebAssembly.validate(bytes)) throw new BackendError('BACKEND_UNAVAILABLE', 'WebAssembly has no shared memory here');
  return (compiled ??= WebAssembly.compile(bytes));
}

async function platformThreads(): Promise<ThreadProvider | undefined> {
  const { process } = globalThis as { readonly process?: { readonly versions?: { readonly node?: string } } };
  if (process?.versions?.node === undefined) return browserThreads();
  // By a name that bundlers do not follow: a page has no use for the module, nor for the node:worker_threads in it.
  const nodeModule = './node/index.js';
  return ((await import(/* @vite-ignore */ nodeModule)) as { readonly nodeThreads: ThreadProvider }).nodeThreads;
}

/** The WebAssembly backend: SIMD128 kernels on shared memory, on as many threads as there are cores. */
import type { Backend } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
// In Node src/node/index.ts, elsewhere src/browser.ts: package.json says so to whoever resolves it, bundlers too.
import { platformThreads } from '#threads';
import { compile, type Engine } from './compile.js';
import { activationBlock, formats } from './formats.js';
import { compileKernels, hasRelaxedSimd } from './module.js';
import { ThreadPool, type ThreadProvider } from './workers.js';

export { activationBlock };
export type { HelperThread, Task, ThreadProvider } from './workers.js';

export interface OpenOptions {
  /** Threads that compute. Default: the machine's cores; one where threads may not share memory, as on pages that are not cross-origin isolated. */
  readonly threads?: number;
  /** How threads are started. Default: worker threads in Node, web workers in browsers. */
  readonly threadProvider?: ThreadProvider;
  /**
   * Whether kernels use relaxed SIMD, which is faster. 'auto': where WebAssembly has it. Without it results are the same on every machine;
   * with it f32 may be rounded otherwise on another one. Default: what the environment variable WEIGHTSPEC_RELAXED_SIMD says (0: false, 1: true), or else 'auto'.
   */
  readonly relaxedSimd?: 'auto' | boolean;
}

interface NodeProcess {
  readonly versions?: { readonly node?: string };
  readonly env: Readonly<Record<string, string | undefined>>;
}

const { process } = globalThis as { readonly process?: NodeProcess };
/** Undefined in browsers. */
const node = process?.versions?.node === undefined ? undefined : process;

const ops: ReadonlySet<string> = new Set(['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add']);

/**
 * Throws BackendError (BACKEND_UNAVAILABLE) where WebAssembly, its SIMD instructions or its shared memory are missing, and where
 * several threads or relaxed SIMD are asked for but not there; RangeError for `threads` that is not a positive integer.
 */
export async function openBackend(options: OpenOptions = {}): Promise<Backend> {
  const { threads } = options;
  if (threads !== undefined && (!Number.isSafeInteger(threads) || threads < 1)) throw new RangeError(`${threads} threads`);
  const relaxedSimd = choosesRelaxedSimd(options.relaxedSimd);
  const module = await compileKernels(relaxedSimd);
  const provider = threads === 1 ? undefined : (options.threadProvider ?? platformThreads());
  if (!provider && threads !== undefined && threads > 1) {
    throw new BackendError('BACKEND_UNAVAILABLE', 'threads may not share memory here: serve the page with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or ask for one thread');
  }
  const engine: Engine = {
    module,
    relaxedSimd,
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

const fromEnvironment: Readonly<Record<string, boolean>> = { 0: false, 1: true };

function choosesRelaxedSimd(option: OpenOptions['relaxedSimd']): boolean {
  const asked = option ?? fromEnvironment[node?.env.WEIGHTSPEC_RELAXED_SIMD ?? ''] ?? 'auto';
  if (asked === true && !hasRelaxedSimd()) {
    throw new BackendError('BACKEND_UNAVAILABLE', 'WebAssembly has no relaxed SIMD here; Node 20 has it when started with --experimental-wasm-relaxed-simd');
  }
  return asked === 'auto' ? hasRelaxedSimd() : asked;
}

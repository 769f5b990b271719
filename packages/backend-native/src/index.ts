/**
 * The native backend: a whole Program in one call into C++, on threads of its own, over weights that stay in their files.
 * Needs the addon that `npm run build` compiles where it finds a C++ compiler.
 */
import { availableParallelism, totalmem } from 'node:os';
import type { Backend, WeightMap } from '@weightspec/core';
import { assertProgram, BackendError } from '@weightspec/kernels';
import { loadAddon, native, type Addon } from './addon.js';
import { NativeExecutable } from './executable.js';
import { planModel } from './plan.js';
import { ACTIVATION_BLOCK, isSupported, roundsActivations, type Activations } from './storages.js';

export { nativeQuantizers, withQuantizer, type QuantizedType, type Quantizer } from './quantizers.js';

export interface OpenOptions {
  /** Threads that compute. Default: as many as there are processors for this process. */
  readonly threads?: number;
  /** Instruction set of the kernels: scalar, avx2, avx512, amx, neon. Default: WEIGHTSPEC_ISA, or else the best that the processor has. */
  readonly isa?: string;
  /**
   * `int8` rounds activations to int8 in blocks of 32 for weights of Q types and llama2.c's groups, as ggml does; `f32` leaves them as they
   * are, which is exact to f32 rounding and slower. `auto` takes int8 for models with 8 MiB of such weights or more: smaller ones are
   * fixtures whose ids and logits are compared, and run in microseconds either way. Default: WEIGHTSPEC_ACTIVATIONS, or else auto.
   */
  readonly activations?: Activations | 'auto';
  /**
   * Bytes of copies that matrices may have in an order, or in memory, that is faster to read; matrices beyond it are used where they lie.
   * Default: 0 where WEIGHTSPEC_REPACK is 0, or else 1 GiB, or an eighth of the memory where that is less.
   */
  readonly repackBudgetBytes?: number;
}

/** Of weights that int8 activations are for, from which `auto` rounds. */
const ROUNDED_FROM_BYTES = 8 * 2 ** 20;
const MOST_REPACKED_BYTES = 2 ** 30;

/** The same for every process on a machine, since packed rows are added up in another order. */
function defaultRepackBudgetBytes(): number {
  if (process.env.WEIGHTSPEC_REPACK === '0') return 0;
  const memoryBytes = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return Math.min(MOST_REPACKED_BYTES, Math.floor(memoryBytes / 8));
}

export interface NativeBackend extends Backend {
  /** Instruction set of its kernels. */
  readonly isa: string;
  readonly threads: number;
  /** Elements of activations that share an int8 scale for weights of `storage`, where a model is large enough; undefined where they always stay f32. */
  activationBlock(storage: string): number | undefined;
}

/** AMX's tiles in plain C++, where the processor has AVX-512: slow, for trying what is built on them. Never chosen by itself. */
const EMULATED = 'amx-emulated';

/** Instruction sets of this processor that the addon has kernels for, best first. Throws BackendError (BACKEND_UNAVAILABLE). */
export const instructionSets = (): readonly string[] => loadAddon().kernels();

/** Throws BackendError (BACKEND_UNAVAILABLE) where there is no addon, or no such instruction set; BACKEND_FAILED when threads do not start. */
export async function openBackend(options: OpenOptions = {}): Promise<NativeBackend> {
  const addon = loadAddon();
  const isa = choose('instruction set', options.isa ?? process.env.WEIGHTSPEC_ISA, isasOf(addon));
  const activations = choose('kind of activations', options.activations ?? process.env.WEIGHTSPEC_ACTIVATIONS, ['auto', 'int8', 'f32'] as const);
  const { threads = availableParallelism(), repackBudgetBytes = defaultRepackBudgetBytes() } = options;
  if (!Number.isSafeInteger(threads) || threads < 1 || threads > 1024) throw new RangeError(`${threads} threads are not within 1 and 1024`);
  const pool = native(() => addon.createPool(threads));
  return {
    id: 'native',
    isa,
    threads,
    supports: (_, storage) => storage === undefined || isSupported(storage),
    activationBlock: (storage) => (roundsActivations(storage, activations === 'auto' ? 'int8' : activations) ? ACTIVATION_BLOCK : undefined),
    async compile(program, weights, { memoryBudgetBytes } = {}) {
      assertProgram(program);
      const spec = await planModel(addon, program, weights, { activations: activations === 'auto' ? activationsFor(weights) : activations, memoryBudgetBytes, repackBudgetBytes });
      return new NativeExecutable(addon, program, native(() => addon.createModel(pool, isa, spec)));
    },
  };
}

function activationsFor(weights: WeightMap): Activations {
  let roundedBytes = 0;
  for (const { storage, parts } of weights.values()) {
    if (roundsActivations(storage, 'int8')) for (const { location } of Object.values(parts)) roundedBytes += location.length;
  }
  return roundedBytes >= ROUNDED_FROM_BYTES ? 'int8' : 'f32';
}

function isasOf(addon: Addon): readonly string[] {
  const there = addon.kernels();
  return there.includes('avx512') ? [...there, EMULATED] : there;
}

/** The choice asked for, the first where none or `auto` was. */
function choose<T extends string>(what: string, asked: string | undefined, there: readonly T[]): T {
  if (asked === undefined || asked === '' || asked === 'auto') return there[0]!;
  const found = there.find((name) => name === asked);
  if (found === undefined) throw new BackendError('BACKEND_UNAVAILABLE', `there is no ${what} ${asked} here; there are ${there.join(', ')}`);
  return found;
}

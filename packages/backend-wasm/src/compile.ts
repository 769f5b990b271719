import type { CompileOptions, Executable, Program, WeightMap } from '@weightspec/core';
import { assertProgram, BackendError } from '@weightspec/kernels';
import { areaBytes } from './area.js';
import { BATCH_ROWS, WasmExecutable, type Kernels } from './executable.js';
import { Heap, LARGEST_HEAP_BYTES } from './heap.js';
import * as layout from './layout.js';
import { lower } from './lowering.js';
import { checkWeights, matricesOf, placeWeights, residentMatrices } from './weights.js';
import type { HelperThread, ThreadPool, ThreadProvider } from './workers.js';

/** What an open backend has. */
export interface Engine {
  readonly module: WebAssembly.Module;
  /** Whether `module` uses it. */
  readonly relaxedSimd: boolean;
  readonly provider?: ThreadProvider;
  readonly pool?: ThreadPool;
  /** How many threads there are to be, and whether somebody asked for just that. */
  readonly threads: number;
  readonly threadsAsked: boolean;
}

/** Room beside weights for caches, growing buffers and what alignment takes. */
const SPARE_BYTES = 2 ** 26;
const MOST_RESERVED_KV_BYTES = 2 ** 30;

/**
 * A thread that waits for another looks this often before it sleeps: about 0.5 ms, which outlasts the sampling between two tokens.
 * One sleep costs as much as many operations (some 16 µs), and brings on the next one: with 30,000, small models ran 20 times slower.
 * Where threads outnumber cores, looking keeps the others from working.
 */
const SPINS = 1_000_000;
const SPINS_CROWDED = 100;

export async function compile(engine: Engine, program: Program, weights: WeightMap, options: CompileOptions = {}): Promise<Executable> {
  assertProgram(program);
  const store = await checkWeights(program, weights);
  const heap = new Heap(layout.CONTROL_END);
  const matrices = matricesOf(program, weights);
  const budgetBytes = Math.min(options.memoryBudgetBytes ?? Infinity, weightRoom(program));
  const placed = await placeWeights(program, store, matrices, residentMatrices(matrices, budgetBytes), heap);
  engine.pool?.join();
  try {
    const helpers = await startHelpers(engine, heap);
    setThreads(heap, helpers.length + 1, engine.provider);
    const { exports } = await WebAssembly.instantiate(engine.module, { env: { memory: heap.memory } });
    return new WasmExecutable({ program, plan: lower(program, placed.matrices), weights: placed, heap, relaxedSimd: engine.relaxedSimd, kernels: exports as unknown as Kernels, pool: engine.pool, helpers });
  } catch (error) {
    engine.pool?.leave();
    throw error;
  }
}

/** Bytes of 4 GiB that weights may have, so that the buffers and a KV cache of a usual length fit beside them. */
function weightRoom(program: Program): number {
  const kvBytes = Math.min(MOST_RESERVED_KV_BYTES, 8 * program.layers * program.kvWidth * program.maxSeqLen);
  return LARGEST_HEAP_BYTES - areaBytes(program, BATCH_ROWS) - kvBytes - SPARE_BYTES;
}

/** Threads that wait for jobs in `heap`. None where they cannot start, unless their number was asked for: then BackendError (BACKEND_FAILED). */
async function startHelpers({ module, pool, threads, threadsAsked }: Engine, heap: Heap): Promise<readonly HelperThread[]> {
  if (!pool || threads === 1) return [];
  const helpers = pool.take(threads - 1);
  const starts = await Promise.allSettled(helpers.map((helper, i) => helper.start({ module, memory: heap.memory, thread: i + 1, job: 0 })));
  const failed = starts.find((start) => start.status === 'rejected');
  if (!failed) return helpers;
  for (const helper of helpers) helper.end();
  if (threadsAsked) throw new BackendError('BACKEND_FAILED', `${threads} threads were asked for, but one could not start: ${String(failed.reason)}`);
  heap.set(layout.FAILED, 0);
  return [];
}

function setThreads(heap: Heap, threads: number, provider: ThreadProvider | undefined): void {
  heap.set(layout.THREADS, threads);
  heap.set(layout.SPINS, threads <= (provider?.cores ?? 1) ? SPINS : SPINS_CROWDED);
  heap.set(layout.MAIN_MAY_SLEEP, provider?.hostMaySleep ? 1 : 0);
}

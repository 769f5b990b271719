/**
 * A thread beside the session that looks at its progress and at the memory of the process. It holds what the session works on
 * (shared memory), so that an input that never ends, or takes too much memory, is written down before the process is ended.
 */
import { Worker } from 'node:worker_threads';
import { MOST_BYTES } from './mutate.js';
import type { Heartbeat } from './session.js';

/** Processor time that one input may take. Not time on the wall: a busy machine is no hang. */
export const HANG_SECONDS = 2;
/** By how much the process may grow above what it had after the first inputs. */
export const MOST_GROWTH_BYTES = 256 * 2 ** 20;

/** What the thread and the session share. */
export interface Shared {
  readonly target: string;
  readonly findingsFolder: string;
  /** [inputs begun, byte length of the input, most growth in KiB, most resident KiB] */
  readonly counters: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
}

export interface Watchdog extends Heartbeat {
  /** So far. */
  readonly mostGrowthBytes: number;
  readonly mostResidentBytes: number;
  stop(): Promise<void>;
}

/** Starts the thread. It ends the process at the first input that hangs or takes too much memory. */
export function startWatchdog(target: string, findingsFolder: string): Watchdog {
  const shared: Shared = { target, findingsFolder, counters: new SharedArrayBuffer(16), input: new SharedArrayBuffer(MOST_BYTES) };
  const worker = new Worker(new URL('watchdog-thread.js', import.meta.url), { workerData: shared });
  const counters = new Int32Array(shared.counters);
  const copy = new Uint8Array(shared.input);
  return {
    begin(input) {
      copy.set(input);
      Atomics.store(counters, 1, input.length);
      Atomics.add(counters, 0, 1);
    },
    get mostGrowthBytes() {
      return Atomics.load(counters, 2) * 1024;
    },
    get mostResidentBytes() {
      return Atomics.load(counters, 3) * 1024;
    },
    async stop() {
      await worker.terminate();
    },
  };
}

/** Threads that help the host's own: started by the platform's way, kept while any executable of the backend lives. */
import { FAILED } from './layout.js';

/** What a worker is to help with; see `work` of the kernels. */
export interface Task {
  /** A WebAssembly.Module and its shared WebAssembly.Memory: types of the DOM's library, which a user of these types may not have. */
  readonly module: object;
  readonly memory: object;
  /** From 1: thread 0 is the host's. */
  readonly thread: number;
  /** Jobs that were announced before. */
  readonly job: number;
}

/** One thread. Tasks are done one after the other. */
export interface HelperThread {
  /** Resolves when the thread is about to wait for jobs; rejects when it could not get there. */
  start(task: Task): Promise<void>;
  end(): void;
}

/** How a platform starts threads. */
export interface ThreadProvider {
  /** What `threads` is unless said otherwise. */
  readonly cores: number;
  /** Whether the host's thread may sleep; a browser's main thread may not. */
  readonly hostMaySleep: boolean;
  spawn(): HelperThread;
}

/**
 * What a worker runs, as source text of a function (message, reply): scripts of their own would have to be found by every bundler.
 * `work` returns only when the executable is disposed of.
 */
export const SERVE_SOURCE = `({ module, memory, thread, job }, reply) => {
  try {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    reply({ ready: true });
    exports.work(thread, job);
  } catch (error) {
    Atomics.store(new Int32Array(memory.buffer), ${FAILED / 4}, 1);
    reply({ ready: false, message: String(error) });
  }
}`;

export interface Reply {
  readonly ready: boolean;
  readonly message?: string;
}

/** Gives out threads, and takes them back for the next executable. They end when nobody is left who might want them. */
export class ThreadPool {
  readonly #idle: HelperThread[] = [];
  #users = 0;

  constructor(private readonly provider: ThreadProvider) {}

  /** To be called once by each executable, and `leave` when it is disposed of. */
  join(): void {
    this.#users += 1;
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users === 0) for (const thread of this.#idle.splice(0)) thread.end();
  }

  take(count: number): HelperThread[] {
    return Array.from({ length: count }, () => this.#idle.pop() ?? this.provider.spawn());
  }

  /** Threads whose task was told to stop. */
  giveBack(threads: readonly HelperThread[]): void {
    this.#idle.push(...threads);
  }
}

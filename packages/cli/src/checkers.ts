/** Checks of several inputs at once, in worker threads where they are built. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { checkInput, type CheckOutcome, type CheckRequest } from './checking.js';
import { isStdin } from './inputs.js';
import { smoothQuantCheck } from './smoothquant-check.js';
import type { Terminal } from './terminal.js';

export interface Checkers {
  check(request: CheckRequest): Promise<CheckOutcome>;
  close(): Promise<void>;
}

export interface CheckersOptions {
  /** How many inputs at once. */
  readonly jobs: number;
  /** What a quantized model was made of. */
  readonly original?: string;
}

/**
 * One job is done in this thread, and so is standard input, which only this thread has. Throws as smoothQuantCheck does for an original
 * that cannot be read.
 */
export async function openCheckers({ jobs, original }: CheckersOptions, terminal: Terminal, workerUrl: URL = new URL('./check-worker.js', import.meta.url)): Promise<Checkers> {
  const exports = await smoothQuantCheck(original);
  // Bars of several files would overwrite one another.
  const place: Terminal = jobs > 1 ? { ...terminal, stderr: { write: (text) => terminal.stderr.write(text) } } : terminal;
  // Tests of the sources have no worker; their jobs take turns in this thread.
  const workers = jobs > 1 && existsSync(fileURLToPath(workerUrl)) ? Array.from({ length: jobs }, () => member(workerUrl, original)) : [];
  return {
    check(request) {
      const [idlest] = workers.toSorted((a, b) => a.load() - b.load());
      return idlest && !isStdin(request.path) ? idlest.check(request) : checkInput(request, exports, place);
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await exports.close();
    },
  };
}

interface Waiting {
  readonly path: string;
  readonly resolve: (outcome: CheckOutcome) => void;
}

/** A worker, started with its first request. One that dies fails what it was asked, as a file that could not be read. */
function member(workerUrl: URL, original: string | undefined) {
  const waiting: Waiting[] = [];
  let worker: Worker | undefined;
  const fail = (reason: string): void => {
    worker = undefined;
    for (const { path, resolve } of waiting.splice(0)) resolve({ failed: { path, message: reason }, told: `error: ${path}: ${reason}\n` });
  };
  const start = (): Worker => {
    // Without this process's own flags, some of which (--eval's --input-type) no file can have.
    const started = new Worker(workerUrl, { execArgv: [], workerData: { original } });
    started.on('message', (outcome: CheckOutcome) => waiting.shift()?.resolve(outcome));
    started.on('error', (error) => fail(`the checking thread has failed: ${error instanceof Error ? error.message : String(error)}`));
    started.on('exit', () => fail('the checking thread has ended'));
    return started;
  };
  return {
    load: () => waiting.length,
    check: (request: CheckRequest): Promise<CheckOutcome> => new Promise((resolve) => {
      worker ??= start();
      waiting.push({ path: request.path, resolve });
      worker.postMessage(request, []);
    }),
    close: async () => void (await worker?.terminate()),
  };
}

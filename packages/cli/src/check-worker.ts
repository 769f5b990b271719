/** A worker thread that checks the inputs that it is sent, one after the other. Replies come in the order of the requests. */
import { parentPort, workerData } from 'node:worker_threads';
import { checkInput, type CheckRequest } from './checking.js';
import { smoothQuantCheck } from './smoothquant-check.js';
import type { Terminal } from './terminal.js';

/** Nothing is printed here: what there is to say goes back with the outcome. */
const silent: Terminal = { stdout: { write: () => true }, stderr: { write: () => true }, env: {} };

const { original } = workerData as { readonly original?: string };
const exports = smoothQuantCheck(original);
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (request: CheckRequest) => {
  last = last.then(async () => parentPort?.postMessage(await checkInput(request, await exports, silent), []));
});

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { SERVE_SOURCE, type HelperThread, type Reply, type Task, type ThreadProvider } from '../workers.js';

const SCRIPT = `const { parentPort } = require('node:worker_threads');
const serve = ${SERVE_SOURCE};
parentPort.on('message', (task) => serve(task, (reply) => parentPort.postMessage(reply)));`;

/** Worker threads. They never keep the process alive but while they start. */
export const nodeThreads: ThreadProvider = {
  cores: availableParallelism(),
  hostMaySleep: true,
  spawn(): HelperThread {
    // Without this process's own flags, some of which (--eval's --input-type) no script can have.
    const worker = new Worker(SCRIPT, { eval: true, execArgv: [] });
    worker.on('error', () => {});
    worker.unref();
    return {
      start: (task: Task) =>
        new Promise((resolve, reject) => {
          worker.ref();
          const done = (settle: () => void): void => {
            worker.off('message', onReply);
            worker.off('error', onError);
            worker.unref();
            settle();
          };
          const onReply = ({ ready, message }: Reply): void => done(() => (ready ? resolve() : reject(new Error(message))));
          const onError = (error: Error): void => done(() => reject(error));
          worker.on('message', onReply);
          worker.on('error', onError);
          worker.postMessage(task, []);
        }),
      end: () => void worker.terminate(),
    };
  },
};

export const platformThreads = (): ThreadProvider | undefined => nodeThreads;

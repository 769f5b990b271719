import { SERVE_SOURCE, type HelperThread, type Reply, type Task, type ThreadProvider } from './workers.js';

const SCRIPT = `const serve = ${SERVE_SOURCE};
onmessage = ({ data }) => serve(data, (reply) => postMessage(reply));`;

/** Web workers, where the page may share memory with them (`crossOriginIsolated`); undefined where it may not. */
export function platformThreads(): ThreadProvider | undefined {
  if (typeof Worker === 'undefined' || !globalThis.crossOriginIsolated) return undefined;
  return {
    cores: navigator.hardwareConcurrency,
    // Only workers may sleep; a page has a document.
    hostMaySleep: typeof document === 'undefined',
    spawn,
  };
}

function spawn(): HelperThread {
  const url = URL.createObjectURL(new Blob([SCRIPT], { type: 'text/javascript' }));
  const worker = new Worker(url);
  return {
    start: (task: Task) =>
      new Promise((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Reply>) => (data.ready ? resolve() : reject(new Error(data.message)));
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(task, []);
      }),
    end() {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}

import type { SingleBar } from 'cli-progress';
import type { Progress } from '@weightspec/core';
import { visible } from './report/escape.js';
import type { Terminal } from './terminal.js';

/** Anything shorter needs no bar. */
const patienceMs = 1000;

export interface ProgressBar {
  readonly progress: Progress;
  stop(): void;
}

/** A bar on stderr that appears after a second, and only on a terminal. */
export function progressBar(label: string, { stderr }: Terminal, now: () => number = Date.now): ProgressBar {
  const started = now();
  let bar: SingleBar | undefined;
  let wanted = stderr.isTTY === true;
  let latest: readonly [done: number, total: number] = [0, 0];

  async function show(): Promise<void> {
    const { SingleBar, Presets } = await import('cli-progress');
    if (!wanted) return;
    // Braces would be placeholders of the library.
    const format = `${visible(label).replace(/[{}]/g, '')} {bar} {percentage}%`;
    const created = new SingleBar({ format, stream: stderr as NodeJS.WritableStream, clearOnComplete: true, hideCursor: true }, Presets.shades_classic);
    created.start(latest[1], latest[0]);
    bar = created;
  }

  let asked = false;
  return {
    progress(done, total) {
      latest = [done, total];
      bar?.update(done);
      if (!wanted || asked || now() - started < patienceMs) return;
      asked = true;
      void show();
    },
    stop() {
      wanted = false;
      bar?.stop();
    },
  };
}

import type { SingleBar } from 'cli-progress';
import type { Progress } from '@weightspec/core';
import { visible } from './report/escape.js';
import { humanBytes } from './report/numbers.js';
import type { Terminal } from './terminal.js';

/** Anything shorter needs no bar. */
const patienceMs = 1000;

export interface ProgressBar {
  readonly progress: Progress;
  stop(): void;
}

/** A bar on stderr with bytes a second and the time left, which appears after a second, and only on a terminal. */
export function progressBar(label: string, { stderr }: Terminal, now: () => number = Date.now): ProgressBar {
  const started = now();
  let bar: SingleBar | undefined;
  let wanted = stderr.isTTY === true;
  let latest: readonly [done: number, total: number] = [0, 0];

  /** From all of the time so far: disks and networks are too uneven for less. */
  function pace(): { readonly speed: string; readonly left: string } {
    const [done, total] = latest;
    const rate = done / Math.max(1e-3, (now() - started) / 1000);
    return { speed: `${humanBytes(Math.round(rate))}/s`, left: rate > 0 ? `${clock((total - done) / rate)} left` : '' };
  }

  async function show(): Promise<void> {
    const { SingleBar, Presets } = await import('cli-progress');
    if (!wanted) return;
    // Braces would be placeholders of the library.
    const format = `${visible(label).replace(/[{}]/g, '')} {bar} {percentage}%  {speed}  {left}`;
    const created = new SingleBar({ format, stream: stderr as NodeJS.WritableStream, clearOnComplete: true, hideCursor: true }, Presets.shades_classic);
    created.start(latest[1], latest[0], pace());
    bar = created;
  }

  let asked = false;
  return {
    progress(done, total) {
      latest = [done, total];
      bar?.update(done, pace());
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

/** 75 → 1:15, 3675 → 1:01:15. */
function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

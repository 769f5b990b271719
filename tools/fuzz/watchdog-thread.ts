/** The thread of watchdog.ts: a file of its own, because a thread starts with a file. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { writeFinding } from './session.js';
import { HANG_SECONDS, MOST_GROWTH_BYTES, type Shared } from './watchdog.js';

const LOOK_EVERY_MS = 20;
/** Inputs until compiled code and caches are there. */
const WARM_UP_INPUTS = 300;

function watch({ target, findingsFolder, counters: buffer, input }: Shared): void {
  const counters = new Int32Array(buffer);
  let begun = -1;
  let since = process.cpuUsage();
  let baseline: number | undefined;

  const end = (kind: 'hang' | 'memory', detail: string): void => {
    const bytes = Uint8Array.from(new Uint8Array(input, 0, Atomics.load(counters, 1)));
    // The main thread, which owns the channel to the parent, may be the one that hangs: the parent reads this line instead.
    writeSync(1, `finding ${writeFinding(findingsFolder, target, kind, bytes, detail)}\n`);
    process.kill(process.pid, 'SIGKILL');
  };

  setInterval(() => {
    const now = Atomics.load(counters, 0);
    const resident = process.memoryUsage.rss();
    Atomics.store(counters, 3, Math.max(Atomics.load(counters, 3), resident >> 10));
    if (now >= WARM_UP_INPUTS) baseline ??= resident;
    if (baseline !== undefined) {
      const growth = resident - baseline;
      Atomics.store(counters, 2, Math.max(Atomics.load(counters, 2), growth >> 10));
      if (growth > MOST_GROWTH_BYTES) end('memory', `the process grew by ${growth} bytes; the limit is ${MOST_GROWTH_BYTES}`);
    }
    if (now !== begun) {
      begun = now;
      since = process.cpuUsage();
      return;
    }
    const { user, system } = process.cpuUsage(since);
    if (now > 0 && (user + system) / 1e6 > HANG_SECONDS) end('hang', `more than ${HANG_SECONDS} s of processor time`);
  }, LOOK_EVERY_MS);
}

watch(workerData as Shared);

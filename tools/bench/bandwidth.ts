/** The machine's read bandwidth, by a small C program: what a decode that does nothing but read its weights could reach. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The source lies beside the TypeScript, not beside what is compiled from it. */
const source = fileURLToPath(new URL('../../bench/bandwidth.c', import.meta.url));
const SECONDS = 0.3;
/** A busy moment makes a single measurement too low. */
const MEASUREMENTS = 3;
/** Beyond every cache, and enough: larger ones read no slower. */
const MOST_BYTES = 5e8;

export interface BandwidthProbe {
  /** 10⁹ bytes a second that all threads read together from a working set of so many bytes. */
  measure(bytes: number, threads: number): number;
  close(): void;
}

/** Undefined, and why, where there is no C compiler. */
export function bandwidthProbe(): BandwidthProbe | { readonly missing: string } {
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-bandwidth-'));
  const program = join(folder, 'bandwidth');
  const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['-O3', '-march=native', '-pthread', '-o', program, source]).status === 0);
  if (!compiler) {
    rmSync(folder, { recursive: true, force: true });
    return { missing: 'bandwidth is not measured: no C compiler (apt-get install gcc)' };
  }
  const known = new Map<string, number>();
  return {
    measure(bytes, threads) {
      const size = Math.min(bytes, MOST_BYTES);
      const key = `${size} ${threads}`;
      const before = known.get(key);
      if (before !== undefined) return before;
      let best = 0;
      for (let i = 0; i < MEASUREMENTS; i++) {
        const { status, stdout } = spawnSync(program, [String(threads), String(size), String(SECONDS)], { encoding: 'utf8' });
        const measured = Number.parseFloat(stdout);
        if (status !== 0 || !(measured > 0)) throw new Error(`the bandwidth probe ended with ${status}`);
        best = Math.max(best, measured);
      }
      known.set(key, best);
      return best;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

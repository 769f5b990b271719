/** What a bench module in this folder exports, and how it measures. */
export interface BenchResult {
  /** What was run, e.g. `q4_0 quantize`. */
  readonly name: string;
  /** Useful bytes a second, in 10⁹; which bytes, says the module's heading. */
  readonly gigabytesPerSecond: number;
  /** What it is compared with, from the same run. */
  readonly baseline?: { readonly name: string; readonly gigabytesPerSecond: number };
  /** Least ratio to the baseline that is asked for. */
  readonly requiredRatio?: number;
}

export interface BenchModule {
  readonly heading: string;
  bench(): Promise<BenchResult[]>;
}

/**
 * Best rate of several runs, in 10⁹ bytes a second. The best, because other processes can only slow a run down.
 * The first runs are dropped: the compiler is still at work.
 */
export function measure(byteCount: number, run: () => void, { warmups = 3, runs = 9 } = {}): number {
  let best = 0;
  for (let i = 0; i < warmups + runs; i++) {
    const start = process.hrtime.bigint();
    run();
    const nanoseconds = Number(process.hrtime.bigint() - start);
    if (i >= warmups) best = Math.max(best, byteCount / nanoseconds);
  }
  return best;
}

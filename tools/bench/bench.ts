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

/** How long a whole process takes. */
export interface StartResult {
  readonly name: string;
  readonly milliseconds: number;
  /** What it is compared with, from the same run. */
  readonly baseline: { readonly name: string; readonly milliseconds: number };
  /** Greatest ratio to the baseline that is allowed. */
  readonly allowedRatio: number;
}

export interface BenchModule {
  readonly heading: string;
  bench(): Promise<BenchResult[] | StartResult[]>;
}

/**
 * Rate of running all of `slices`, in 10⁹ bytes a second: for each slice the best time of several passes, added up. The best,
 * because other processes can only slow a run down; in slices, because they seldom leave a long run alone.
 * The first passes are dropped: the compiler is still at work.
 */
export function measure(byteCount: number, slices: readonly (() => void)[], { warmups = 2, passes = 10 } = {}): number {
  const best = slices.map(() => Infinity);
  for (let pass = 0; pass < warmups + passes; pass++) {
    for (const [i, run] of slices.entries()) {
      const start = process.hrtime.bigint();
      run();
      const nanoseconds = Number(process.hrtime.bigint() - start);
      if (pass >= warmups) best[i] = Math.min(best[i]!, nanoseconds);
    }
  }
  return byteCount / best.reduce((sum, nanoseconds) => sum + nanoseconds, 0);
}

/** What a bench module in this folder exports, and how it measures. */
import type { ModelId, WeightType } from './models.js';
import type { SpeedReport, SpeedRow } from './speed.js';

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

/** What the command line says. Modules look at what concerns them. */
export interface BenchOptions {
  readonly models?: readonly ModelId[];
  readonly types?: readonly WeightType[];
  /** Default: as many as there are cores. */
  readonly threads?: number;
  /** Samples of each engine. */
  readonly rounds?: number;
  readonly backend?: string;
  /** Called with every row as soon as it is measured. */
  readonly onRow?: (row: SpeedRow) => void;
}

export interface BenchModule {
  readonly heading: string;
  bench(options: BenchOptions): Promise<BenchResult[] | StartResult[] | SpeedReport>;
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

/** Migration scales: LMDeploy's, bit for bit as torch computes it in f32, and the paper's (specs/smoothquant#S-3). */

const LEVELS = 4;
const ROWS_PER_FOLD = 16;

/**
 * Mean over rows of |W_rj| / max_j |W_r·|, as torch's `mean(0)` of f32 sums it (aten/src/ATen/native/cpu/SumKernel.cpp, multi_row_sum): a cascade of
 * four accumulators, of which each takes over the one before it after 16 additions. (From 2¹⁹ rows on torch folds less often.)
 * Memory: four rows.
 */
export class MeanOfRelativeRows {
  readonly #levels: readonly Float32Array[];
  #rows = 0;

  constructor(private readonly width: number) {
    this.#levels = Array.from({ length: LEVELS }, () => new Float32Array(width));
  }

  /** The row values[at, at + width). A row of zeros adds zeros; upstream divides them by 0. */
  add(values: Float32Array, at: number): void {
    const { width } = this;
    const first = this.#levels[0]!;
    let absmax = 0;
    for (let j = 0; j < width; j++) {
      const magnitude = Math.abs(values[at + j]!);
      if (magnitude > absmax) absmax = magnitude;
    }
    if (absmax > 0) for (let j = 0; j < width; j++) first[j]! += Math.fround(Math.abs(values[at + j]!) / absmax);
    this.#rows += 1;
    let whole = this.#rows;
    for (let level = 1; level < LEVELS && whole % ROWS_PER_FOLD === 0; level++) {
      const [from, to] = [this.#levels[level - 1]!, this.#levels[level]!];
      for (let j = 0; j < width; j++) to[j]! += from[j]!;
      from.fill(0);
      whole /= ROWS_PER_FOLD;
    }
  }

  /** [width] f32. */
  mean(): Float32Array {
    const sum = this.#levels[0]!.slice();
    for (const level of this.#levels.slice(1)) for (let j = 0; j < sum.length; j++) sum[j]! += level[j]!;
    return sum.map((value) => value / this.#rows);
  }
}

/** torch's pow has a square root for 0.5, which is exact; other powers may differ from torch's in the last bit. */
const power = (base: number, exponent: number): number => Math.fround(exponent === 0.5 ? Math.sqrt(base) : base ** exponent);

const LEAST_SCALE = Math.fround(1e-4);

export interface MigrationScaleOptions {
  /** Default 0.5. */
  readonly alpha?: number;
  /** Weight of the norm before, [in]: where it is 0, the scale is 1. */
  readonly norm?: Float32Array;
}

/**
 * LMDeploy's migration scale of a group, [in] f32. absmax: activation statistics a [in]; relativeWeights: w [in]. Throws RangeError when lengths
 * differ or α is not within 0 and 1.
 */
export function migrationScale(absmax: Float32Array, relativeWeights: Float32Array, { alpha = 0.5, norm }: MigrationScaleOptions = {}): Float32Array {
  assertAlpha(alpha);
  if (absmax.length !== relativeWeights.length || (norm && norm.length !== absmax.length)) throw new RangeError(`${absmax.length} statistics, ${relativeWeights.length} columns${norm ? ` and ${norm.length} elements of a norm` : ''} do not fit together`);
  const ratios = absmax.map((a, j) => power(a, alpha) / power(relativeWeights[j]!, 1 - alpha));
  const free = ratios.map((ratio, j) => Number(norm?.[j] === 0 || !Number.isFinite(ratio)));
  const scales = ratios.map((ratio) => Math.max(ratio, LEAST_SCALE));
  let least = Infinity;
  let greatest = 0;
  for (let j = 0; j < scales.length; j++) {
    if (free[j]) continue;
    least = Math.min(least, scales[j]!);
    greatest = Math.max(greatest, scales[j]!);
  }
  const center = Math.fround(Math.sqrt(Math.fround(greatest * least)));
  return scales.map((scale, j) => (free[j] ? 1 : scale / center));
}

/** The paper's s_j = max|X_j|^α / max|W_j|^(1−α), in f64 and not normalized. arXiv:2211.10438, equation 4. */
export function paperScale(activationMax: readonly number[], weightMax: readonly number[], alpha = 0.5): number[] {
  assertAlpha(alpha);
  if (activationMax.length !== weightMax.length) throw new RangeError(`${activationMax.length} activations and ${weightMax.length} columns do not fit together`);
  return activationMax.map((max, j) => max ** alpha / weightMax[j]! ** (1 - alpha));
}

function assertAlpha(alpha: number): void {
  if (!(alpha >= 0 && alpha <= 1)) throw new RangeError(`α is ${alpha}, not a number from 0 to 1`);
}

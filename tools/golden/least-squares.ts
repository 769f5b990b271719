/**
 * Ridge least squares for few samples of many features: W = Yᵀ (X Xᵀ + λ I)⁻¹ X, by Cholesky factorisation.
 * With fewer samples than features and λ → 0 this is the smallest W with W x_t = y_t for every sample t.
 */

/** Lower factor L of a symmetric positive definite matrix A = L Lᵀ (rows). */
function cholesky(a: readonly Float64Array[]): Float64Array[] {
  const lower = a.map((row) => new Float64Array(row.length));
  const at = (row: number, column: number) => lower[row]![column]!;
  for (const [i, row] of a.entries()) {
    for (let j = 0; j <= i; j++) {
      let sum = row[j]!;
      for (let k = 0; k < j; k++) sum -= at(i, k) * at(j, k);
      if (i === j && sum <= 0) throw new Error('the matrix is not positive definite');
      lower[i]![j] = i === j ? Math.sqrt(sum) : sum / at(j, j);
    }
  }
  return lower;
}

/** b such that L Lᵀ b = right-hand side. */
function solveFactored(lower: readonly Float64Array[], rightHandSide: Float64Array): Float64Array {
  const b = Float64Array.from(rightHandSide);
  const at = (row: number, column: number) => lower[row]![column]!;
  for (let i = 0; i < b.length; i++) {
    for (let k = 0; k < i; k++) b[i]! -= at(i, k) * b[k]!;
    b[i]! /= at(i, i);
  }
  for (let i = b.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < b.length; k++) b[i]! -= at(k, i) * b[k]!;
    b[i]! /= at(i, i);
  }
  return b;
}

/** samples: rows x_t; targets(row, t): what W x_t should be at output `row`. Returns W [outputs, features], row-major. */
export function ridge(samples: readonly Float64Array[], outputs: number, targets: (row: number, t: number) => number, lambda: number): Float64Array {
  const features = samples[0]?.length ?? 0;
  const gram = samples.map((x, i) => Float64Array.from(samples, (y, j) => y.reduce((sum, value, k) => sum + value * x[k]!, i === j ? lambda : 0)));
  const lower = cholesky(gram);
  const weight = new Float64Array(outputs * features);
  for (let row = 0; row < outputs; row++) {
    const combination = solveFactored(lower, Float64Array.from(samples, (_, t) => targets(row, t)));
    for (const [t, x] of samples.entries()) {
      for (const [k, value] of x.entries()) weight[row * features + k]! += combination[t]! * value;
    }
  }
  return weight;
}

/** Samples of one quantity, and their middle. */
export interface Samples {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
}

export function samplesOf(values: readonly number[]): Samples {
  if (values.length === 0) throw new RangeError('there are no samples');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return { median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2, min: sorted[0]!, max: sorted.at(-1)!, values };
}

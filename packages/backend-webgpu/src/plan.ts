/** Planning that needs no device: how work is cut to what a device allows. */

/** WebGPU guarantees no more workgroups in one dimension. */
const WORKGROUPS_PER_DIMENSION = 65535;

/** Elements of a row on the device: whole units of the widest kind, so that a matrix row and a row of x end together. */
export const strideOf = (width: number): number => Math.ceil(width / 32) * 32;

/** `count` workgroups as a grid; it may have more, so kernels check. Throws RangeError when even a grid has too few. */
export function gridOf(count: number): readonly [x: number, y: number] {
  if (count <= WORKGROUPS_PER_DIMENSION) return [count, 1];
  const y = Math.ceil(count / WORKGROUPS_PER_DIMENSION);
  if (y > WORKGROUPS_PER_DIMENSION) throw new RangeError(`${count} workgroups are more than a device can run at once`);
  return [Math.ceil(count / y), y];
}

export interface RowRange {
  readonly firstRow: number;
  readonly rowCount: number;
}

/** Every range but the last is a multiple of this, so that planes of 2 bytes a block start on whole words. */
export const ROW_MULTIPLE = 4;

/** Cuts `rows` into ranges that take at most `limitBytes` of `bytesPerRow`, as few as possible. Undefined when four rows do not fit. */
export function rowRanges(rows: number, bytesPerRow: number, limitBytes: number): readonly RowRange[] | undefined {
  const fitting = Math.floor(limitBytes / bytesPerRow);
  if (fitting >= rows) return [{ firstRow: 0, rowCount: rows }];
  const step = fitting - (fitting % ROW_MULTIPLE);
  if (step === 0) return undefined;
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({ firstRow: i * step, rowCount: Math.min(step, rows - i * step) }));
}

/** Capacity to grow to when `needed` items do not fit `capacity`: doubled until they do, and never beyond `most`. */
export function grown(capacity: number, needed: number, most: number): number {
  let larger = Math.max(capacity, 1);
  while (larger < needed) larger *= 2;
  return Math.min(larger, most);
}

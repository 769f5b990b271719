/** Some rows and columns of a matrix: enough to tell matrices apart, little enough to try many ways of reading one. */
import type { TensorInfo } from '@weightspec/core';
import { floatsAt } from '../views.js';
import { matrixShape } from './side.js';

const MOST_ROWS = 48;
const MOST_COLUMNS = 64;

export interface SamplePlan {
  readonly rows: readonly number[];
  readonly firstColumn: number;
  readonly columnCount: number;
}

/** The same places in every run. Rows are scattered, so that no period of heads hides a permutation. */
export function samplePlan(shape: readonly number[]): SamplePlan {
  const [rows, columns] = matrixShape(shape);
  const columnCount = Math.min(columns, MOST_COLUMNS);
  const wanted = columns === 1 ? rows : MOST_ROWS;
  const chosen = new Set<number>();
  let state = 12345;
  while (chosen.size < Math.min(rows, wanted)) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    let row = Math.floor((state / 2 ** 32) * rows);
    while (chosen.has(row)) row = (row + 1) % rows;
    chosen.add(row);
  }
  return { rows: [...chosen].toSorted((a, b) => a - b), firstColumn: Math.floor((columns - columnCount) / 2), columnCount };
}

/** The values at `plan`, row by row, where row i is read from row rowOf(i). */
export async function sampleRows(tensor: TensorInfo, { rows, firstColumn, columnCount }: SamplePlan, rowOf: (row: number) => number = (row) => row): Promise<Float32Array> {
  const [rowCount, columns] = matrixShape(tensor.shape);
  const out = new Float32Array(rows.length * columnCount);
  if (columns === 1) {
    const all = await floatsAt(tensor, 0, rowCount);
    return out.map((_, i) => all[rowOf(rows[i]!)]!);
  }
  for (const [i, row] of rows.entries()) out.set(await floatsAt(tensor, rowOf(row) * columns + firstColumn, columnCount), i * columnCount);
  return out;
}

/** The values at `plan` of the transposed matrix. Reads whole rows. */
export async function sampleTransposed(tensor: TensorInfo, { rows, firstColumn, columnCount }: SamplePlan): Promise<Float32Array> {
  const [, columns] = matrixShape(tensor.shape);
  const out = new Float32Array(rows.length * columnCount);
  for (let c = 0; c < columnCount; c++) {
    const line = await floatsAt(tensor, (firstColumn + c) * columns, columns);
    for (const [i, row] of rows.entries()) out[i * columnCount + c] = line[row]!;
  }
  return out;
}

/** rms of a − b relative to rms of a; infinite where that cannot be said. */
export function relativeDifference(a: Float32Array, b: Float32Array): number {
  let dd = 0;
  let aa = 0;
  for (let i = 0; i < a.length; i++) {
    dd += (a[i]! - b[i]!) ** 2;
    aa += a[i]! ** 2;
  }
  const relative = Math.sqrt(dd / aa);
  return Number.isNaN(relative) ? Infinity : relative;
}

/** The storages that the kernels read: how their bytes divide into granules, and how a matrix of them is multiplied. */
import type { WeightHandle } from '@weightspec/core';
import * as layout from './layout.js';

export interface Format {
  readonly code: number;
  /** Elements that only decode together. Absent where each file, or each weight, has its own. */
  readonly granule?: number;
  /** Of the part `values`. */
  readonly bytesPerGranule?: number;
  /** Activations are rounded to int8 in blocks of 32, and sorted so, where rows are whole blocks. */
  readonly order?: number;
}

const block = (code: number, bytesPerGranule: number, order: number): Format => ({ code, granule: 32, bytesPerGranule, order });
const groups = (code: number): Format => ({ code });

export const formats: ReadonlyMap<string, Format> = new Map([
  ['F32', { code: layout.FORMAT_F32, granule: 1, bytesPerGranule: 4 }],
  ['F16', { code: layout.FORMAT_F16, granule: 1, bytesPerGranule: 2 }],
  ['BF16', { code: layout.FORMAT_BF16, granule: 1, bytesPerGranule: 2 }],
  ['Q4_0', block(layout.FORMAT_Q4_0, 18, layout.ORDER_NIBBLES)],
  ['Q4_1', block(layout.FORMAT_Q4_1, 20, layout.ORDER_NIBBLES)],
  ['Q5_0', block(layout.FORMAT_Q5_0, 22, layout.ORDER_NIBBLES)],
  ['Q5_1', block(layout.FORMAT_Q5_1, 24, layout.ORDER_NIBBLES)],
  ['Q8_0', block(layout.FORMAT_Q8_0, 34, layout.ORDER_NATURAL)],
  ['llama2c-q8', groups(layout.FORMAT_GROUPS)],
  ['llama2c-q8-wmax', groups(layout.FORMAT_GROUPS_WMAX)],
  ['lmdeploy-int8', groups(layout.FORMAT_GROUPS)],
]);

/** Elements of an activation row that share one int8 scale when they are multiplied by weights stored as `storage`; undefined where they stay f32. */
export const activationBlock = (storage: string): number | undefined => (formats.get(storage)?.order === undefined ? undefined : 32);

/** How the matrix is multiplied: see PATH_* in layout.ts. */
export function pathOf(handle: WeightHandle): number {
  const columns = handle.shape.at(-1)!;
  if (handle.storage === 'lmdeploy-int8') return layout.PATH_INT8_ROWS;
  const granule = formats.get(handle.storage)?.granule ?? handle.groupSize ?? 1;
  const whole = columns % granule === 0 && (handle.groupSize === undefined || granule % 8 === 0);
  return whole ? layout.PATH_FORMAT : layout.PATH_DECODED;
}

/** How weights are stored, as native/types.h numbers it. */
import { elementCount, type TensorInfo, type WeightHandle } from '@weightspec/core';
import { BackendError, storageOf } from '@weightspec/kernels';

interface StorageRow {
  readonly storage: string;
  readonly native: number;
  /** Divides q · scale. */
  readonly divisor: number;
}

const plain = ['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'].map((storage, native): StorageRow => ({ storage, native, divisor: 1 }));
const rows: ReadonlyMap<string, StorageRow> = new Map(
  [...plain, { storage: 'llama2c-q8', native: 8, divisor: 1 }, { storage: 'llama2c-q8-wmax', native: 8, divisor: 127 }, { storage: 'lmdeploy-int8', native: 9, divisor: 1 }].map((row) => [row.storage, row]),
);

/** Elements of activations that share one int8 scale. */
export const ACTIVATION_BLOCK = 32;

export const isSupported = (storage: string): boolean => rows.has(storage);

export type Activations = 'int8' | 'f32';

/** Whether weights of `storage` can be multiplied by activations rounded to int8 in blocks: llama2.c's groups only where they hold whole blocks. */
export const roundsActivations = (storage: string, activations: Activations): boolean => activations === 'int8' && (storage.startsWith('Q') || storage.startsWith('llama2c-q8'));

export interface NativeWeight {
  readonly native: number;
  readonly divisor: number;
  readonly groupSize: number;
  readonly int8Activations: boolean;
  readonly rows: number;
  readonly columns: number;
  readonly values: TensorInfo;
  readonly scales: TensorInfo | undefined;
}

/** Throws BackendError: STORAGE_UNSUPPORTED, or WEIGHT_INVALID when parts, shape and byte lengths disagree. */
export function nativeWeight(handle: WeightHandle, activations: Activations): NativeWeight {
  const row = rows.get(handle.storage);
  if (!row) throw new BackendError('STORAGE_UNSUPPORTED', `weight ${handle.name} is stored as ${handle.storage}, which the native backend cannot read`);
  const { granule, parts, int8Activations = false } = storageOf(handle);
  const [values, scales] = parts.map(({ tensor }) => tensor);
  const columns = handle.shape.at(-1)!;
  const common = { native: row.native, divisor: row.divisor, rows: elementCount(handle.shape) / columns, columns, values: values!, scales };
  const wholeGranules = columns % granule === 0;
  if (row.native < 8) {
    if (!wholeGranules) throw new BackendError('WEIGHT_INVALID', `weight ${handle.name}: rows of ${columns} elements are not whole blocks of ${granule}`);
    return { ...common, groupSize: 0, int8Activations: roundsActivations(handle.storage, activations) };
  }
  // LMDeploy's activations are int8 by definition, whatever was asked for.
  const rounds = int8Activations || (roundsActivations(handle.storage, activations) && wholeGranules && granule % ACTIVATION_BLOCK === 0);
  return { ...common, groupSize: granule, int8Activations: rounds };
}

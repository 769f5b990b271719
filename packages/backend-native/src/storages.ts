/** How weights are stored, as native/types.h numbers it. */
import { byteLength, dtypes, elementCount, type TensorInfo, type WeightHandle } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';

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
  readonly scales?: TensorInfo;
}

/** Throws BackendError: STORAGE_UNSUPPORTED, or WEIGHT_INVALID when parts, shape and byte lengths disagree. */
export function nativeWeight(handle: WeightHandle, activations: Activations): NativeWeight {
  const row = rows.get(handle.storage);
  if (!row) throw new BackendError('STORAGE_UNSUPPORTED', `weight ${handle.name} is stored as ${handle.storage}, which the native backend cannot read`);
  const columns = handle.shape.at(-1)!;
  const elements = elementCount(handle.shape);
  const lengthOf = (tensor: TensorInfo, expected: number): TensorInfo => {
    if (tensor.strides) invalid(handle, `${tensor.name} has strides; only row-major tensors can be multiplied`);
    if (tensor.location.length !== expected) invalid(handle, `${tensor.name} has ${tensor.location.length} bytes where the shape [${handle.shape.join(', ')}] needs ${expected}`);
    return tensor;
  };
  const common = { native: row.native, divisor: row.divisor, rows: elements / columns, columns };
  if (row.native < 8) {
    const dtype = dtypes.get(handle.storage)!;
    if (columns % dtype.blockSize !== 0) invalid(handle, `rows of ${columns} elements are not whole blocks of ${dtype.blockSize}`);
    return { ...common, groupSize: 0, int8Activations: roundsActivations(handle.storage, activations), values: lengthOf(part(handle, 'values'), byteLength(dtype, elements)) };
  }
  const perRow = handle.storage === 'lmdeploy-int8';
  const groupSize = (perRow ? columns : handle.groupSize) ?? 0;
  if (!Number.isSafeInteger(groupSize) || groupSize < 1 || elements % groupSize !== 0) invalid(handle, `its group size is ${handle.groupSize}`);
  const wholeBlocks = groupSize % ACTIVATION_BLOCK === 0 && columns % groupSize === 0;
  return {
    ...common,
    groupSize,
    // LMDeploy's activations are int8 by definition, whatever was asked for.
    int8Activations: perRow || (roundsActivations(handle.storage, activations) && wholeBlocks),
    values: lengthOf(part(handle, 'values'), elements),
    scales: lengthOf(part(handle, 'scales'), (elements / groupSize) * 4),
  };
}

function part(handle: WeightHandle, role: string): TensorInfo {
  return handle.parts[role] ?? invalid(handle, `it has no part ${JSON.stringify(role)}`);
}

function invalid(handle: WeightHandle, message: string): never {
  throw new BackendError('WEIGHT_INVALID', `weight ${handle.name}: ${message}`);
}

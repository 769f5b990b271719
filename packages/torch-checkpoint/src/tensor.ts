/** Tensors as views of storage records. Clause T-2. */
import type { TensorInfo, TensorLocation } from '@weightspec/core';

/** What a torch checkpoint knows of a tensor beyond core's TensorInfo. Offsets and strides count elements. */
export interface TorchTensorInfo extends TensorInfo {
  readonly storage: {
    /** Tensors with the same key share bytes. */
    readonly key: string;
    /** As stored, never interpreted: `cpu`, `cuda:0`. */
    readonly device: string;
    /** The whole record. */
    readonly location: TensorLocation;
  };
  readonly storageOffset: number;
  readonly requiresGrad: boolean;
}

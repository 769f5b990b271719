import { elementCount, type DType } from '@weightspec/core';

/** Bytes of a tensor, whole blocks or not: for totals, before anything is checked. */
export const tensorBytes = ({ blockSize, bytesPerBlock }: DType, shape: readonly number[]): number => Math.ceil(elementCount(shape) / blockSize) * bytesPerBlock;

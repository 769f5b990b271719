/** Where the bytes of weights are: in files, which are mapped, or elsewhere, from where they are copied. */
import { readChunks, type ByteSource, type TensorInfo } from '@weightspec/core';
import { BackendError, DEFAULT_MEMORY_BUDGET_BYTES } from '@weightspec/kernels';
import { native, type Addon, type Bytes } from './addon.js';

/** A run of bytes in one of `sources`. */
export interface Place {
  readonly source: number;
  readonly byteOffset: number;
  readonly byteLength: number;
}

const COPY_CHUNK_BYTES = 16 * 2 ** 20;
/** Kernels load vectors from there on. */
const ALIGNMENT = 64;

/**
 * Maps every file that the tensors lie in, and copies the others (views of several places, memory, http) into one buffer. Throws
 * BackendError (BACKEND_FAILED) when they are more than the budget, or a file has changed since it was opened.
 */
export async function placeTensors(addon: Addon, tensors: readonly TensorInfo[], budgetBytes = DEFAULT_MEMORY_BUDGET_BYTES) {
  const sources: Bytes[] = [];
  const mapped = new Map<ByteSource, number>();
  const places = new Map<TensorInfo, Place>();
  const copied: TensorInfo[] = [];
  for (const tensor of tensors) {
    const { source, offset, length } = tensor.location;
    if (source.filePath === undefined) {
      copied.push(tensor);
      continue;
    }
    const path = source.filePath;
    if (!mapped.has(source)) mapped.set(source, sources.push(native(() => addon.mapFile(path, source.size))) - 1);
    places.set(tensor, { source: mapped.get(source)!, byteOffset: offset, byteLength: length });
  }
  const padded = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  const totalBytes = copied.reduce((sum, { location }) => sum + padded(location.length), 0);
  if (totalBytes > budgetBytes) {
    throw new BackendError('BACKEND_FAILED', `${totalBytes} bytes of weights are in no file that could be mapped, more than the ${budgetBytes} that may be copied into memory; keep them in a file`);
  }
  if (totalBytes > 0) {
    const memory = native(() => addon.createMemory(totalBytes));
    const index = sources.push(memory) - 1;
    let byteOffset = 0;
    for (const tensor of copied) {
      const { source, offset, length } = tensor.location;
      let at = byteOffset;
      for await (const chunk of readChunks(source, offset, length, COPY_CHUNK_BYTES)) {
        addon.writeMemory(memory, at, chunk);
        at += chunk.length;
      }
      places.set(tensor, { source: index, byteOffset, byteLength: length });
      byteOffset += padded(length);
    }
  }
  return { sources, places };
}

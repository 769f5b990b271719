/** How transformers splits a state dict into files. Source: huggingface_hub split_state_dict_into_shards_factory, transformers save_pretrained. */
import type { TensorInfo } from '@weightspec/core';
import { tensorBytes } from './tensor-bytes.js';

/** As transformers 4 and 5 have it: 5 GB. */
export const DEFAULT_SHARD_BYTES = 5e9;

/** Greedy, in the order given: a tensor that does not fit begins the next file; one that is larger than a file has one of its own. */
export function splitIntoShards(tensors: readonly TensorInfo[], shardBytes = DEFAULT_SHARD_BYTES): TensorInfo[][] {
  if (!Number.isSafeInteger(shardBytes) || shardBytes < 1) throw new RangeError(`a shard of ${shardBytes} bytes holds nothing`);
  const shards: TensorInfo[][] = [];
  let current: TensorInfo[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor.dtype, tensor.shape);
    if (size > shardBytes) {
      shards.push([tensor]);
      continue;
    }
    if (bytes + size > shardBytes) {
      shards.push(current);
      current = [];
      bytes = 0;
    }
    current.push(tensor);
    bytes += size;
  }
  if (current.length > 0) shards.push(current);
  return shards.filter((shard) => shard.length > 0);
}

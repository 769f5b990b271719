/**
 * Which tensor goes into which file. Source: huggingface_hub serialization/_base.py split_state_dict_into_shards_factory (as
 * transformers' save_pretrained calls it). Clauses I-6.
 */
import { tensorBytes, type TensorInfo } from '@weightspec/core';
import { encodeIndex } from './write-index.js';

export type ShardedKind = 'safetensors' | 'torch';

/** As transformers 4 and 5 have it: 5 GB. */
export const DEFAULT_SHARD_BYTES = 5e9;

export interface ShardFile {
  readonly name: string;
  readonly tensors: readonly TensorInfo[];
  /** Of the tensors alone. Those that share a storage count once in pickled files, as often as they are named in safetensors. */
  readonly byteLength: number;
}

export interface ShardPlan {
  readonly shards: readonly ShardFile[];
  /** Absent for a single shard. */
  readonly index?: { readonly name: string; readonly bytes: Uint8Array };
  readonly totalSize: number;
}

const spellings = { safetensors: ['model', 'safetensors'], torch: ['pytorch_model', 'bin'] } as const;

/**
 * Files of at most `shardBytes` of tensors. Reads nothing. Tensors that share a storage, as torch's may, stay in one file.
 * Throws RangeError for a size that is not positive.
 */
export function planShards(tensors: readonly TensorInfo[], kind: ShardedKind, shardBytes = DEFAULT_SHARD_BYTES): ShardPlan {
  if (!Number.isSafeInteger(shardBytes) || shardBytes < 1) throw new RangeError(`a shard of ${shardBytes} bytes holds no tensor`);
  const groups = splitIntoShards(tensors, shardBytes);
  const [stem, extension] = spellings[kind];
  const padded = (n: number): string => String(n).padStart(5, '0');
  const nameOf = (i: number): string => (groups.length === 1 ? `${stem}.${extension}` : `${stem}-${padded(i + 1)}-of-${padded(groups.length)}.${extension}`);
  const shards = groups.map((group, i): ShardFile => ({ name: nameOf(i), tensors: group, byteLength: bytesOf(group, kind) }));
  const totalSize = shards.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (shards.length === 1) return { shards, totalSize };
  const weightMap = new Map(shards.flatMap(({ name, tensors: inShard }) => inShard.map((tensor) => [tensor.name, name])));
  return { shards, index: { name: `${stem}.${extension}.index.json`, bytes: encodeIndex(weightMap, { total_size: totalSize }) }, totalSize };
}

/** Greedy, in the order given: a tensor that does not fit begins the next shard; one that is larger than a shard has one of its own. */
function splitIntoShards(tensors: readonly TensorInfo[], shardBytes: number): TensorInfo[][] {
  const shards: TensorInfo[][] = [];
  const shardOfStorage = new Map<unknown, TensorInfo[]>();
  let current: TensorInfo[] = [];
  let filled = 0;
  for (const tensor of tensors) {
    const storage = storageOf(tensor);
    const together = storage === undefined ? undefined : shardOfStorage.get(storage);
    if (together) {
      together.push(tensor);
      continue;
    }
    const bytes = tensorBytes(tensor.dtype, tensor.shape);
    if (bytes > shardBytes) {
      shards.push([tensor]);
    } else {
      if (filled + bytes > shardBytes) {
        shards.push(current);
        current = [];
        filled = 0;
      }
      current.push(tensor);
      filled += bytes;
    }
    if (storage !== undefined) shardOfStorage.set(storage, bytes > shardBytes ? shards.at(-1)! : current);
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  return shards;
}

/** What @weightspec/torch-checkpoint knows of tensors that share bytes. */
const storageOf = (tensor: TensorInfo): unknown => (tensor as Partial<{ storage: { location: unknown } }>).storage?.location;

function bytesOf(tensors: readonly TensorInfo[], kind: ShardedKind): number {
  const counted = new Set<unknown>();
  return tensors.reduce((sum, tensor) => {
    const storage = kind === 'torch' ? storageOf(tensor) : undefined;
    if (storage !== undefined && counted.has(storage)) return sum;
    counted.add(storage);
    return sum + tensorBytes(tensor.dtype, tensor.shape);
  }, 0);
}

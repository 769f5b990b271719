/** Writes a checkpoint as shards and their index, as huggingface_hub's save_torch_state_dict does. Clauses I-6. */
import type { ByteSink, Checkpoint } from '@weightspec/core';
import { writeSafetensors } from '@weightspec/safetensors';
import { writeTorch, type TorchFlavor } from '@weightspec/torch-checkpoint';
import { planShards, type ShardedKind } from './plan.js';

export interface WriteShardedOptions {
  /** Most tensor bytes of one shard; a larger tensor stands alone. */
  readonly shardSizeBytes: number;
  /** Makes the sink of one file. It is closed by `commit`. */
  readonly open: (name: string) => ByteSink | Promise<ByteSink>;
  /** Called when a file is completely written, before the next is opened. */
  readonly commit?: (name: string, sink: ByteSink) => void | Promise<void>;
  /** Default safetensors. */
  readonly kind?: ShardedKind;
  /** Of torch shards. Default torch-2. */
  readonly torchFlavor?: TorchFlavor;
  /** `__metadata__` of safetensors shards. Default `{ format: 'pt' }`, which transformers asks for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface WrittenShards {
  /** The index file's name, or that of the one file when everything fitted into one shard. */
  readonly entry: string;
  /** In the order in which they were written; the index, if any, last. */
  readonly files: readonly string[];
  readonly totalSize: number;
}

/** Writes shards, then the index (none for a single shard). Throws RangeError for a shard size that is not positive; else as the shard's writer. */
export async function writeSharded({ tensors }: Checkpoint, options: WriteShardedOptions): Promise<WrittenShards> {
  const { shardSizeBytes, open, commit, kind = 'safetensors' } = options;
  const { shards, index, totalSize } = planShards(tensors, kind, shardSizeBytes);
  for (const { name, tensors: inShard } of shards) {
    const sink = await open(name);
    if (kind === 'torch') await writeTorch(inShard, sink, { flavor: options.torchFlavor ?? 'torch-2' });
    else await writeSafetensors(inShard, sink, { metadata: options.metadata ?? { format: 'pt' } });
    await commit?.(name, sink);
  }
  const names = shards.map(({ name }) => name);
  if (!index) return { entry: names[0]!, files: names, totalSize };
  const sink = await open(index.name);
  await sink.write(index.bytes);
  await commit?.(index.name, sink);
  return { entry: index.name, files: [...names, index.name], totalSize };
}

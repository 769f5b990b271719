/** Sharded checkpoints: `*.index.json` and the shards it names, as one checkpoint. Specification: specs/sharded-index. */
import type { Detection, Format } from '@weightspec/core';
import { shardedIndexCodes } from './codes.js';
import { readIndexFile } from './index-file.js';
import { readSharded, validateSharded, type ReadShardedOptions, type ShardResolver } from './read.js';

function detect(head: Uint8Array, name: string): Detection | undefined {
  const text = new TextDecoder().decode(head);
  if (/^\s*\{\s*"(metadata|weight_map)"\s*:\s*\{/.test(text)) return { confidence: 'certain', evidence: 'a JSON object that begins with metadata or weight_map' };
  return /\.index\.json$/i.test(name) ? { confidence: 'likely', evidence: 'the name ends in .index.json' } : undefined;
}

/**
 * The format of index files. Without a resolver it judges the index alone and gives no checkpoint; with one it opens the
 * shards, which whoever resolves them has to close.
 */
export function shardedIndexFormat(resolve?: ShardResolver, options: ReadShardedOptions = {}): Format {
  return {
    id: 'sharded-index',
    title: 'index of a sharded checkpoint',
    variants: ['safetensors', 'torch', 'mixed', 'unknown'],
    extensions: ['.index.json'],
    codes: shardedIndexCodes,
    detectBytes: 256,
    detect,
    read: (source) => (resolve ? readSharded(source, resolve, options) : readIndexFile(source)),
    validate: validateSharded,
  };
}

export { shardedIndexCodes, type ShardedIndexCode } from './codes.js';
export { readIndexFile, type MappedTensor, type ParsedIndex, type ShardReference, type ShardedIndex, type StatedNumber } from './index-file.js';
export { readSharded, totalsOf, validateSharded, type ReadShardedOptions, type Shard, type ShardResolver, type ShardedReadResult, type Totals } from './read.js';
export { shardKind, shardNameFault, type ShardKind } from './shard-names.js';
export { DEFAULT_SHARD_BYTES, planShards, type ShardFile, type ShardPlan, type ShardedKind } from './plan.js';
export { encodeIndex } from './write-index.js';
export { writeSharded, type WriteShardedOptions, type WrittenShards } from './write.js';

/**
 * Meta's model-parallel checkpoints: consolidated.00.pth, consolidated.01.pth …, each with a part of every matrix.
 * Source: fairscale ColumnParallelLinear (split by rows of [out, in]), RowParallelLinear (by columns), ParallelEmbedding (Llama 1, 2:
 * by columns) and VocabParallelEmbedding (Llama 3: by rows) as used in meta-llama/llama and llama3 model.py.
 */
import type { Checkpoint, TensorInfo } from '@weightspec/core';
import { ModelError } from './errors.js';
import { joinTensors } from './weight-views.js';

/** Axis along which the shards follow each other; `whole`: every shard has all of it. */
export type ShardAxis = 0 | 1 | 'whole';

/** Llama 1 and 2 shard the embedding by columns, Llama 3 by rows. */
export type MetaGeneration = 'llama2' | 'llama3';

/** The first row that fits a name holds. */
const shardTable: readonly (readonly [pattern: RegExp, axis: ShardAxis | 'embedding'])[] = [
  [/^tok_embeddings\.weight$/, 'embedding'],
  [/\.attention\.wo\.weight$/, 1],
  [/\.feed_forward\.w2\.weight$/, 1],
  [/norm\.weight$/, 'whole'],
  [/^rope\.freqs$/, 'whole'],
  [/\.attention\.w[qkv]\.weight$/, 0],
  [/\.feed_forward\.w[13]\.weight$/, 0],
  [/^output\.weight$/, 0],
];

/** How Meta's weight `name` is split over shards. Throws RangeError for a name that no model of Meta's has. */
export function metaShardAxis(name: string, generation: MetaGeneration = 'llama3'): ShardAxis {
  const row = shardTable.find(([pattern]) => pattern.test(name));
  if (!row) throw new RangeError(`how ${JSON.stringify(name)} is split over shards is not known`);
  return row[1] === 'embedding' ? (generation === 'llama3' ? 0 : 1) : row[1];
}

/** By the width of the embedding's parts: Llama 3's have all columns. */
function generationOf(shard: Checkpoint): MetaGeneration {
  const width = (name: string): number | undefined => shard.tensors.find((tensor) => tensor.name === name)?.shape.at(-1);
  return width('tok_embeddings.weight') === width('norm.weight') ? 'llama3' : 'llama2';
}

/**
 * The shards, in the order of their numbers, as one checkpoint whose tensors gather their bytes at each read.
 * Metadata and the like are the first shard's. Throws ModelError (MODEL_WEIGHTS) naming every tensor that is not in all shards or does not join.
 */
export function joinMetaShards(shards: readonly Checkpoint[]): Checkpoint {
  const [first] = shards;
  if (!first) throw new RangeError('there are no shards');
  if (shards.length === 1) return first;
  const generation = generationOf(first);
  const byName = shards.map(({ tensors }) => new Map(tensors.map((tensor) => [tensor.name, tensor])));
  const names = new Set(byName.flatMap((tensors) => [...tensors.keys()]));
  const problems: string[] = [];
  const joined: TensorInfo[] = [];
  for (const name of names) {
    const parts = byName.flatMap((tensors) => tensors.get(name) ?? []);
    const missing = byName.flatMap((tensors, shard) => (tensors.has(name) ? [] : [shard]));
    try {
      if (missing.length > 0) throw new RangeError(`${name} is not in shard ${missing.join(', ')} of ${shards.length}`);
      const axis = metaShardAxis(name, generation);
      joined.push(axis === 'whole' ? parts[0]! : joinTensors(name, parts, axis));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new ModelError('MODEL_WEIGHTS', problems);
  return { ...first, tensors: joined };
}

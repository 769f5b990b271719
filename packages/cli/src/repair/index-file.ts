/** Repairs of an index: totals counted anew, and migration scales that it forgot. The rest of its text stays as it is. */
import type { ByteSource } from '@weightspec/core';
import { readSharded, totalsOf, type ShardResolver, type ShardedIndex } from '@weightspec/sharded-index';
import type { Edit } from './edits.js';
import { scalesText, type Change, type EditedHeader } from './headers.js';

const MIGRATION = '.migration_scale';
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Only for a folder in which every shard is there and sound: otherwise the totals that were counted mean nothing. */
export async function indexEdits(source: ByteSource, resolve: ShardResolver): Promise<EditedHeader> {
  const opened = await readSharded(source, resolve);
  try {
    const { index } = opened;
    const checkpoints = opened.shards.map(({ checkpoint }) => checkpoint);
    const errors = opened.diagnostics.some(({ severity }) => severity === 'error');
    if (!index || errors || checkpoints.some((checkpoint) => !checkpoint)) return { edits: [], changes: [] };
    const edits: Edit[] = [];
    const changes: Change[] = [];
    const state = (code: string, name: string, { totalSize, totalParameters }: ShardedIndex, counted: number): void => {
      const stated = name === 'total_size' ? totalSize : totalParameters;
      const finding = opened.diagnostics.find((diagnostic) => diagnostic.code === code && diagnostic.pointer === `/metadata/${name}`);
      const byteRange = stated?.byteRange ?? finding?.byteRange;
      if (!finding || !byteRange || edits.some((edit) => edit.byteRange[0] === byteRange[0])) return;
      edits.push({ byteRange, bytes: ascii(String(counted)) });
      changes.push({ code, message: `${name} is ${counted} now, as counted in ${opened.shards.length} shards` });
    };
    const totals = totalsOf(opened.shards.map((shard) => shard.checkpoint!));
    for (const code of ['SHARDED_INDEX_TOTAL_SIZE', 'SHARDED_INDEX_TOTAL_SIZE_TYPE']) state(code, 'total_size', index, totals.tensorBytes);
    for (const code of ['SHARDED_INDEX_TOTAL_PARAMETERS', 'SHARDED_INDEX_TOTAL_SIZE_TYPE']) state(code, 'total_parameters', index, totals.elements);

    const last = [...index.weightMap.values()].at(-1);
    const forgotten = opened.shards.flatMap(({ name, checkpoint }) => checkpoint!.tensors.filter((tensor) => tensor.name.endsWith(MIGRATION) && !index.weightMap.has(tensor.name)).map((tensor) => [tensor.name, name] as const));
    if (last && forgotten.length > 0) {
      const end = last.valueRange[1];
      edits.push({ byteRange: [end, end], bytes: ascii(forgotten.map(([name, shard]) => `,\n    ${JSON.stringify(name)}: ${JSON.stringify(shard)}`).join('')) });
      changes.push({ code: 'SHARDED_INDEX_TENSOR_UNMAPPED', message: `${scalesText(forgotten.length)} that only the shards had are in weight_map now` });
    }
    return { edits, changes };
  } finally {
    await opened.close();
  }
}

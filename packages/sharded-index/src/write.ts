/**
 * Writes a checkpoint as shards and their index, as huggingface_hub's save_torch_state_dict does: tensors in the order
 * given fill one shard after the other; a tensor larger than a shard gets one of its own. Clauses I-6.
 */
import { byteLength, elementCount, type ByteSink, type Checkpoint, type MetadataValue, type TensorInfo } from '@weightspec/core';
import { writeSafetensors } from '@weightspec/safetensors';
import { writeTorch, type TorchFlavor } from '@weightspec/torch-checkpoint';
import { totalsOf } from './read.js';

export interface WriteShardedOptions {
  /** Most tensor bytes of one shard; a larger tensor stands alone. */
  readonly shardSizeBytes: number;
  /** Makes the sink of one file. It is closed by `commit`. */
  readonly open: (name: string) => ByteSink | Promise<ByteSink>;
  /** Called when a file is completely written, before the next is opened. */
  readonly commit?: (name: string, sink: ByteSink) => void | Promise<void>;
  /** Default safetensors. */
  readonly kind?: 'safetensors' | 'torch';
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
export async function writeSharded(checkpoint: Checkpoint, options: WriteShardedOptions): Promise<WrittenShards> {
  const { shardSizeBytes, open, commit, kind = 'safetensors' } = options;
  if (!Number.isSafeInteger(shardSizeBytes) || shardSizeBytes < 1) throw new RangeError(`a shard of ${shardSizeBytes} bytes holds no tensor`);
  const shards = planShards(checkpoint.tensors, shardSizeBytes);
  const names = shards.map((_, place) => shardName(kind, place, shards.length));
  for (const [place, tensors] of shards.entries()) {
    const name = names[place]!;
    const sink = await open(name);
    if (kind === 'torch') await writeTorch(tensors, sink, { flavor: options.torchFlavor ?? 'torch-2' });
    else await writeSafetensors(tensors, sink, { metadata: options.metadata ?? { format: 'pt' } });
    await commit?.(name, sink);
  }
  // A safetensors file stores what is shared twice, a pickle once.
  const plain = kind === 'torch' ? shards : shards.map((tensors) => tensors.map(({ name, dtype, shape, location }) => ({ name, dtype, shape, location })));
  const totalSize = totalsOf(plain.map((tensors) => ({ ...checkpoint, tensors }))).tensorBytes;
  if (shards.length === 1) return { entry: names[0]!, files: names, totalSize };
  const indexName = kind === 'torch' ? 'pytorch_model.bin.index.json' : 'model.safetensors.index.json';
  const sink = await open(indexName);
  await sink.write(encodeIndex(new Map(shards.flatMap((tensors, place) => tensors.map(({ name }) => [name, names[place]!]))), { total_size: totalSize }));
  await commit?.(indexName, sink);
  return { entry: indexName, files: [...names, indexName], totalSize };
}

/** Tensors by shard. Those that share a storage stay together, in the shard of the first. */
function planShards(tensors: readonly TensorInfo[], shardSizeBytes: number): TensorInfo[][] {
  const shards: TensorInfo[][] = [[]];
  const placeOfStorage = new Map<unknown, number>();
  let filled = 0;
  for (const tensor of tensors) {
    const storage = (tensor as Partial<{ storage: { location: unknown } }>).storage?.location;
    const together = storage === undefined ? undefined : placeOfStorage.get(storage);
    if (together !== undefined) {
      shards[together]!.push(tensor);
      continue;
    }
    const bytes = byteLength(tensor.dtype, elementCount(tensor.shape));
    if (filled + bytes > shardSizeBytes && shards.at(-1)!.length > 0) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
    if (storage !== undefined) placeOfStorage.set(storage, shards.length - 1);
  }
  return shards;
}

function shardName(kind: 'safetensors' | 'torch', place: number, count: number): string {
  const [stem, extension] = kind === 'torch' ? ['pytorch_model', 'bin'] : ['model', 'safetensors'];
  if (count === 1) return `${stem}.${extension}`;
  const number = (value: number): string => String(value).padStart(5, '0');
  return `${stem}-${number(place + 1)}-of-${number(count)}.${extension}`;
}

/** The index as transformers writes it: Python's json.dumps(indent=2, sort_keys=True) and a line feed. */
export function encodeIndex(weightMap: ReadonlyMap<string, string>, metadata: { readonly [key: string]: MetadataValue }): Uint8Array {
  const members = (entries: readonly (readonly [string, string])[]): string =>
    entries.length === 0 ? '{}' : `{\n${entries.toSorted(([a], [b]) => compareCodePoints(a, b)).map(([key, value]) => `    ${asciiJson(key)}: ${value}`).join(',\n')}\n  }`;
  const inner = members(Object.entries(metadata).map(([key, value]) => [key, asciiJson(value)]));
  const map = members([...weightMap].map(([name, shard]) => [name, asciiJson(shard)]));
  return new TextEncoder().encode(`{\n  "metadata": ${inner},\n  "weight_map": ${map}\n}\n`);
}

/** JSON with everything above ASCII as `\\uXXXX`. */
const asciiJson = (value: MetadataValue): string => JSON.stringify(value).replaceAll(/[\u007f-\uffff]/g, (unit) => (unit === '\u007f' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));

/** Python sorts text by code points, JavaScript by UTF-16 units. */
function compareCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  const place = left.findIndex((character, i) => character !== right[i]);
  if (place < 0) return left.length - right.length;
  return place >= right.length ? 1 : left[place]!.codePointAt(0)! - right[place]!.codePointAt(0)!;
}

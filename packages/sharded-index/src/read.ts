/** The index and its shards as one checkpoint whose tensors live in several sources. Clauses I-3 to I-5. */
import { elementCount, type ByteRange, type ByteSource, type Checkpoint, type Diagnostic, type Format, type TensorInfo, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { quoted, safetensors, tensorPointer } from '@weightspec/safetensors';
import { torchCheckpoint, type TorchTensorInfo } from '@weightspec/torch-checkpoint';
import { MAX_TENSORS, indexFindings, parseIndex, type IndexFindings, type MappedTensor, type ShardReference, type ShardedIndex } from './index-file.js';
import { checkShardNames, shardKind } from './shard-names.js';

/** Opens the file called `name` that lies beside the index; undefined when there is none. `name` is a plain file name. */
export type ShardResolver = (name: string) => Promise<ByteSource | undefined>;

export interface Shard {
  readonly name: string;
  /** Absent when the resolver found no such file. */
  readonly source?: ByteSource;
  readonly format?: Format;
  /** Absent when the shard is missing or damaged. */
  readonly checkpoint?: Checkpoint;
}

export interface ShardedReadResult {
  /** Absent when index or shards have errors. */
  readonly checkpoint?: Checkpoint;
  readonly variant?: string;
  /** Those of the index first, then those of each shard. */
  readonly diagnostics: readonly Diagnostic[];
  readonly index?: ShardedIndex;
  /** In the order of their names. */
  readonly shards: readonly Shard[];
  /** Closes every shard that was opened. The tensors of `checkpoint` cannot be read afterwards. */
  close(): Promise<void>;
}

export interface ReadShardedOptions {
  /** Shards opened at a time. Default 8: enough to hide the latency of a URL. */
  readonly concurrency?: number;
  /** Looks at the head of a shard that its format refuses; what it finds (a Git LFS pointer, a page) is reported too. */
  readonly recognise?: (head: Uint8Array, name: string, size: number) => Diagnostic | undefined;
  readonly signal?: AbortSignal;
}

const HEAD_BYTES = 4096;
const shardsOf = new WeakMap<Checkpoint, readonly Shard[]>();

/** Reads the index, then the directory of every shard. Bad bytes become diagnostics; only I/O faults throw (after closing what was opened). */
export async function readSharded(source: ByteSource, resolve: ShardResolver, options: ReadShardedOptions = {}): Promise<ShardedReadResult> {
  const findings = indexFindings(source.name);
  const index = await parseIndex(source, findings);
  if (!index) return { diagnostics: findings.diagnostics(), shards: [], close: async () => undefined };
  const references = checkShardNames(index.shards, findings).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const opened = await openShards(references, resolve, findings, options);
  const shards = opened.map(({ shard }) => shard);
  const inShards = opened.flatMap(({ diagnostics }) => diagnostics);
  const tensors = matchTensors(index, shards, findings);
  const complete = shards.every(({ checkpoint }) => checkpoint !== undefined) && shards.length === index.shards.length;
  if (complete) checkTotals(index, shards, findings);
  const diagnostics = [...findings.diagnostics(), ...inShards];
  const variant = variantOf(references);
  const sound = complete && !diagnostics.some(({ severity }) => severity === 'error');
  const checkpoint = sound ? checkpointOf(index, shards, tensors, variant) : undefined;
  if (checkpoint) shardsOf.set(checkpoint, shards);
  return { ...(checkpoint ? { checkpoint } : {}), variant, diagnostics, index, shards, close: () => closeAll(shards) };
}

/** Validates every shard by its own format. `checkpoint` is one that `readSharded` made. */
export async function validateSharded(checkpoint: Checkpoint, options: ValidateOptions = {}): Promise<ValidateResult> {
  const shards = shardsOf.get(checkpoint);
  if (!shards) throw new RangeError('this checkpoint was not read from a sharded index');
  const checked = [`the index: names, numbering and totals of ${shards.length} shards; each tensor in the one shard named for it`];
  const notChecked = new Set<string>();
  const diagnostics: Diagnostic[] = [];
  const total = shards.reduce((sum, shard) => sum + dataBytes(shard), 0);
  let doneBefore = 0;
  for (const shard of shards) {
    // A format counts in its own bytes (members of an archive, tensors); here a shard counts as long as its tensors.
    const [before, length] = [doneBefore, dataBytes(shard)];
    const progress = options.progress && ((done: number, of: number) => options.progress!(before + Math.floor((length * done) / Math.max(1, of)), total));
    const result = await shard.format!.validate(shard.checkpoint!, { ...options, ...(progress ? { progress } : {}) });
    doneBefore += length;
    diagnostics.push(...result.diagnostics);
    for (const what of result.notChecked) notChecked.add(what);
    checked.push(...result.checked.map((what) => `${shard.name}: ${what}`));
  }
  if (options.deep) options.progress?.(total, total);
  return { diagnostics, checked, notChecked: [...notChecked] };
}

const dataBytes = ({ checkpoint }: Shard): number => (checkpoint?.tensors ?? []).reduce((sum, { location }) => sum + location.length, 0);

async function closeAll(shards: readonly Shard[]): Promise<void> {
  await Promise.all(shards.map(async ({ source }) => source?.close?.()));
}

function variantOf(references: readonly ShardReference[]): string {
  const kinds = new Set(references.map(({ name }) => shardKind(name)));
  return kinds.size > 1 ? 'mixed' : ([...kinds][0] ?? 'unknown');
}

interface OpenedShard {
  readonly shard: Shard;
  readonly diagnostics: readonly Diagnostic[];
}

async function openShards(references: readonly ShardReference[], resolve: ShardResolver, findings: IndexFindings, options: ReadShardedOptions): Promise<OpenedShard[]> {
  const opened: OpenedShard[] = [];
  let next = 0;
  let tensors = 0;
  const work = async (): Promise<void> => {
    while (next < references.length && tensors <= MAX_TENSORS) {
      options.signal?.throwIfAborted();
      const place = next++;
      const { name, byteRange } = references[place]!;
      opened[place] = await openShard(references[place]!, resolve, findings, options);
      const before = tensors;
      tensors += opened[place].shard.checkpoint?.tensors.length ?? 0;
      if (before <= MAX_TENSORS && tensors > MAX_TENSORS) findings.add('SHARDED_INDEX_TOO_MANY_TENSORS', { byteRange, message: `the shards up to ${quoted(name)} hold more than ${MAX_TENSORS} tensors` });
    }
  };
  const workers = Array.from({ length: Math.min(options.concurrency ?? 8, references.length) }, work);
  const settled = await Promise.allSettled(workers);
  const failed = settled.find((result) => result.status === 'rejected');
  // Places of shards that were not opened any more are empty.
  if (!failed) return opened.filter((entry) => entry !== undefined);
  await closeAll(opened.filter((entry) => entry !== undefined).map(({ shard }) => shard));
  throw failed.reason;
}

async function openShard({ name, byteRange, tensorCount }: ShardReference, resolve: ShardResolver, findings: IndexFindings, options: ReadShardedOptions): Promise<OpenedShard> {
  const source = await resolve(name);
  if (!source) {
    findings.add('SHARDED_INDEX_SHARD_MISSING', { byteRange, message: `the shard ${quoted(name)}, which should hold ${tensorCount} tensors, is not there` });
    return { shard: { name }, diagnostics: [] };
  }
  try {
    const kind = shardKind(name);
    const named = kind === 'torch' ? torchCheckpoint : safetensors;
    const result = await named.read(source);
    if (result.checkpoint && kind !== 'unknown') return { shard: { name, source, format: named, checkpoint: result.checkpoint }, diagnostics: result.diagnostics };
    const head = await source.read(0, Math.min(HEAD_BYTES, source.size));
    const actual = [safetensors, torchCheckpoint].find((format) => format.detect(head.subarray(0, format.detectBytes), '', source.size)?.confidence === 'certain');
    if (actual && actual !== named) {
      if (kind !== 'unknown') findings.add('SHARDED_INDEX_SHARD_CONTENT', { byteRange, message: `the shard ${quoted(name)} is a ${actual.title} file` });
      const { checkpoint, diagnostics } = await actual.read(source);
      return { shard: { name, source, format: actual, ...(checkpoint ? { checkpoint } : {}) }, diagnostics };
    }
    const recognised = actual ? undefined : options.recognise?.(head, source.name, source.size);
    return { shard: { name, source, format: named, ...(result.checkpoint ? { checkpoint: result.checkpoint } : {}) }, diagnostics: recognised ? [recognised] : result.diagnostics };
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/** The tensors that the index names and that are where it says, in the order of the shards (I-4.3 to I-4.5). */
function matchTensors({ weightMap }: ShardedIndex, shards: readonly Shard[], findings: IndexFindings): Map<string, TensorInfo> {
  const found = new Map<string, { shard: Shard; tensor: TensorInfo }>();
  const matched = new Map<string, TensorInfo>();
  const unmapped: { shard: Shard; tensor: TensorInfo }[] = [];
  for (const shard of shards) {
    for (const tensor of shard.checkpoint?.tensors ?? []) {
      const before = found.get(tensor.name);
      if (before) {
        reportTwice(tensor, before.shard, shard, weightMap.get(tensor.name), findings);
        continue;
      }
      found.set(tensor.name, { shard, tensor });
    }
  }
  for (const { shard, tensor } of found.values()) {
    const mapped = weightMap.get(tensor.name);
    if (!mapped) unmapped.push({ shard, tensor });
    else if (mapped.shard === shard.name) matched.set(tensor.name, tensor);
  }
  const readable = new Set(shards.flatMap(({ name, checkpoint }) => (checkpoint ? [name] : [])));
  const inTwo = new Set(shards.flatMap(({ name, checkpoint }) => (checkpoint?.tensors ?? []).map((tensor) => `${name}/${tensor.name}`)));
  for (const mapped of weightMap.values()) {
    // What is missing with its whole shard has been said.
    if (!readable.has(mapped.shard) || inTwo.has(`${mapped.shard}/${mapped.name}`)) continue;
    const elsewhere = found.get(mapped.name)?.shard.name;
    findings.add('SHARDED_INDEX_TENSOR_MISSING', { byteRange: mapped.valueRange, pointer: tensorPointer(mapped.name), message: `${quoted(mapped.name)} is not in ${quoted(mapped.shard)}${elsewhere === undefined ? '' : `; it is in ${quoted(elsewhere)}`}` });
  }
  for (const { shard, tensor } of unmapped) {
    findings.add('SHARDED_INDEX_TENSOR_UNMAPPED', { byteRange: rangeOf(tensor), pointer: tensorPointer(tensor.name), message: `${quoted(tensor.name)} is in ${quoted(shard.name)}, and the index does not name it` }, shard.source!.name);
  }
  return matched;
}

const rangeOf = ({ location }: TensorInfo): ByteRange => [location.offset, location.offset + location.length];

function reportTwice(tensor: TensorInfo, first: Shard, second: Shard, mapped: MappedTensor | undefined, findings: IndexFindings): void {
  const message = `${quoted(tensor.name)} is in ${quoted(first.name)} and in ${quoted(second.name)}`;
  const pointer = tensorPointer(tensor.name);
  if (mapped) findings.add('SHARDED_INDEX_TENSOR_TWICE', { byteRange: mapped.valueRange, pointer, message });
  else findings.add('SHARDED_INDEX_TENSOR_TWICE', { byteRange: rangeOf(tensor), pointer, message }, second.source!.name);
}

export interface Totals {
  /** Σ bytes of tensors, of those that share a storage only the first. */
  readonly tensorBytes: number;
  /** Σ bytes of storages; equal to tensorBytes where no tensor is a part of its storage. */
  readonly storageBytes: number;
  /** Σ elements, of tensors that share a storage only the first. */
  readonly elements: number;
}

/** What total_size counts (I-5.2): shared storage once. */
export function totalsOf(checkpoints: readonly Checkpoint[]): Totals {
  let tensorBytes = 0;
  let storageBytes = 0;
  let elements = 0;
  for (const { tensors } of checkpoints) {
    const storages = new Set<string>();
    for (const tensor of tensors as readonly Partial<TorchTensorInfo>[]) {
      const { storage, shape, dtype } = tensor;
      if (storage && storages.has(storage.key)) continue;
      if (storage) storages.add(storage.key);
      const count = elementCount(shape!);
      const bytes = (count / dtype!.blockSize) * dtype!.bytesPerBlock;
      elements += count;
      tensorBytes += bytes;
      storageBytes += storage ? storage.location.length : bytes;
    }
  }
  return { tensorBytes, storageBytes, elements };
}

function checkTotals({ totalSize, totalParameters }: ShardedIndex, shards: readonly Shard[], findings: IndexFindings): void {
  const totals = totalsOf(shards.map(({ checkpoint }) => checkpoint!));
  if (totalSize && totalSize.value !== totals.tensorBytes && totalSize.value !== totals.storageBytes) {
    findings.add('SHARDED_INDEX_TOTAL_SIZE', { byteRange: totalSize.byteRange, pointer: '/metadata/total_size', message: `total_size is ${totalSize.value}; the tensors in the shards have ${totals.tensorBytes} bytes` });
  }
  if (totalParameters && totalParameters.value !== totals.elements) {
    findings.add('SHARDED_INDEX_TOTAL_PARAMETERS', { byteRange: totalParameters.byteRange, pointer: '/metadata/total_parameters', message: `total_parameters is ${totalParameters.value}; the tensors in the shards have ${totals.elements} elements` });
  }
}

function checkpointOf(index: ShardedIndex, shards: readonly Shard[], matched: ReadonlyMap<string, TensorInfo>, variant: string): Checkpoint {
  const packed = shards.flatMap(({ checkpoint }) => checkpoint!.packed ?? []);
  const producer = shards[0]?.checkpoint?.producer;
  return {
    format: 'sharded-index',
    variant,
    ...(producer ? { producer } : {}),
    metadata: { ...index.metadata, shards: shards.map(({ name }) => name) },
    tensors: shards.flatMap(({ checkpoint }) => checkpoint!.tensors.filter((tensor) => matched.get(tensor.name) === tensor)),
    ...(packed.length > 0 ? { packed } : {}),
  };
}

/**
 * The index itself: JSON with metadata and a map from tensors to shards. Clauses I-1, I-2.
 * Source: transformers `get_checkpoint_shard_files`, huggingface_hub `split_torch_state_dict_into_shards_factory`.
 */
import type { ByteRange, ByteSource, Diagnostic, MetadataValue } from '@weightspec/core';
import { Findings, JsonError, JsonReader, firstInvalidUtf8, memberBeyond, quoted, tensorPointer, type JsonFault } from '@weightspec/safetensors';
import { shardedIndexDiagnostic, type ShardedIndexCode } from './codes.js';

export const MAX_INDEX_BYTES = 100_000_000;
const MAX_SHARDS = 10_000;
/** Lines of weight_map, and tensors in all shards. A few of them may be metadata's. */
export const MAX_TENSORS = 524_288;
/** metadata is kept as it is, whatever it holds: arrays of nothing take ten times their text. */
const MAX_METADATA_BYTES = 1_048_576;

/** One tensor's line in weight_map. */
export interface MappedTensor {
  readonly name: string;
  readonly shard: string;
  /** [start, end) of the key and of the value in the index. */
  readonly keyRange: ByteRange;
  readonly valueRange: ByteRange;
}

/** A shard and the first place that names it. */
export interface ShardReference {
  readonly name: string;
  readonly byteRange: ByteRange;
  /** How many tensors the index puts into it. */
  readonly tensorCount: number;
}

/** A number in metadata and where it stands. */
export interface StatedNumber {
  readonly value: number;
  readonly byteRange: ByteRange;
}

export interface ShardedIndex {
  readonly metadata: { readonly [key: string]: MetadataValue };
  readonly totalSize?: StatedNumber;
  readonly totalParameters?: StatedNumber;
  /** By tensor name, in the order of the file. */
  readonly weightMap: ReadonlyMap<string, MappedTensor>;
  /** In the order in which the file first names them. */
  readonly shards: readonly ShardReference[];
}

export type IndexFindings = Findings<ShardedIndexCode>;

export const indexFindings = (source: string): IndexFindings => new Findings(source, shardedIndexDiagnostic);

export interface ParsedIndex {
  /** Absent when the file is no object with a weight_map, or names a thing that is no shard. */
  readonly index?: ShardedIndex;
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads an index file and judges it alone. Bad bytes become diagnostics; only I/O faults throw. */
export async function readIndexFile(source: ByteSource): Promise<ParsedIndex> {
  const findings = indexFindings(source.name);
  const index = await parseIndex(source, findings);
  return { ...(index ? { index } : {}), diagnostics: findings.diagnostics() };
}

export async function parseIndex(source: ByteSource, findings: IndexFindings): Promise<ShardedIndex | undefined> {
  if (source.size > MAX_INDEX_BYTES) {
    findings.add('SHARDED_INDEX_TOO_LARGE', { byteRange: [MAX_INDEX_BYTES, source.size], message: `the index has ${source.size} bytes; the limit is ${MAX_INDEX_BYTES}` });
    return undefined;
  }
  const bytes = await source.read(0, source.size);
  const invalid = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? ([0, 3] as const) : firstInvalidUtf8(bytes);
  if (invalid) {
    findings.add('SHARDED_INDEX_NOT_UTF8', { byteRange: invalid, message: invalid[1] === 3 && invalid[0] === 0 ? 'the index starts with a byte order mark (EF BB BF)' : `byte 0x${bytes[invalid[0]]!.toString(16)} at ${invalid[0]} starts no UTF-8 character` });
    return undefined;
  }
  const beyond = memberBeyond(bytes, 0, 2, MAX_TENSORS);
  if (beyond !== undefined) {
    findings.add('SHARDED_INDEX_TOO_MANY_TENSORS', { byteRange: [beyond, beyond + 1], message: `metadata and weight_map have more than ${MAX_TENSORS} members; number ${MAX_TENSORS + 1} begins at ${beyond}` });
    return undefined;
  }
  try {
    return new IndexReader(bytes, findings).read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    findings.add(codeOfFault[error.fault], { byteRange: error.byteRange, message: error.message });
    return undefined;
  }
}

const codeOfFault: Readonly<Record<JsonFault, ShardedIndexCode>> = {
  syntax: 'SHARDED_INDEX_JSON_SYNTAX',
  'control-character': 'SHARDED_INDEX_JSON_SYNTAX',
  trailing: 'SHARDED_INDEX_JSON_SYNTAX',
  depth: 'SHARDED_INDEX_JSON_DEPTH',
  'lone-surrogate': 'SHARDED_INDEX_LONE_SURROGATE',
  'long-string': 'SHARDED_INDEX_STRING_TOO_LONG',
};

class IndexReader {
  readonly #json: JsonReader;
  readonly #findings: IndexFindings;
  readonly #bytes: Uint8Array;
  readonly #weightMap = new Map<string, MappedTensor>();
  readonly #shards = new Map<string, { name: string; byteRange: ByteRange; tensorCount: number }>();
  readonly #metadata = new Map<string, MetadataValue>();
  #totalSize: StatedNumber | undefined;
  #totalParameters: StatedNumber | undefined;

  constructor(bytes: Uint8Array, findings: IndexFindings) {
    this.#bytes = bytes;
    this.#json = new JsonReader(bytes);
    this.#findings = findings;
  }

  read(): ShardedIndex | undefined {
    const json = this.#json;
    const findings = this.#findings;
    const type = json.type();
    if (type !== 'object') {
      json.skip();
      const { tokenRange } = json;
      json.finish();
      findings.add('SHARDED_INDEX_NOT_OBJECT', { byteRange: tokenRange, message: `the index is ${article(type)}, not an object` });
      return undefined;
    }
    const start = json.position;
    const seen = this.#uniqueKeys();
    json.object((key) => {
      if (!seen(key)) return;
      if (key === 'metadata') this.#readMetadata();
      else if (key === 'weight_map') this.#readWeightMap();
      else {
        const [keyStart] = json.tokenRange;
        json.skip();
        findings.add('SHARDED_INDEX_UNKNOWN_KEY', { byteRange: [keyStart, json.position], message: `the index has a member ${quoted(key)}` });
      }
    });
    const range = [start, json.position] as const;
    json.finish();
    if (!seen.keys.has('metadata')) findings.add('SHARDED_INDEX_NO_METADATA', { byteRange: range, message: 'the index has no metadata' });
    if (!seen.keys.has('weight_map')) {
      findings.add('SHARDED_INDEX_NO_WEIGHT_MAP', { byteRange: range, message: 'the index has no weight_map' });
      return undefined;
    }
    if (findings.has('SHARDED_INDEX_FIELD_TYPE')) return undefined;
    if (this.#shards.size > MAX_SHARDS) {
      findings.add('SHARDED_INDEX_TOO_MANY_SHARDS', { byteRange: range, message: `the index names ${this.#shards.size} shards; the limit is ${MAX_SHARDS}` });
      return undefined;
    }
    return {
      metadata: Object.fromEntries(this.#metadata),
      ...(this.#totalSize ? { totalSize: this.#totalSize } : {}),
      ...(this.#totalParameters ? { totalParameters: this.#totalParameters } : {}),
      weightMap: this.#weightMap,
      shards: [...this.#shards.values()],
    };
  }

  /** Notes keys of one object; false, with a finding and the value skipped, for one that stood before. */
  #uniqueKeys() {
    const keys = new Set<string>();
    const isNew = (key: string): boolean => {
      if (!keys.has(key)) {
        keys.add(key);
        return true;
      }
      this.#findings.add('SHARDED_INDEX_DUPLICATE_KEY', { byteRange: this.#json.tokenRange, message: `the key ${quoted(key)} stands twice` });
      this.#json.skip();
      return false;
    };
    return Object.assign(isNew, { keys });
  }

  #readMetadata(): void {
    const json = this.#json;
    const type = json.type();
    if (type !== 'object') {
      json.skip();
      return this.#findings.add('SHARDED_INDEX_FIELD_TYPE', { byteRange: json.tokenRange, pointer: '/metadata', message: `metadata is ${article(type)}, not an object` });
    }
    const start = json.position;
    const isNew = this.#uniqueKeys();
    json.object((key) => {
      if (!isNew(key)) return;
      json.skip();
      if (json.position - start > MAX_METADATA_BYTES) {
        if (!this.#findings.has('SHARDED_INDEX_METADATA_TOO_LARGE')) this.#findings.add('SHARDED_INDEX_METADATA_TOO_LARGE', { byteRange: json.tokenRange, pointer: '/metadata', message: `metadata has more than ${MAX_METADATA_BYTES} bytes; ${quoted(key)} ends at ${json.position}` });
        return;
      }
      const byteRange = json.tokenRange;
      // The reader has judged this text; what is left to JSON.parse are plain values for display.
      const value = JSON.parse(new TextDecoder().decode(this.#bytes.subarray(...byteRange))) as MetadataValue;
      this.#metadata.set(key, value);
      if (key === 'total_size') this.#totalSize = this.#statedNumber(key, byteRange);
      if (key === 'total_parameters') this.#totalParameters = this.#statedNumber(key, byteRange);
    });
    if (!isNew.keys.has('total_size')) this.#findings.add('SHARDED_INDEX_NO_TOTAL_SIZE', { byteRange: [start, json.position], pointer: '/metadata', message: 'metadata has no total_size' });
  }

  #statedNumber(key: string, byteRange: ByteRange): StatedNumber | undefined {
    const token = new JsonReader(this.#bytes, byteRange[0], byteRange[1]);
    const value = token.type() === 'number' ? token.unsignedInteger() : undefined;
    if (typeof value === 'number') return { value, byteRange };
    const text = new TextDecoder().decode(this.#bytes.subarray(byteRange[0], Math.min(byteRange[1], byteRange[0] + 40)));
    this.#findings.add('SHARDED_INDEX_TOTAL_SIZE_TYPE', { byteRange, pointer: `/metadata/${key}`, message: `${key} is ${text}, not an unsigned integer below 2^53` });
    return undefined;
  }

  #readWeightMap(): void {
    const json = this.#json;
    const type = json.type();
    if (type !== 'object') {
      json.skip();
      return this.#findings.add('SHARDED_INDEX_FIELD_TYPE', { byteRange: json.tokenRange, message: `weight_map is ${article(type)}, not an object` });
    }
    const start = json.position;
    const isNew = this.#uniqueKeys();
    json.object((name) => {
      const keyRange = json.tokenRange;
      if (!isNew(name)) return;
      const valueType = json.type();
      if (valueType !== 'string') {
        json.skip();
        return this.#findings.add('SHARDED_INDEX_FIELD_TYPE', { byteRange: json.tokenRange, pointer: tensorPointer(name), message: `the shard of ${quoted(name)} is ${article(valueType)}, not a string` });
      }
      const shard = json.string();
      const valueRange = json.tokenRange;
      this.#weightMap.set(name, { name, shard, keyRange, valueRange });
      const known = this.#shards.get(shard);
      if (known) known.tensorCount++;
      else this.#shards.set(shard, { name: shard, byteRange: valueRange, tensorCount: 1 });
    });
    if (isNew.keys.size === 0) this.#findings.add('SHARDED_INDEX_EMPTY', { byteRange: [start, json.position], message: 'weight_map names no tensor' });
  }
}

const article = (type: string): string => (type === 'object' || type === 'array' ? `an ${type}` : type === 'string' || type === 'number' ? `a ${type}` : type);

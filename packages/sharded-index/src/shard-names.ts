/** What a shard may be called: a plain file name beside the index, and what its number says. Clauses I-3. */
import { quoted, type Findings } from '@weightspec/safetensors';
import type { ShardedIndexCode } from './codes.js';
import type { ShardReference } from './index-file.js';

export type ShardKind = 'safetensors' | 'torch' | 'unknown';

const MAX_NAME_BYTES = 255;

/** Why `name` is not a plain file name on every system, or undefined. */
export function shardNameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) return 'holds a control character or a line break';
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return 'is a URL';
  if (/^[a-z]:/i.test(name)) return 'starts with a drive letter';
  if (/^[/\\]/.test(name)) return 'is an absolute path';
  if (/[/\\]$/.test(name)) return 'ends in a path separator';
  if (/[/\\]/.test(name)) return name.split(/[/\\]/).includes('..') ? 'leaves the folder of the index' : 'names a folder';
  if (name === '.' || name === '..') return 'names a folder';
  // Alternate data streams of NTFS, and what would end or encode the path of a URL.
  if (/[:?#%*"<>|]/.test(name)) return 'holds a character that is special in paths or URLs';
  if (/^[\s~]|[\s.]$/u.test(name)) return 'starts or ends with a character that systems drop or expand';
  return new TextEncoder().encode(name).length > MAX_NAME_BYTES ? `is longer than ${MAX_NAME_BYTES} bytes` : undefined;
}

export function shardKind(name: string): ShardKind {
  if (/\.safetensors$/i.test(name)) return 'safetensors';
  return /\.(bin|pth?)$/i.test(name) ? 'torch' : 'unknown';
}

/** Findings about the names of all shards together. Returns those that may be opened. */
export function checkShardNames(shards: readonly ShardReference[], findings: Findings<ShardedIndexCode>): readonly ShardReference[] {
  const usable: ShardReference[] = [];
  const byLowerCase = new Map<string, ShardReference>();
  for (const shard of shards) {
    const { name, byteRange } = shard;
    const fault = shardNameFault(name);
    if (fault !== undefined) {
      findings.add('SHARDED_INDEX_SHARD_NAME', { byteRange, message: `the shard name ${quoted(name)} ${fault}` });
      continue;
    }
    if (shardKind(name) === 'unknown') findings.add('SHARDED_INDEX_SHARD_KIND', { byteRange, message: `the shard name ${quoted(name)} does not say what the shard is` });
    const twin = byLowerCase.get(name.toLowerCase());
    if (twin) findings.add('SHARDED_INDEX_SHARD_CASE', { byteRange, message: `the shard names ${quoted(twin.name)} and ${quoted(name)} differ only in letter case` });
    else byLowerCase.set(name.toLowerCase(), shard);
    usable.push(shard);
  }
  checkKinds(usable, findings);
  checkNumbering(usable, findings);
  return usable;
}

function checkKinds(shards: readonly ShardReference[], findings: Findings<ShardedIndexCode>): void {
  const first = shards.find(({ name }) => shardKind(name) !== 'unknown');
  const other = first && shards.find(({ name }) => shardKind(name) !== 'unknown' && shardKind(name) !== shardKind(first.name));
  if (first && other) findings.add('SHARDED_INDEX_MIXED_KINDS', { byteRange: other.byteRange, message: `the index names ${quoted(first.name)} and ${quoted(other.name)}` });
}

/** `model-00002-of-00007.safetensors`: all names have one total, and all numbers from 1 to it are there. */
function checkNumbering(shards: readonly ShardReference[], findings: Findings<ShardedIndexCode>): void {
  const numbered = shards.flatMap((shard) => {
    const match = /-(\d{1,6})-of-(\d{1,6})\./.exec(shard.name);
    return match ? [{ shard, number: Number(match[1]), total: Number(match[2]) }] : [];
  });
  const [first] = numbered;
  if (!first) return;
  const odd = numbered.find(({ total }) => total !== first.total) ?? numbered.find(({ number }) => number < 1 || number > first.total);
  if (odd) {
    const why = odd.total === first.total ? `${quoted(odd.shard.name)} is none of ${first.total}` : `${quoted(first.shard.name)} counts ${first.total} shards and ${quoted(odd.shard.name)} counts ${odd.total}`;
    findings.add('SHARDED_INDEX_NUMBERING', { byteRange: odd.shard.byteRange, message: why });
    return;
  }
  const present = new Set(numbered.map(({ number }) => number));
  if (present.size === first.total) return;
  const absent: number[] = [];
  for (let number = 1; number <= first.total && absent.length < 5; number++) if (!present.has(number)) absent.push(number);
  const count = first.total - present.size;
  findings.add('SHARDED_INDEX_NUMBERING', { byteRange: first.shard.byteRange, message: `${quoted(first.shard.name)} counts ${first.total} shards, and the index does not name number ${absent.join(', ')}${count > absent.length ? ', …' : ''}` });
}

/** Repairs of header bytes: each edit answers one finding. What the edits leave wrong is for the caller to see. */
import type { ByteSource, Diagnostic } from '@weightspec/core';
import { counted } from '../report/numbers.js';
import type { Edit } from './edits.js';

/** A change to the file, and which finding it answers. */
export interface Change {
  readonly code: string;
  readonly message: string;
}

export interface EditedHeader {
  readonly edits: readonly Edit[];
  readonly changes: readonly Change[];
}

const none: EditedHeader = { edits: [], changes: [] };
const SHARED_OFFSET = 36;
const V0_VOCAB_OFFSET = 20;
const LENGTH_BYTES = 8;

/** Padding that holds something: zeros again (specs/llama2c#C-3.6, specs/ggml-qwen#G-3.4). */
export function zeroedPadding({ code, byteRange }: Diagnostic): EditedHeader {
  if (!byteRange) return none;
  const [start, end] = byteRange;
  return { edits: [{ byteRange, bytes: new Uint8Array(end - start) }], changes: [{ code, message: `bytes [${start}, ${end}), padding, are zero now` }] };
}

/** A flag other than 0 and 1 counts as set in C; the file has been read so (specs/llama2c#C-3.4). */
export function unitFlag({ code, byteRange }: Diagnostic): EditedHeader {
  return byteRange ? { edits: [{ byteRange, bytes: Uint8Array.of(1) }], changes: [{ code, message: 'shared_classifier is 1 now, as C programs read it' }] } : none;
}

/**
 * The other answers to whether the classifier is shared, for a file whose size is wrong by exactly one classifier: the caller keeps one
 * only if the whole size adds up then.
 */
export async function otherSharedFlags(source: ByteSource, { code }: Diagnostic, variant: string): Promise<readonly EditedHeader[]> {
  const head = await source.read(0, Math.min(source.size, SHARED_OFFSET + 1));
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (variant === 'v0') {
    if (head.length < V0_VOCAB_OFFSET + 4) return [];
    const stored = view.getInt32(V0_VOCAB_OFFSET, true);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setInt32(0, -stored, true);
    return [{ edits: [{ byteRange: [V0_VOCAB_OFFSET, V0_VOCAB_OFFSET + 4], bytes }], changes: [{ code, message: `vocab_size is ${-stored} now, not ${stored}: ${sharedWords(stored < 0)}` }] }];
  }
  if (head.length <= SHARED_OFFSET) return [];
  return [0, 1].filter((flag) => flag !== view.getUint8(SHARED_OFFSET)).map((flag) => ({ edits: [{ byteRange: [SHARED_OFFSET, SHARED_OFFSET + 1], bytes: Uint8Array.of(flag) }], changes: [{ code, message: `shared_classifier is ${flag} now: ${sharedWords(flag === 1)}` }] }));
}

const sharedWords = (shared: boolean): string => (shared ? 'the file ends where a classifier of its own would begin. If a download was cut exactly there, fetch it again instead' : 'the bytes after the last tensor are exactly a classifier of its own');

/** The JSON of a safetensors header moved to its start and padded with spaces; the header keeps its length (specs/safetensors#S-2.5). */
export async function spacePaddedHeader(source: ByteSource, headerBytes: number, found: readonly Diagnostic[]): Promise<EditedHeader> {
  const header = await source.read(LENGTH_BYTES, headerBytes);
  const isPadding = (byte: number): boolean => byte === 0 || byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
  let start = 0;
  let end = header.length;
  while (start < end && isPadding(header[start]!)) start += 1;
  while (end > start && isPadding(header[end - 1]!)) end -= 1;
  // Anything but padding behind the object is kept, and keeps the file invalid.
  const bytes = new Uint8Array(header.length).fill(0x20);
  bytes.set(header.subarray(start, end));
  const [first] = found;
  const changes = first ? [{ code: first.code, message: 'the header begins with its brace and is padded with spaces now' }] : [];
  return { edits: [{ byteRange: [LENGTH_BYTES, LENGTH_BYTES + headerBytes], bytes }], changes };
}

export const scalesText = (count: number): string => counted(count, 'migration scale');

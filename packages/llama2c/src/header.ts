/**
 * The two headers of llama2.c files: 28 bytes (v0) and 256 bytes behind the magic "ak42".
 * Little-endian. Source: karpathy/llama2.c export.py@350e04fe. Clauses C-1, C-2.1, C-2.2, C-3.
 */
import type { Diagnostic } from '@weightspec/core';
import { llama2cDiagnostic } from './codes.js';

export const V0_HEADER_BYTES = 28;
export const AK42_HEADER_BYTES = 256;
/** 5e2e5b2 on the int8 branch wrote a shorter one. */
export const EXPERIMENTAL_SHORT_HEADER_BYTES = 128;
export const MAGIC = 0x616b3432;
const GROUP_SIZE_OFFSET = 37;
const SHARED_OFFSET = 36;
export const MAX_LAYERS = 4096;

/** The seven fields of both headers, with the format's own spelling. */
export const fieldNames = ['dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'vocab_size', 'max_seq_len'] as const;
export type FieldName = (typeof fieldNames)[number];

export interface Llama2cConfig {
  readonly dim: number;
  readonly hidden_dim: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads: number;
  /** Positive, whatever the sign in the file. */
  readonly vocab_size: number;
  readonly max_seq_len: number;
  /** Whether the classifier is the token embedding. */
  readonly shared_classifier: boolean;
}

export interface V0Header {
  readonly kind: 'v0';
  readonly headerBytes: number;
  readonly config: Llama2cConfig;
  /** As stored: negative when the classifier is not shared. */
  readonly storedVocabSize: number;
}

export interface Ak42Header {
  readonly kind: 'ak42';
  readonly headerBytes: number;
  readonly version: number;
  readonly config: Llama2cConfig;
  readonly sharedFlag: number;
  /** i32 at 37; zero in layouts without groups. */
  readonly groupSize: number;
}

export type Header = V0Header | Ak42Header;

/** Offset of the first of the seven fields. */
export const fieldsOffset = (kind: Header['kind']): number => (kind === 'v0' ? 0 : 8);

/** [start, end) of a header field. */
export function fieldRange(kind: Header['kind'], field: FieldName | 'version' | 'shared_classifier' | 'group_size'): readonly [number, number] {
  if (field === 'version') return [4, 8];
  if (field === 'shared_classifier') return [SHARED_OFFSET, SHARED_OFFSET + 1];
  if (field === 'group_size') return [GROUP_SIZE_OFFSET, GROUP_SIZE_OFFSET + 4];
  const start = fieldsOffset(kind) + 4 * fieldNames.indexOf(field);
  return [start, start + 4];
}

/** The four magic bytes as one number, or undefined when there are fewer. */
export function magicOf(head: Uint8Array): 'ak42' | 'swapped' | 'damaged' | 'none' {
  const expected = [0x32, 0x34, 0x6b, 0x61];
  if (head.length < 4) return 'none';
  if (expected.every((byte, i) => head[i] === byte)) return 'ak42';
  if (expected.every((byte, i) => head[3 - i] === byte)) return 'swapped';
  const agreeing = expected.filter((byte, i) => head[i] === byte).length;
  return agreeing === 3 ? 'damaged' : 'none';
}

/** Reads the seven i32 at `offset`; no rule is checked here. */
export function readFields(head: Uint8Array, offset: number): Record<FieldName, number> {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return Object.fromEntries(fieldNames.map((name, i) => [name, view.getInt32(offset + 4 * i, true)])) as Record<FieldName, number>;
}

export function parseV0Header(head: Uint8Array): V0Header {
  const fields = readFields(head, 0);
  const config = { ...fields, vocab_size: Math.abs(fields.vocab_size), shared_classifier: fields.vocab_size > 0 };
  return { kind: 'v0', headerBytes: V0_HEADER_BYTES, config, storedVocabSize: fields.vocab_size };
}

export function parseAk42Header(head: Uint8Array): Ak42Header {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const sharedFlag = view.getUint8(SHARED_OFFSET);
  return {
    kind: 'ak42',
    headerBytes: AK42_HEADER_BYTES,
    version: view.getInt32(4, true),
    config: { ...readFields(head, 8), shared_classifier: sharedFlag !== 0 },
    sharedFlag,
    groupSize: view.getInt32(GROUP_SIZE_OFFSET, true),
  };
}

/** Bytes of a v0 header (28) or an ak42 header (256, or 128 for the short experimental one). */
export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(header.headerBytes);
  const view = new DataView(bytes.buffer);
  const { config } = header;
  fieldNames.forEach((name, i) => view.setInt32(fieldsOffset(header.kind) + 4 * i, config[name], true));
  if (header.kind === 'v0') {
    view.setInt32(fieldRange('v0', 'vocab_size')[0], header.storedVocabSize, true);
    return bytes;
  }
  view.setUint32(0, MAGIC, true);
  view.setInt32(4, header.version, true);
  view.setUint8(SHARED_OFFSET, header.sharedFlag);
  view.setInt32(GROUP_SIZE_OFFSET, header.groupSize, true);
  return bytes;
}

/** Checks the rules that the seven fields obey in every layout: C-1.4 to C-1.7, C-2.2, C-3.3. */
export function checkFields(header: Header, source: string): Diagnostic[] {
  const { config, kind } = header;
  const found: Diagnostic[] = [];
  const at = (field: FieldName) => ({ byteRange: fieldRange(kind, field), pointer: `/metadata/${field}` });
  for (const field of fieldNames) {
    if (field !== 'vocab_size' && config[field] < 1) {
      found.push(llama2cDiagnostic('LLAMA2C_NOT_POSITIVE', source, { ...at(field), message: `${field} is ${config[field]}; it must be at least 1` }));
    }
  }
  const vocab = kind === 'v0' ? header.storedVocabSize : config.vocab_size;
  if (vocab === 0 || vocab === -(2 ** 31)) {
    found.push(llama2cDiagnostic('LLAMA2C_VOCAB_SIZE', source, { ...at('vocab_size'), message: `vocab_size is ${vocab}` }));
  } else if (kind === 'ak42' && vocab < 0) {
    found.push(llama2cDiagnostic('LLAMA2C_VOCAB_NEGATIVE', source, { ...at('vocab_size'), message: `vocab_size is ${vocab} behind an ak42 header` }));
  }
  const { dim, n_heads: heads, n_kv_heads: kvHeads, n_layers: layers } = config;
  if (layers > MAX_LAYERS) {
    found.push(llama2cDiagnostic('LLAMA2C_TOO_MANY_LAYERS', source, { ...at('n_layers'), message: `n_layers is ${layers}; the limit is ${MAX_LAYERS}` }));
  }
  if (dim < 1 || heads < 1) return found;
  if (dim % heads !== 0) {
    found.push(llama2cDiagnostic('LLAMA2C_HEADS_DIVIDE_DIM', source, { ...at('n_heads'), message: `n_heads = ${heads} does not divide dim = ${dim}` }));
  } else if ((dim / heads) % 2 !== 0) {
    found.push(llama2cDiagnostic('LLAMA2C_HEAD_SIZE_ODD', source, { ...at('n_heads'), message: `the head size dim / n_heads = ${dim} / ${heads} = ${dim / heads} is odd` }));
  }
  if (kvHeads < 1) return found;
  if (kvHeads > heads) {
    found.push(llama2cDiagnostic('LLAMA2C_KV_HEADS_EXCEED_HEADS', source, { ...at('n_kv_heads'), message: `n_kv_heads = ${kvHeads} is larger than n_heads = ${heads}` }));
  } else if (heads % kvHeads !== 0) {
    found.push(llama2cDiagnostic('LLAMA2C_KV_HEADS_DIVIDE_HEADS', source, { ...at('n_kv_heads'), message: `n_kv_heads = ${kvHeads} does not divide n_heads = ${heads}` }));
  }
  return found;
}

/** Checks what only the ak42 header has: version, shared flag, zero padding (C-3.2, C-3.4, C-3.6). */
export function checkAk42(header: Ak42Header, head: Uint8Array, source: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  if (header.version !== 1 && header.version !== 2) {
    found.push(llama2cDiagnostic('LLAMA2C_BAD_VERSION', source, { byteRange: fieldRange('ak42', 'version'), pointer: '/metadata/version', message: `version is ${header.version}; only 1 and 2 exist behind this magic` }));
  }
  if (header.sharedFlag > 1) {
    found.push(llama2cDiagnostic('LLAMA2C_SHARED_FLAG', source, { byteRange: fieldRange('ak42', 'shared_classifier'), pointer: '/metadata/shared_classifier', message: `shared_classifier is ${header.sharedFlag}; 0 and 1 are defined` }));
  }
  const paddingStart = GROUP_SIZE_OFFSET + 4;
  const end = Math.min(header.headerBytes, head.length);
  let first = paddingStart;
  while (first < end && head[first] === 0) first++;
  if (first < end) {
    let last = end - 1;
    while (head[last] === 0) last--;
    found.push(llama2cDiagnostic('LLAMA2C_HEADER_PADDING', source, { byteRange: [first, last + 1], message: `header bytes ${paddingStart}–${header.headerBytes - 1} should be zero; byte ${first} is 0x${head[first]!.toString(16).padStart(2, '0')}` }));
  }
  return found;
}

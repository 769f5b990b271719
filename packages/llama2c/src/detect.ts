/**
 * Loose recognition from the first bytes: ak42 files by their magic (also swapped or one byte off),
 * v0 files, which have none, by seven fields that look like a model's dimensions (C-5.1).
 */
import type { Detection } from '@weightspec/core';
import { MAX_LAYERS, V0_HEADER_BYTES, checkFields, fieldNames, magicOf, parseV0Header, readFields, type FieldName } from './header.js';
import { derivedSize } from './layout.js';

/** Generous upper ends; the largest published models stay well below. */
const plausibleMaximum: Readonly<Record<FieldName, number>> = {
  dim: 2 ** 17, hidden_dim: 2 ** 20, n_layers: MAX_LAYERS, n_heads: 2 ** 12, n_kv_heads: 2 ** 12, vocab_size: 2 ** 22, max_seq_len: 2 ** 24,
};

/** One damaged field, or one damaged and one odd, must not hide the format. */
const FIELDS_NEEDED = 5;

export function detect(head: Uint8Array, _name: string, size: number): Detection | undefined {
  const magic = magicOf(head);
  if (magic === 'ak42') return { confidence: 'certain', evidence: 'bytes 24ka (32 34 6B 61) at 0' };
  if (magic === 'swapped') return { confidence: 'certain', evidence: 'bytes ak42 (61 6B 34 32) at 0: the magic, big-endian' };
  if (magic === 'damaged') return { confidence: 'possible', evidence: 'three of the four magic bytes 24ka at 0' };
  if (head.length < 4 * FIELDS_NEEDED) return undefined;

  const padded = new Uint8Array(V0_HEADER_BYTES);
  padded.set(head.subarray(0, V0_HEADER_BYTES));
  const fields = readFields(padded, 0);
  const wholeFields = Math.min(fieldNames.length, Math.floor(head.length / 4));
  const plausible = fieldNames.slice(0, wholeFields).filter((name) => {
    const value = name === 'vocab_size' ? Math.abs(fields[name]) : fields[name];
    return value >= 1 && value <= plausibleMaximum[name];
  }).length;
  if (plausible < FIELDS_NEEDED) return undefined;
  const header = parseV0Header(padded);
  const exact = wholeFields === fieldNames.length && checkFields(header, '').length === 0 && derivedSize('v0', header.config) === BigInt(size);
  return exact
    ? { confidence: 'likely', evidence: 'seven plausible dimensions at 0, and the file has exactly the size they imply as v0' }
    : { confidence: 'possible', evidence: `${plausible} of ${wholeFields} plausible v0 dimensions at 0` };
}

/**
 * When the size is wrong, is it one header field that lies? Finds the values of single fields
 * (or another variant) for which the file's size would be exactly right, as a hint for the reader of the diagnostic.
 */
import type { Llama2cConfig } from './header.js';
import { checkFields, fieldNames } from './header.js';
import { derivedSize, quantizedElementCounts, type Variant } from './layout.js';

type SizedVariant = Exclude<Variant, 'v1-experimental'>;

const consistent = (config: Llama2cConfig): boolean =>
  checkFields({ kind: 'v0', headerBytes: 28, config, storedVocabSize: config.vocab_size }, '').length === 0;

function sizeOf(variant: SizedVariant, config: Llama2cConfig, groupSize: number): bigint | undefined {
  if (!consistent(config)) return undefined;
  const grouped = variant !== 'v0' && variant !== 'v1-fp32';
  if (grouped && (groupSize < 1 || quantizedElementCounts(config).some(({ count }) => count % BigInt(groupSize) !== 0n))) return undefined;
  return derivedSize(variant, config, groupSize);
}

/** Values that a field might have had: solved where the size is linear in it, tried where it is not. */
function candidates(field: (typeof fieldNames)[number], variant: SizedVariant, config: Llama2cConfig, groupSize: number, size: bigint): number[] {
  if (field === 'n_heads' || field === 'n_kv_heads') return Array.from({ length: 256 }, (_, i) => i + 1);
  if (field === 'dim') {
    // Monotone in dim for fixed head count: multiples of 2 · n_heads by bisection.
    const step = 2 * Math.max(1, config.n_heads);
    let low = 1;
    let high = Math.floor(2 ** 20 / step) + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (derivedSize(variant, { ...config, dim: middle * step }, groupSize || 1) < size) low = middle + 1;
      else high = middle;
    }
    return [low * step];
  }
  const at = (value: number) => derivedSize(variant, { ...config, [field]: value }, groupSize || 1);
  const slope = at(2) - at(1);
  if (slope <= 0n) return [];
  const value = (size - at(0)) / slope;
  return value > 0n && value <= 2n ** 31n - 1n ? [Number(value)] : [];
}

/** Sentences such as "n_layers = 5 (instead of 21)"; at most three. */
export function fittingChanges(variant: SizedVariant, config: Llama2cConfig, groupSize: number, fileSize: number): string[] {
  const size = BigInt(fileSize);
  const found: string[] = [];
  for (const field of fieldNames) {
    if (config.n_heads < 1 || config.dim < 1) break;
    for (const value of candidates(field, variant, config, groupSize, size)) {
      if (value !== config[field] && sizeOf(variant, { ...config, [field]: value }, groupSize) === size) found.push(`${field} = ${value} (instead of ${config[field]})`);
    }
  }
  if (sizeOf(variant, { ...config, shared_classifier: !config.shared_classifier }, groupSize) === size) {
    found.push(config.shared_classifier ? 'the classifier were not shared' : 'the classifier were shared');
  }
  if (variant !== 'v0') {
    for (let g = 1; g <= 4096; g *= 2) {
      if (g !== groupSize && sizeOf('v2', config, g) === size) found.push(`group_size = ${g} (instead of ${groupSize})`);
    }
    if (variant !== 'v1-fp32' && sizeOf('v1-fp32', config, 0) === size) found.push('this were a v1-fp32 file (version 1, group_size 0)');
  }
  return found.slice(0, 3);
}

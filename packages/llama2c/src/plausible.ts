/**
 * Which of two int8 layouts a body has: the interleaved and the contiguous one have the same header and size (C-5.5).
 * Scales are finite, ≥ 0, < 10^6 and zero exactly where all values of their group are; int8 weights read as floats are not.
 */
import type { ByteSource } from '@weightspec/core';
import type { Region } from './layout.js';
import { scalesName } from './layout.js';
import { float32s } from './views.js';

const GROUPS_PER_TENSOR = 512;
const TENSORS = 24;
const VALUE_BYTES = 1 << 20;
/** Smallest normal f32: below it a group's largest value need not be 127, and scales may underflow. */
const SMALLEST_NORMAL = 2 ** -126;

export interface LayoutEvidence {
  readonly groupsTested: number;
  readonly plausible: number;
  /** [start, end) of the scales read first, to point at. */
  readonly byteRange: readonly [number, number];
}

/** Reads up to 512 groups of up to 24 tensors spread over the file and counts the plausible scales. At most ~25 MiB, one tensor at a time. */
export async function testLayout(source: ByteSource, regions: readonly Region[], groupSize: number): Promise<LayoutEvidence> {
  const byName = new Map(regions.map((region) => [region.name, region]));
  const quantized = regions.filter((region) => region.dtype === 'I8');
  const stride = Math.max(1, Math.ceil(quantized.length / TENSORS));
  let groupsTested = 0;
  let plausible = 0;
  let byteRange: readonly [number, number] | undefined;
  for (let i = 0; i < quantized.length; i += stride) {
    const values = quantized[i]!;
    const scales = byName.get(scalesName(values.name))!;
    const valueBytes = Math.max(1, Math.min(groupSize, VALUE_BYTES));
    const groups = Math.min(GROUPS_PER_TENSOR, scales.length / 4, Math.max(1, Math.floor(VALUE_BYTES / groupSize)));
    const scaleValues = float32s(await source.read(scales.offset, groups * 4));
    const quantizedBytes = await source.read(values.offset, groups === 1 ? valueBytes : groups * groupSize);
    byteRange ??= [scales.offset, scales.offset + groups * 4];
    for (let group = 0; group < groups; group++) {
      const anyValue = quantizedBytes.subarray(group * groupSize, group * groupSize + valueBytes).some((q) => q !== 0);
      const wholeGroupSeen = valueBytes === groupSize;
      groupsTested++;
      if (plausibleScale(scaleValues[group]!, anyValue, wholeGroupSeen)) plausible++;
    }
  }
  return { groupsTested, plausible, byteRange: byteRange ?? [0, 0] };
}

function plausibleScale(scale: number, anyValue: boolean, wholeGroupSeen: boolean): boolean {
  if (!(scale >= 0 && scale < 1e6)) return false;
  if (scale > 0 && scale < SMALLEST_NORMAL) return true;
  if (anyValue) return scale > 0;
  return !wholeGroupSeen || scale === 0;
}

export type LayoutDecision = 'interleaved' | 'contiguous' | 'both' | 'neither';

/**
 * A single damaged scale must not make the whole layout unreadable: the reading under which more groups are plausible wins,
 * if at least nine in ten are. Weights read as scales pass nearly half the time (973 and 1040 of 2196 in the two layouts of stories260K).
 */
export function decideLayout(interleaved: LayoutEvidence, contiguous: LayoutEvidence): LayoutDecision {
  const share = (evidence: LayoutEvidence) => evidence.plausible / Math.max(1, evidence.groupsTested);
  const [i, c] = [share(interleaved), share(contiguous)];
  if (i < 0.9 && c < 0.9) return 'neither';
  if (i === c) return 'both';
  return i > c ? 'interleaved' : 'contiguous';
}

/** Which of the two int8 layouts a body has, by its content (C-5.5): header and size are the same. */
import type { SyncBytes } from './sync-bytes.js';

/** `both` when the two readings are equally plausible, `neither` when none is. */
export type Int8Layout = 'interleaved' | 'contiguous' | 'both' | 'neither';

/** Of huge matrices the first groups suffice. */
const MAX_GROUPS_PER_MATRIX = 4096;
const SMALLEST_NORMAL_F32 = 2 ** -126;

/** `bodyOffset` is where the first value of the first matrix lies, `elementCounts` the sizes of all matrices in order T. */
export function chooseInt8Layout(source: SyncBytes, groupSize: number, bodyOffset: number, elementCounts: readonly number[]): Int8Layout {
  const scaleBytes = elementCounts.map((elementCount) => (4 * elementCount) / groupSize);
  const sumBefore = (counts: readonly number[], i: number) => counts.slice(0, i).reduce((sum, count) => sum + count, 0);
  const allValues = sumBefore(elementCounts, elementCounts.length);
  const shareOfPlausible = (valuesAt: (i: number) => number, scalesAt: (i: number) => number): number => {
    const verdicts = elementCounts.flatMap((elementCount, i) => plausibleScales(source, valuesAt(i), scalesAt(i), Math.min(elementCount / groupSize, MAX_GROUPS_PER_MATRIX), groupSize));
    return verdicts.filter(Boolean).length / verdicts.length;
  };
  const interleavedAt = (i: number) => bodyOffset + sumBefore(elementCounts, i) + sumBefore(scaleBytes, i);
  const interleaved = shareOfPlausible(interleavedAt, (i) => interleavedAt(i) + elementCounts[i]!);
  const contiguous = shareOfPlausible((i) => bodyOffset + sumBefore(elementCounts, i), (i) => bodyOffset + allValues + sumBefore(scaleBytes, i));
  if (Math.max(interleaved, contiguous) < 0.9) return 'neither';
  if (interleaved === contiguous) return 'both';
  return interleaved > contiguous ? 'interleaved' : 'contiguous';
}

function plausibleScales(source: SyncBytes, valuesOffset: number, scalesOffset: number, groupCount: number, groupSize: number): boolean[] {
  const values = source.read(valuesOffset, groupCount * groupSize);
  const scales = source.read(scalesOffset, groupCount * 4);
  const view = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  return Array.from({ length: groupCount }, (_, group) => {
    const scale = view.getFloat32(4 * group, true);
    const allZero = values.subarray(group * groupSize, (group + 1) * groupSize).every((value) => value === 0);
    const subnormal = scale > 0 && scale < SMALLEST_NORMAL_F32;
    return scale >= 0 && scale < 1e6 && (subnormal || (scale === 0) === allZero);
  });
}

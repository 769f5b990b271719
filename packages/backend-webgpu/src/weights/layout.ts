/**
 * How a matrix lies on the device. A row is made of units of one or more 16-byte words, so that shaders load whole words whatever
 * the block size of the file: values, scales and fifth bits, which files interleave, lie in planes of their own.
 *
 *   plane    what                                              bytes a row
 *   values   the codes, in file order                          units · 16
 *   scales   one f16 (f16 pair with a minimum) a block, or f32 a group
 *   high     q5: the fifth bits of a block                     4 a block
 *
 * Matrices whose blocks or groups cross rows in other ways than listed are decoded to f32 on the way (`F32`).
 */

export type PlaneName = 'values' | 'scales' | 'high';

export interface Plane {
  readonly name: PlaneName;
  readonly bytesPerRow: number;
}

/** How shaders decode a unit; each has a decoder in wgsl/decode.ts. */
export type UnitKind = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0' | 'INT8_BY_16' | 'INT8_BY_4';

export interface Layout {
  readonly kind: UnitKind;
  readonly columns: number;
  readonly unitsPerRow: number;
  /** Those that are cut by rows, like the matrix. */
  readonly planes: readonly Plane[];
  /** Int8 groups: elements of the flattened tensor that share an f32. Their scales are cut by groups. */
  readonly groupSize?: number;
}

/** Elements of x that one unit multiplies. */
export const unitElements: Readonly<Record<UnitKind, number>> = { F32: 4, F16: 8, BF16: 8, Q4_0: 32, Q4_1: 32, Q5_0: 32, Q5_1: 32, Q8_0: 16, INT8_BY_16: 16, INT8_BY_4: 16 };

const plainKinds: ReadonlySet<string> = new Set<UnitKind>(['F32', 'F16', 'BF16']);
const blockElements = 32;
/** Bytes a block in each plane, values first. */
const blockPlanes: Readonly<Record<string, Readonly<Partial<Record<PlaneName, number>>>>> = {
  Q4_0: { values: 16, scales: 2 },
  Q4_1: { values: 16, scales: 4 },
  Q5_0: { values: 16, scales: 2, high: 4 },
  Q5_1: { values: 16, scales: 4, high: 4 },
  Q8_0: { values: 32, scales: 2 },
};
const groupedStorages: ReadonlySet<string> = new Set(['llama2c-q8', 'llama2c-q8-wmax', 'lmdeploy-int8']);

/** Storages that shaders unpack. */
export const storages: readonly string[] = [...plainKinds, ...Object.keys(blockPlanes), ...groupedStorages];

/** `groupSize`: elements that share a scale, where the storage has int8 groups. */
export function layoutOf(storage: string, columns: number, groupSize = columns): Layout {
  if (plainKinds.has(storage)) return rowsOfUnits(storage as UnitKind, columns);
  const blocks = blockPlanes[storage];
  if (blocks && columns % blockElements === 0) {
    const kind = storage as UnitKind;
    const planes = Object.entries(blocks).map(([name, bytes]) => ({ name: name as PlaneName, bytesPerRow: (columns / blockElements) * bytes }));
    return { kind, columns, unitsPerRow: columns / unitElements[kind], planes };
  }
  if (groupedStorages.has(storage)) {
    const fits = (elements: number): boolean => columns % elements === 0 && groupSize % elements === 0;
    if (fits(16)) return { ...rowsOfUnits('INT8_BY_16', columns), groupSize };
    if (fits(4)) return { ...rowsOfUnits('INT8_BY_4', columns), groupSize };
  }
  return rowsOfUnits('F32', columns);
}

/** One word of 16 bytes a unit; the last of a row is filled up with zeros. */
function rowsOfUnits(kind: UnitKind, columns: number): Layout {
  const unitsPerRow = Math.ceil(columns / unitElements[kind]);
  return { kind, columns, unitsPerRow, planes: [{ name: 'values', bytesPerRow: unitsPerRow * 16 }] };
}

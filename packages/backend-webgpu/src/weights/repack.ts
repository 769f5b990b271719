/**
 * Rows of a weight as they lie in a file, rearranged into planes (layout.ts). Pure functions over one chunk of rows.
 * Little-endian hosts only, as every host of JavaScript engines in use is.
 */
import type { Layout, PlaneName } from './layout.js';

export type PlaneBytes = Readonly<Partial<Record<PlaneName, Uint8Array<ArrayBuffer>>>>;

const roundUp = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** 16-bit fields of a block, in file order, and the plane that each run of them goes to. */
const blockFields: Readonly<Record<string, readonly (readonly [plane: PlaneName, halves: number])[]>> = {
  Q4_0: [['scales', 1], ['values', 8]],
  Q4_1: [['scales', 2], ['values', 8]],
  Q5_0: [['scales', 1], ['high', 2], ['values', 8]],
  Q5_1: [['scales', 2], ['high', 2], ['values', 8]],
  Q8_0: [['scales', 1], ['values', 16]],
};

/** `bytes`: whole rows of the part `values`. Every plane is filled up to a multiple of 4 bytes. */
export function repackRows(layout: Layout, bytes: Uint8Array, rowCount: number): PlaneBytes {
  const fields = blockFields[layout.kind];
  return fields ? separateBlocks(layout, fields, bytes, rowCount) : { values: padRows(bytes, rowCount, layout.planes[0]!.bytesPerRow) };
}

function separateBlocks(layout: Layout, fields: readonly (readonly [PlaneName, number])[], bytes: Uint8Array, rowCount: number): PlaneBytes {
  const source = halvesOf(bytes);
  const planes = Object.fromEntries(layout.planes.map(({ name, bytesPerRow }) => [name, new Uint8Array(roundUp(rowCount * bytesPerRow))]));
  const halvesPerBlock = fields.reduce((sum, [, halves]) => sum + halves, 0);
  let start = 0;
  for (const [name, halves] of fields) {
    const plane = new Uint16Array(planes[name]!.buffer);
    for (let from = start, to = 0; from < source.length; from += halvesPerBlock) {
      for (let i = 0; i < halves; i += 1) plane[to + i] = source[from + i]!;
      to += halves;
    }
    start += halves;
  }
  return planes;
}

/** The same bytes as u16; copied when they start at an odd one. */
function halvesOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
}

/** Rows one after the other, each filled up with zeros to `bytesPerRow`. */
export function padRows(bytes: Uint8Array, rowCount: number, bytesPerRow: number): Uint8Array<ArrayBuffer> {
  if (bytes.length === rowCount * bytesPerRow && bytes.buffer instanceof ArrayBuffer) return bytes as Uint8Array<ArrayBuffer>;
  const padded = new Uint8Array(rowCount * bytesPerRow);
  const length = bytes.length / rowCount;
  for (let row = 0; row < rowCount; row += 1) padded.set(bytes.subarray(row * length, (row + 1) * length), row * bytesPerRow);
  return padded;
}

/**
 * f32 scales of int8 groups for the device; those of `llama2c-q8-wmax` are divided here, with one rounding, because WGSL's division
 * may have more.
 */
export function groupScales(storage: string, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const scales = new Float32Array(bytes.slice().buffer);
  return storage === 'llama2c-q8-wmax' ? scales.map((scale) => scale / 127) : scales;
}

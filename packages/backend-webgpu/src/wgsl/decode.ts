/**
 * Unpacking one unit of a weight row (weights/layout.ts). `unitCodes` gives the codes of a unit as f32 in the order of the
 * columns and returns (scale, minimum); an element is code · scale + minimum. Codes and f16 are exact in f32.
 * Block layouts: ggml-common.h; in q4 and q5 byte j of a block holds element j in its low and j + 16 in its high nibble.
 * No arithmetic is done in f16: its 11 bits would exceed the bounds of the contract.
 */
import { unitElements, type PlaneName, type UnitKind } from '../weights/layout.js';
import type { Binding } from './kernel.js';

export interface Decoder {
  readonly kind: UnitKind;
  /** vec4 a unit. */
  readonly quads: number;
  readonly hasScale: boolean;
  readonly hasMinimum: boolean;
  readonly planes: readonly PlaneName[];
  readonly bindings: readonly Binding[];
  /** Declares `unitCodes(row, unit, codes)`, with the row of the range. Uses op.planeRow, op.unitsPerRow, op.columns, op.groupSize and op.groupOffset. */
  readonly code: string;
}

/**
 * Constants of every kernel that reads a matrix, or a range of its rows. `planeRow`: row of the planes that the range starts at;
 * `firstOut`: row of the matrix; `groupOffset`: place of the planes' first element in its group; strides in quads.
 */
export const matrixConstants = [['rows', 'u32'], ['columns', 'u32'], ['unitsPerRow', 'u32'], ['planeRow', 'u32'], ['firstOut', 'u32'], ['groupSize', 'u32'], ['groupOffset', 'u32'], ['xStride', 'u32'], ['outStride', 'u32']] as const;

const unsignedBytes = 'fn unsignedBytes(word: u32) -> vec4<f32> { return vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u)); }';
const signedBytes = 'fn signedBytes(word: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }';
/** The f16 at 2-byte place `at` of the plane of scales. */
const halfAt = 'fn halfAt(at: u32) -> f32 { let pair = unpack2x16float(scales[at / 2u]); return select(pair.x, pair.y, (at & 1u) == 1u); }';
/** Bits 0 … 3 of `bits` as 16 or 0. */
const fifths = 'fn fifths(bits: u32) -> vec4<f32> { return vec4<f32>(((vec4<u32>(bits) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) << vec4<u32>(4u)); }';

const four = [0, 1, 2, 3] as const;
const parts = ['x', 'y', 'z', 'w'] as const;

const nibbles = (offset: number): string[] => four.flatMap((i) => [
  `(*codes)[${i}] = unsignedBytes(word.${parts[i]} & 0x0f0f0f0fu) - ${offset}.0;`,
  `(*codes)[${i + 4}] = unsignedBytes((word.${parts[i]} >> 4u) & 0x0f0f0f0fu) - ${offset}.0;`,
]);
const fiveBits = (offset: number): string[] => [
  'let bits = high[block];',
  ...four.flatMap((i) => [
    `(*codes)[${i}] = unsignedBytes(word.${parts[i]} & 0x0f0f0f0fu) + fifths(bits >> ${4 * i}u) - ${offset}.0;`,
    `(*codes)[${i + 4}] = unsignedBytes((word.${parts[i]} >> 4u) & 0x0f0f0f0fu) + fifths(bits >> ${16 + 4 * i}u) - ${offset}.0;`,
  ]),
];
const group = (element: string): string => `bitcast<f32>(scales[(op.groupOffset + row * op.columns + ${element}) / op.groupSize])`;
const scaleOfBlock = 'return vec2<f32>(halfAt(block), 0.0);';
const scaleAndMinimum = 'return unpack2x16float(scales[block]);';
const alone = 'return vec2<f32>(1.0, 0.0);';

interface Row {
  readonly planes: readonly PlaneName[];
  readonly helpers?: readonly string[];
  readonly minimum?: boolean;
  readonly scale?: boolean;
  /** `word` is the unit's 16 bytes, `block` its number in the matrix. */
  readonly body: readonly string[];
}

const rows: Readonly<Record<UnitKind, Row>> = {
  F32: { planes: ['values'], body: ['(*codes)[0] = bitcast<vec4<f32>>(word);', alone] },
  F16: { planes: ['values'], body: ['(*codes)[0] = vec4<f32>(unpack2x16float(word.x), unpack2x16float(word.y));', '(*codes)[1] = vec4<f32>(unpack2x16float(word.z), unpack2x16float(word.w));', alone] },
  BF16: {
    planes: ['values'],
    body: ['let low = bitcast<vec4<f32>>(word << vec4<u32>(16u));', 'let upper = bitcast<vec4<f32>>(word & vec4<u32>(0xffff0000u));', '(*codes)[0] = vec4<f32>(low.x, upper.x, low.y, upper.y);', '(*codes)[1] = vec4<f32>(low.z, upper.z, low.w, upper.w);', alone],
  },
  Q4_0: { planes: ['values', 'scales'], helpers: [unsignedBytes, halfAt], scale: true, body: [...nibbles(8), scaleOfBlock] },
  Q4_1: { planes: ['values', 'scales'], helpers: [unsignedBytes], scale: true, minimum: true, body: [...nibbles(0), scaleAndMinimum] },
  Q5_0: { planes: ['values', 'scales', 'high'], helpers: [unsignedBytes, halfAt, fifths], scale: true, body: [...fiveBits(16), scaleOfBlock] },
  Q5_1: { planes: ['values', 'scales', 'high'], helpers: [unsignedBytes, fifths], scale: true, minimum: true, body: [...fiveBits(0), scaleAndMinimum] },
  Q8_0: { planes: ['values', 'scales'], helpers: [signedBytes, halfAt], scale: true, body: [...four.map((i) => `(*codes)[${i}] = signedBytes(word.${parts[i]});`), 'return vec2<f32>(halfAt(block / 2u), 0.0);'] },
  INT8_BY_16: { planes: ['values', 'scales'], helpers: [signedBytes], scale: true, body: [...four.map((i) => `(*codes)[${i}] = signedBytes(word.${parts[i]});`), `return vec2<f32>(${group('unit * 16u')}, 0.0);`] },
  // The last words of a row may be filled up; their scale is that of the last element, not of the next row.
  INT8_BY_4: { planes: ['values', 'scales'], helpers: [signedBytes], body: [...four.map((i) => `(*codes)[${i}] = signedBytes(word.${parts[i]}) * ${group(`min(unit * 16u + ${4 * i}u, op.columns - 1u)`)};`), alone] },
};

export const unitKinds = Object.keys(rows) as readonly UnitKind[];

export function decoderOf(kind: UnitKind): Decoder {
  const { planes, helpers = [], scale = false, minimum = false, body } = rows[kind];
  const quads = unitElements[kind] / 4;
  return {
    kind,
    quads,
    hasScale: scale,
    hasMinimum: minimum,
    planes,
    bindings: planes.map((name) => ({ name, type: name === 'values' ? 'vec4<u32>' : 'u32', access: 'read' })),
    code: `alias Unit = array<vec4<f32>, ${quads}>;
${helpers.join('\n')}
fn unitCodes(rangeRow: u32, unit: u32, codes: ptr<function, Unit>) -> vec2<f32> {
  let row = op.planeRow + rangeRow;
  let block = row * op.unitsPerRow + unit;
  let word = values[block];
  ${body.join('\n  ')}
}`,
  };
}

/** WGSL of quad `i` of a unit as weights, where `codes` and `factors` are what unitCodes gave. */
export function decodedQuad({ hasScale, hasMinimum }: Decoder, i: string): string {
  if (!hasScale) return `codes[${i}]`;
  return hasMinimum ? `codes[${i}] * factors.x + factors.y` : `codes[${i}] * factors.x`;
}

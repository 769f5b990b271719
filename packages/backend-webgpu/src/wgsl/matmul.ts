/**
 * out = W x (+ bias), for one token and for many. Both read a range of W's rows and write the same range of out's columns.
 * x and W are filled up with zeros to whole units.
 */
import { decodedQuad, decoderOf, matrixConstants, type Decoder } from './decode.js';
import { abilitiesName, kernel, type Abilities, type Binding, type Kernel } from './kernel.js';
import { reduction } from './reduce.js';
import type { UnitKind } from '../weights/layout.js';

/** Rows of W that one workgroup multiplies by one token: several streams at once hide the latency of memory. */
export const ROWS_PER_GROUP = 4;
/** Rows of W, and tokens, of one workgroup's tile. */
export const TILE = 32;

const xAndOut = (biased: boolean): Binding[] => [
  { name: 'x', type: 'vec4<f32>', access: 'read' },
  ...(biased ? [{ name: 'bias', type: 'f32', access: 'read' } as const] : []),
  { name: 'out', type: 'f32', access: 'write' },
];
const constants = matrixConstants;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What one unit of row `r` adds to its sum: codes · x first, then the unit's scale and minimum. */
function addUnit(decoder: Decoder, r: number): string {
  const products = numbers(decoder.quads).map((i) => `dot(codes[${i}], xs[${i}])`).join(' + ');
  const scaled = decoder.hasScale ? `factors${r}.x * (${products})` : products;
  return `    let factors${r} = unitCodes(min(row + ${r}u, op.rows - 1u), unit, &codes);
    sums[${r}] += ${decoder.hasMinimum ? `${scaled} + factors${r}.y * xSum` : scaled};`;
}

/** One token: the invocations of a workgroup share the units of four rows. */
export function matvecKernel(kind: UnitKind, biased: boolean, abilities: Abilities): Kernel {
  const decoder = decoderOf(kind);
  const sum = reduction('sum4', abilities);
  return kernel({
    name: `matvec by ${kind}${biased ? ' with bias' : ''}${abilitiesName(abilities)}`,
    bindings: [...decoder.bindings, ...xAndOut(biased)],
    constants,
    workgroupSize: abilities.invocations,
    reductions: [sum],
    declarations: decoder.code,
    body: `  let row = group * ${ROWS_PER_GROUP}u;
  if (row >= op.rows) { return; }
  var sums = vec4<f32>();
  for (var unit = local; unit < op.unitsPerRow; unit += WORKGROUP) {
    let at = batch.firstRow * op.xStride + unit * ${decoder.quads}u;
    var xs: Unit;
    var codes: Unit;
${numbers(decoder.quads).map((i) => `    xs[${i}] = x[at + ${i}u];`).join('\n')}
${decoder.hasMinimum ? `    let xSum = dot(${numbers(decoder.quads).map((i) => `xs[${i}]`).join(' + ')}, vec4<f32>(1.0));` : ''}
${numbers(ROWS_PER_GROUP).map((r) => addUnit(decoder, r)).join('\n')}
  }
  let totals = ${sum.call('sums')};
  if (local < ${ROWS_PER_GROUP}u && row + local < op.rows) {
    let column = op.firstOut + row + local;
    out[batch.firstRow * op.outStride * 4u + column] = totals[local]${biased ? ' + bias[column]' : ''};
  }`,
  });
}

/**
 * Many tokens: tiles of 32 rows × 32 tokens, 32 columns of W at a time through workgroup memory, 4 × 4 sums an invocation.
 * A tile is stored by column with an odd stride, so that neighbours do not meet in one memory bank.
 */
export function matmulKernel(kind: UnitKind, biased: boolean): Kernel {
  const decoder = decoderOf(kind);
  const unitsPerStep = TILE / (decoder.quads * 4);
  return kernel({
    name: `matmul by ${kind}${biased ? ' with bias' : ''}`,
    bindings: [...decoder.bindings, ...xAndOut(biased)],
    constants,
    workgroupSize: 64,
    declarations: `${decoder.code}
const STRIDE = ${TILE + 1}u;
var<workgroup> weights: array<f32, ${TILE * (TILE + 1)}>;
var<workgroup> activations: array<f32, ${TILE * (TILE + 1)}>;`,
    body: `  let rowTiles = (op.rows + ${TILE - 1}u) / ${TILE}u;
  let firstRow = (group % rowTiles) * ${TILE}u;
  let firstToken = (group / rowTiles) * ${TILE}u;
  if (firstToken >= batch.rowCount) { return; }
  let ownRow = local % 8u;
  let ownToken = local / 8u;
  var sums: array<vec4<f32>, 4>;
  for (var firstUnit = 0u; firstUnit < op.unitsPerRow; firstUnit += ${unitsPerStep}u) {
    for (var i = local; i < ${TILE * unitsPerStep}u; i += WORKGROUP) {
      let row = firstRow + i / ${unitsPerStep}u;
      let unit = firstUnit + i % ${unitsPerStep}u;
      var codes: Unit;
      var factors = vec2<f32>();
      if (row < op.rows && unit < op.unitsPerRow) { factors = unitCodes(row, unit, &codes); }
      let at = (i % ${unitsPerStep}u) * ${decoder.quads * 4}u * STRIDE + i / ${unitsPerStep}u;
      for (var q = 0u; q < ${decoder.quads}u; q++) {
        let quad = ${decodedQuad(decoder, 'q')};
        for (var c = 0u; c < 4u; c++) { weights[at + (4u * q + c) * STRIDE] = quad[c]; }
      }
    }
    for (var i = local; i < ${TILE * (TILE / 4)}u; i += WORKGROUP) {
      let token = i / ${TILE / 4}u;
      let quad = i % ${TILE / 4}u;
      var values = vec4<f32>();
      if (firstToken + token < batch.rowCount) { values = x[(batch.firstRow + firstToken + token) * op.xStride + firstUnit * ${decoder.quads}u + quad]; }
      for (var c = 0u; c < 4u; c++) { activations[(quad * 4u + c) * STRIDE + token] = values[c]; }
    }
    workgroupBarrier();
    for (var k = 0u; k < ${TILE}u; k++) {
      let at = k * STRIDE + ownRow;
      let column = vec4<f32>(weights[at], weights[at + 8u], weights[at + 16u], weights[at + 24u]);
${numbers(4).map((t) => `      sums[${t}] += column * activations[k * STRIDE + ownToken + ${8 * t}u];`).join('\n')}
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < 4u; t++) {
    let token = firstToken + ownToken + 8u * t;
    for (var r = 0u; r < 4u; r++) {
      let row = firstRow + ownRow + 8u * r;
      if (token < batch.rowCount && row < op.rows) {
        let column = op.firstOut + row;
        out[(batch.firstRow + token) * op.outStride * 4u + column] = sums[t][r]${biased ? ' + bias[column]' : ''};
      }
    }
  }`,
  });
}

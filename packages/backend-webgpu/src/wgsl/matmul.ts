/**
 * out = W x (+ bias), for one token and for many. Both read a range of W's rows and write the same range of out's columns.
 * x and W are filled up with zeros to whole units. For one token, what comes before and after can be done on the way.
 */
import type { UnitKind } from '../weights/layout.js';
import { decodedQuad, decoderOf, matrixConstants, type Decoder } from './decode.js';
import { swigluFunction } from './elementwise.js';
import { abilitiesName, kernel, type Abilities, type Binding, type Kernel } from './kernel.js';
import { reduction } from './reduce.js';

/** Products of W's rows with one token that a workgroup computes: several streams at once hide the latency of memory. */
export const ROWS_PER_GROUP = 4;
/** Rows of W, and tokens, of one workgroup's tile. */
export const TILE = 32;
/** Outputs that a stack may have: with planes, x, vectors and them a kernel has the 8 storage buffers that every device allows. */
export const MOST_OUTS = 3;

/** Where a product is added to something: a buffer apart from out, or out itself. */
export type Added = 'apart' | 'inPlace';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What one unit of row `r` adds to its sum: codes · x first, then the unit's scale and minimum. */
function addUnit(decoder: Decoder, r: number, row: string): string {
  const products = numbers(decoder.quads).map((i) => `dot(codes[${i}], xs[${i}])`).join(' + ');
  const scaled = decoder.hasScale ? `factors${r}.x * (${products})` : products;
  return `    let factors${r} = unitCodes(${row}, unit, &codes);
    sums[${r}] += ${decoder.hasMinimum ? `${scaled} + factors${r}.y * xSum` : scaled};`;
}

export interface MatvecForm {
  readonly kind: UnitKind;
  /** x is normalized first. `vectors` then starts with the norm's weight. */
  readonly norm?: boolean;
  /** `vectors` holds the bias of all rows from quad `biasStart` on. */
  readonly bias?: boolean;
  /** The rows of a stack go to so many buffers, from row 0, `start1` and `start2` on. Default 1. */
  readonly outs?: number;
  readonly added?: Added;
  /** Upper half of the stack is the gate, the lower half up; out = silu(gate) · up. */
  readonly swiglu?: boolean;
}

/** `start1`, `start2`: rows; strides and `biasStart` in quads. */
export const matvecConstants = [...matrixConstants, ['eps', 'f32'], ['biasStart', 'u32'], ['start1', 'u32'], ['start2', 'u32'], ['outStride1', 'u32'], ['outStride2', 'u32']] as const;

/** Rows of out that one workgroup computes. */
export const rowsPerGroup = ({ swiglu }: MatvecForm): number => (swiglu ? ROWS_PER_GROUP / 2 : ROWS_PER_GROUP);

/**
 * One token: the invocations of a workgroup share the units of four rows. The root mean square of a norm is one factor of all
 * products, so that x is read only once. Bindings: planes, x, vectors (norm or bias), other (added apart), outs.
 */
export function matvecKernel(form: MatvecForm, abilities: Abilities): Kernel {
  const { kind, norm = false, bias = false, outs = 1, added, swiglu = false } = form;
  const decoder = decoderOf(kind);
  const sum4 = reduction('sum4', abilities);
  const sum = reduction('sum', abilities);
  const extras = [norm && 'norm', bias && 'bias', outs > 1 && `${outs} outs`, added && `added ${added}`, swiglu && 'swiglu'].filter(Boolean);
  const rowOf = (r: number): string => (swiglu ? `min(row + ${r % 2}u, half - 1u)${r < 2 ? '' : ' + half'}` : `min(row + ${r}u, op.rows - 1u)`);
  const bindings: Binding[] = [
    ...decoder.bindings,
    { name: 'x', type: 'vec4<f32>', access: 'read' },
    ...(norm || bias ? [{ name: 'vectors', type: 'vec4<f32>', access: 'read' } as const] : []),
    ...(added === 'apart' ? [{ name: 'other', type: 'f32', access: 'read' } as const] : []),
    ...numbers(outs).map((i): Binding => ({ name: `out${i}`, type: 'f32', access: 'write' })),
  ];
  return kernel({
    name: `matvec by ${kind}${extras.length > 0 ? ` with ${extras.join(', ')}` : ''}${abilitiesName(abilities)}`,
    bindings,
    constants: matvecConstants,
    workgroupSize: abilities.invocations,
    reductions: norm ? [sum4, sum] : [sum4],
    declarations: `${decoder.code}
${bias ? 'fn biasOf(column: u32) -> f32 { return vectors[op.biasStart + column / 4u][column % 4u]; }' : ''}
${swiglu ? swigluFunction('f32') : ''}`,
    body: `  let row = group * ${rowsPerGroup(form)}u;
  ${swiglu ? 'let half = op.rows / 2u;' : ''}
  if (row >= ${swiglu ? 'half' : 'op.rows'}) { return; }
  var sums = vec4<f32>();
  ${norm ? 'var squares = 0.0;' : ''}
  for (var unit = local; unit < op.unitsPerRow; unit += WORKGROUP) {
    let at = unit * ${decoder.quads}u;
    let xAt = batch.firstRow * op.xStride + at;
    var xs: Unit;
    var codes: Unit;
${numbers(decoder.quads).map((i) => `    xs[${i}] = x[xAt + ${i}u];${norm ? ` squares += dot(xs[${i}], xs[${i}]); xs[${i}] *= vectors[at + ${i}u];` : ''}`).join('\n')}
${decoder.hasMinimum ? `    let xSum = dot(${numbers(decoder.quads).map((i) => `xs[${i}]`).join(' + ')}, vec4<f32>(1.0));` : ''}
${numbers(ROWS_PER_GROUP).map((r) => addUnit(decoder, r, rowOf(r))).join('\n')}
  }
  let products = ${sum4.call('sums')}${norm ? ` * inverseSqrt(${sum.call('squares')} / f32(op.columns) + op.eps)` : ''};
${swiglu ? gatedEnd(bias) : plainEnd(bias, outs, added)}`,
  });
}

const gatedEnd = (bias: boolean): string => `  if (local < ${ROWS_PER_GROUP / 2}u && row + local < half) {
    let column = row + local;
    let gate = products[local]${bias ? ' + biasOf(column)' : ''};
    let up = products[local + ${ROWS_PER_GROUP / 2}u]${bias ? ' + biasOf(half + column)' : ''};
    out0[batch.firstRow * op.outStride * 4u + column] = swiglu(gate, up);
  }`;

function plainEnd(bias: boolean, outs: number, added?: Added): string {
  const store = (i: number): string => {
    const at = `batch.firstRow * op.outStride${i || ''} * 4u + column${i === 0 ? '' : ` - op.start${i}`}`;
    return `out${i}[${at}] = product${addend(`out${i}`, at, added)};`;
  };
  const choice = numbers(outs).map((i) => (i < outs - 1 ? `if (column < op.start${i + 1}) { ${store(i)} }` : `{ ${store(i)} }`)).join(' else ');
  return `  if (local < ${ROWS_PER_GROUP}u && row + local < op.rows) {
    let column = op.firstOut + row + local;
    let product = products[local]${bias ? ' + biasOf(column)' : ''};
    ${choice}
  }`;
}

/** WGSL that adds what stands at `at`. */
function addend(out: string, at: string, added?: Added): string {
  if (added === undefined) return '';
  return ` + ${added === 'apart' ? 'other' : out}[${at}]`;
}

/**
 * Many tokens: tiles of 32 rows × 32 tokens, 32 columns of W at a time through workgroup memory, 4 × 4 sums an invocation.
 * A tile is stored by column with an odd stride, so that neighbours do not meet in one memory bank.
 */
export function matmulKernel({ kind, bias = false, added }: Pick<MatvecForm, 'kind' | 'bias' | 'added'>): Kernel {
  const decoder = decoderOf(kind);
  const unitsPerStep = TILE / (decoder.quads * 4);
  const out = '(batch.firstRow + token) * op.outStride * 4u + column';
  return kernel({
    name: `matmul by ${kind}${bias ? ' with bias' : ''}${added ? ` added ${added}` : ''}`,
    bindings: [
      ...decoder.bindings,
      { name: 'x', type: 'vec4<f32>', access: 'read' },
      ...(bias ? [{ name: 'bias', type: 'f32', access: 'read' } as const] : []),
      ...(added === 'apart' ? [{ name: 'other', type: 'f32', access: 'read' } as const] : []),
      { name: 'out', type: 'f32', access: 'write' },
    ],
    constants: matrixConstants,
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
        out[${out}] = sums[t][r]${bias ? ' + bias[column]' : ''}${addend('out', out, added)};
      }
    }
  }`,
  });
}

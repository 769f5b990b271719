/** Attention over a cache of keys and values [position, kvWidth] on the device. */
import type { SharingKernel } from './elementwise.js';
import { abilitiesName, distinctOperands, kernel, type Abilities, type Binding, type Kernel } from './kernel.js';
import { reduction } from './reduce.js';

/** Copies the rows of k and v to their positions in the layer's cache. Strides in elements. */
export function storeKernel(op: { readonly k: string; readonly v: string }): SharingKernel {
  const type = 'f32';
  const { bindings, buffers, variable } = distinctOperands([{ name: 'k', buffer: op.k, type, access: 'read' }, { name: 'v', buffer: op.v, type, access: 'read' }]);
  return {
    buffers,
    kernel: kernel({
      name: `store ${bindings.map(({ name }) => name).join(' ')}`,
      bindings: [{ name: 'keys', type, access: 'write' }, { name: 'values', type, access: 'write' }, ...bindings],
      constants: [['kvWidth', 'u32'], ['stride', 'u32']],
      workgroupSize: 64,
      body: `  if (index >= batch.rowCount * op.kvWidth) { return; }
  let row = batch.firstRow + index / op.kvWidth;
  let column = index % op.kvWidth;
  let at = (batch.position + row) * op.kvWidth + column;
  keys[at] = ${variable.k}[row * op.stride + column];
  values[at] = ${variable.v}[row * op.stride + column];`,
    }),
  };
}

/** f32 of workgroup memory that a head of `headDim` takes. */
export const attentionWorkgroupFloats = (headDim: number, { invocations }: Abilities): number => 2 * headDim + 3 * invocations;

/** Positions of a range where heads share their work among workgroups: a few rounds of each, and still enough of them for a card. */
export const RANGE_POSITIONS = 256;
/** Ranges of a context of so many positions. */
export const rangeCount = (positions: number): number => Math.ceil(positions / RANGE_POSITIONS);
/** f32 that a head's range leaves: sums of values, largest score, sum of weights. */
export const partialFloats = (headDim: number): number => headDim + 2;

/** Of all kernels here but store's. Strides in elements. */
export const attentionConstants = [['heads', 'u32'], ['headsPerKv', 'u32'], ['kvWidth', 'u32'], ['qStride', 'u32'], ['outStride', 'u32'], ['scale', 'f32']] as const;

const LOWEST = 'const LOWEST = -3.0e38;';
const range = `const RANGE = ${RANGE_POSITIONS}u;`;

/**
 * out = softmax(q kᵀ / sqrt(headDim)) v over positions ≤ own, one position an invocation at a time, with a running maximum (Milakov and Gimelshein,
 * Online normalizer calculation for softmax, 2018). One workgroup a head and token; an element of the sum belongs to one invocation.
 * When the maximum rises, sums of values and of weights are scaled by the same number, so that its error is that of the earlier
 * weights alone, and no larger than exp's for the range of the scores.
 */
export function attentionKernel(op: { readonly q: string; readonly out: string }, headDim: number, abilities: Abilities): SharingKernel {
  const { bindings, buffers, variable: v } = distinctOperands([{ name: 'q', buffer: op.q, type: 'f32', access: 'read' }, { name: 'out', buffer: op.out, type: 'f32', access: 'write' }]);
  return {
    buffers,
    kernel: attend('attention', headDim, abilities, bindings, {
      start: `  if (group >= batch.rowCount * op.heads) { return; }
  let row = batch.firstRow + group / op.heads;
  let head = group % op.heads;
  let start = 0u;
  let end = batch.position + row + 1u;`,
      query: v.q,
      store: `  for (var d = local; d < ${headDim}u; d += WORKGROUP) {
    ${v.out}[row * op.outStride + head * ${headDim}u + d] = attended[d] / total;
  }`,
    }),
  };
}

/** The same for one token and ranges of positions: a workgroup a head and range leaves what combineRangesKernel needs. */
export function attentionRangesKernel(headDim: number, abilities: Abilities): Kernel {
  const bindings: Binding[] = [{ name: 'q', type: 'f32', access: 'read' }, { name: 'partials', type: 'f32', access: 'write' }];
  return attend('attention to ranges', headDim, abilities, bindings, {
    declarations: range,
    start: `  let row = batch.firstRow;
  let positions = batch.position + row + 1u;
  let ranges = (positions + RANGE - 1u) / RANGE;
  let head = group / ranges;
  if (head >= op.heads) { return; }
  let start = group % ranges * RANGE;
  let end = min(start + RANGE, positions);`,
    query: 'q',
    store: `  let partial = group * ${partialFloats(headDim)}u;
  for (var d = local; d < ${headDim}u; d += WORKGROUP) { partials[partial + d] = attended[d]; }
  if (local == 0u) {
    partials[partial + ${headDim}u] = largest;
    partials[partial + ${headDim + 1}u] = total;
  }`,
  });
}

/** Puts a head's ranges together, scaled to the largest score of all. One workgroup a head. */
export function combineRangesKernel(headDim: number, { invocations }: Abilities): Kernel {
  return kernel({
    name: `combine ranges, heads of ${headDim}, ${invocations} invocations`,
    bindings: [{ name: 'partials', type: 'f32', access: 'read' }, { name: 'out', type: 'f32', access: 'write' }],
    constants: attentionConstants,
    workgroupSize: invocations,
    declarations: `${LOWEST}\n${range}\nconst PARTIAL = ${partialFloats(headDim)}u;`,
    body: `  if (group >= op.heads) { return; }
  let ranges = (batch.position + batch.firstRow + RANGE) / RANGE;
  let first = group * ranges * PARTIAL;
  var largest = LOWEST;
  for (var r = 0u; r < ranges; r++) { largest = max(largest, partials[first + r * PARTIAL + ${headDim}u]); }
  for (var d = local; d < ${headDim}u; d += WORKGROUP) {
    var sum = 0.0;
    var total = 0.0;
    for (var r = 0u; r < ranges; r++) {
      let at = first + r * PARTIAL;
      let shrink = exp(partials[at + ${headDim}u] - largest);
      sum += shrink * partials[at + d];
      total += shrink * partials[at + ${headDim + 1}u];
    }
    out[batch.firstRow * op.outStride + group * ${headDim}u + d] = sum / total;
  }`,
  });
}

interface AttendParts {
  readonly declarations?: string;
  /** Declares row, head, and the positions [start, end). */
  readonly start: string;
  /** Variable that holds the queries. */
  readonly query: string;
  /** What becomes of `attended`, `largest` and `total`. */
  readonly store: string;
}

function attend(name: string, headDim: number, abilities: Abilities, bindings: readonly Binding[], { declarations = '', start, query, store }: AttendParts): Kernel {
  const quads = headDim % 4 === 0;
  const sum = reduction('sum', abilities);
  const max = reduction('max', abilities);
  const keyLoop = quads
    ? `for (var d = 0u; d < ${headDim / 4}u; d++) {
        score += dot(vec4<f32>(query[4u * d], query[4u * d + 1u], query[4u * d + 2u], query[4u * d + 3u]), keys[keyAt / 4u + d]);
      }`
    : `for (var d = 0u; d < ${headDim}u; d++) { score += query[d] * keys[keyAt + d]; }`;
  return kernel({
    name: `${name}, heads of ${headDim}, ${bindings.map((binding) => binding.name).join(' ')}${abilitiesName(abilities)}`,
    bindings: [{ name: 'keys', type: quads ? 'vec4<f32>' : 'f32', access: 'read' }, { name: 'values', type: 'f32', access: 'read' }, ...bindings],
    constants: attentionConstants,
    workgroupSize: abilities.invocations,
    reductions: [sum, max],
    declarations: `var<workgroup> query: array<f32, ${headDim}>;
var<workgroup> attended: array<f32, ${headDim}>;
var<workgroup> weights: array<f32, WORKGROUP>;
${LOWEST}
${declarations}`,
    body: `${start}
  let kvStart = head / op.headsPerKv * ${headDim}u;
  for (var d = local; d < ${headDim}u; d += WORKGROUP) {
    query[d] = ${query}[row * op.qStride + head * ${headDim}u + d];
    attended[d] = 0.0;
  }
  workgroupBarrier();
  var largest = LOWEST;
  var total = 0.0;
  for (var first = start; first < end; first += WORKGROUP) {
    let count = min(WORKGROUP, end - first);
    var score = 0.0;
    if (local < count) {
      let keyAt = (first + local) * op.kvWidth + kvStart;
      ${keyLoop}
      score *= op.scale;
    } else {
      score = LOWEST;
    }
    let newLargest = max(largest, ${max.call('score')});
    let shrink = select(exp(largest - newLargest), 0.0, first == start);
    let weight = exp(score - newLargest);
    weights[local] = weight;
    total = total * shrink + ${sum.call('weight')};
    largest = newLargest;
    for (var d = local; d < ${headDim}u; d += WORKGROUP) {
      var sum = attended[d] * shrink;
      for (var p = 0u; p < count; p++) { sum += weights[p] * values[(first + p) * op.kvWidth + kvStart + d]; }
      attended[d] = sum;
    }
    workgroupBarrier();
  }
${store}`,
  });
}

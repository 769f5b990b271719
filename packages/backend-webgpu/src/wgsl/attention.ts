/** Attention over a cache of keys and values [position, kvWidth] on the device. */
import type { SharingKernel } from './elementwise.js';
import { abilitiesName, distinctOperands, kernel, type Abilities, type Kernel } from './kernel.js';
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

/**
 * out = softmax(q kᵀ / sqrt(headDim)) v over positions ≤ own, one position an invocation at a time, with a running maximum (Milakov and Gimelshein,
 * Online normalizer calculation for softmax, 2018). One workgroup a head and token; an element of the sum belongs to one invocation.
 * When the maximum rises, sums of values and of weights are scaled by the same number, so that its error is that of the earlier
 * weights alone, and no larger than exp's for the range of the scores. Strides in elements.
 */
export function attentionKernel(op: { readonly q: string; readonly out: string }, headDim: number, abilities: Abilities): SharingKernel {
  const quads = headDim % 4 === 0;
  const { bindings, buffers, variable: v } = distinctOperands([{ name: 'q', buffer: op.q, type: 'f32', access: 'read' }, { name: 'out', buffer: op.out, type: 'f32', access: 'write' }]);
  const sum = reduction('sum', abilities);
  const max = reduction('max', abilities);
  const keyLoop = quads
    ? `for (var d = 0u; d < ${headDim / 4}u; d++) {
        score += dot(vec4<f32>(query[4u * d], query[4u * d + 1u], query[4u * d + 2u], query[4u * d + 3u]), keys[keyAt / 4u + d]);
      }`
    : `for (var d = 0u; d < ${headDim}u; d++) { score += query[d] * keys[keyAt + d]; }`;
  const attend: Kernel = kernel({
    name: `attention, heads of ${headDim}, ${bindings.map(({ name }) => name).join(' ')}${abilitiesName(abilities)}`,
    bindings: [{ name: 'keys', type: quads ? 'vec4<f32>' : 'f32', access: 'read' }, { name: 'values', type: 'f32', access: 'read' }, ...bindings],
    constants: [['heads', 'u32'], ['headsPerKv', 'u32'], ['kvWidth', 'u32'], ['qStride', 'u32'], ['outStride', 'u32'], ['scale', 'f32']],
    workgroupSize: abilities.invocations,
    reductions: [sum, max],
    declarations: `var<workgroup> query: array<f32, ${headDim}>;
var<workgroup> attended: array<f32, ${headDim}>;
var<workgroup> weights: array<f32, WORKGROUP>;
const LOWEST = -3.0e38;`,
    body: `  if (group >= batch.rowCount * op.heads) { return; }
  let row = batch.firstRow + group / op.heads;
  let head = group % op.heads;
  let kvStart = head / op.headsPerKv * ${headDim}u;
  let positions = batch.position + row + 1u;
  for (var d = local; d < ${headDim}u; d += WORKGROUP) {
    query[d] = ${v.q}[row * op.qStride + head * ${headDim}u + d];
    attended[d] = 0.0;
  }
  workgroupBarrier();
  var largest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < positions; first += WORKGROUP) {
    let count = min(WORKGROUP, positions - first);
    var score = 0.0;
    if (local < count) {
      let keyAt = (first + local) * op.kvWidth + kvStart;
      ${keyLoop}
      score *= op.scale;
    } else {
      score = LOWEST;
    }
    let newLargest = max(largest, ${max.call('score')});
    let shrink = select(exp(largest - newLargest), 0.0, first == 0u);
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
  for (var d = local; d < ${headDim}u; d += WORKGROUP) {
    ${v.out}[row * op.outStride + head * ${headDim}u + d] = attended[d] / total;
  }`,
  });
  return { kernel: attend, buffers };
}

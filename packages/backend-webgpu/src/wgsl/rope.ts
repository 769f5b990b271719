import type { RopeStyle } from '@weightspec/core';
import { kernel, type Kernel } from './kernel.js';

/** Places in its head of the elements of pair i. */
const pairOf: Readonly<Record<RopeStyle, readonly [string, string]>> = { interleaved: ['2u * i', '2u * i + 1u'], halves: ['i', 'i + op.halfDim'] };

/**
 * Rotates pair i of every head of x by the angle of its position; one pair an invocation. The table [positions of this batch, half]
 * of (cos, sin) comes from the CPU: sin of WGSL is only good between −π and π. `stride` in elements.
 */
export function ropeKernel(style: RopeStyle): Kernel {
  const [first, second] = pairOf[style];
  return kernel({
    name: `rope, ${style}`,
    bindings: [{ name: 'table', type: 'vec2<f32>', access: 'read' }, { name: 'x', type: 'f32', access: 'write' }],
    constants: [['heads', 'u32'], ['halfDim', 'u32'], ['stride', 'u32']],
    workgroupSize: 64,
    body: `  let pairs = op.heads * op.halfDim;
  if (index >= batch.rowCount * pairs) { return; }
  let row = batch.firstRow + index / pairs;
  let head = (index % pairs) / op.halfDim;
  let i = index % op.halfDim;
  let start = row * op.stride + head * 2u * op.halfDim;
  let a = x[start + ${first}];
  let b = x[start + ${second}];
  let angle = table[row * op.halfDim + i];
  x[start + ${first}] = a * angle.x - b * angle.y;
  x[start + ${second}] = a * angle.y + b * angle.x;`,
  });
}

/**
 * Rotates q and k as ropeKernel does and copies k and v to their positions in the layer's cache. One pair an invocation, those of
 * k after those of q; the i-th pair of k's also copies the i-th two elements of v. q, k and v are buffers apart. Strides in elements.
 */
export function rotateAndStoreKernel(style: RopeStyle): Kernel {
  const [first, second] = pairOf[style];
  const rotated = (name: string): string => `let a = ${name}[start + ${first}];
    let b = ${name}[start + ${second}];
    let turned = vec2<f32>(a * angle.x - b * angle.y, a * angle.y + b * angle.x);
    ${name}[start + ${first}] = turned.x;
    ${name}[start + ${second}] = turned.y;`;
  return kernel({
    name: `rope, ${style}, of q and k, and store`,
    bindings: [
      { name: 'table', type: 'vec2<f32>', access: 'read' }, { name: 'keys', type: 'f32', access: 'write' }, { name: 'values', type: 'f32', access: 'write' },
      { name: 'q', type: 'f32', access: 'write' }, { name: 'k', type: 'f32', access: 'write' }, { name: 'v', type: 'f32', access: 'read' },
    ],
    constants: [['heads', 'u32'], ['kvHeads', 'u32'], ['halfDim', 'u32'], ['qStride', 'u32'], ['kStride', 'u32']],
    workgroupSize: 64,
    body: `  let queryPairs = op.heads * op.halfDim;
  let keyPairs = op.kvHeads * op.halfDim;
  if (index >= batch.rowCount * (queryPairs + keyPairs)) { return; }
  let row = batch.firstRow + index / (queryPairs + keyPairs);
  let pair = index % (queryPairs + keyPairs);
  let i = pair % op.halfDim;
  let angle = table[row * op.halfDim + i];
  if (pair < queryPairs) {
    let start = row * op.qStride + pair / op.halfDim * 2u * op.halfDim;
    ${rotated('q')}
  } else {
    let head = (pair - queryPairs) / op.halfDim * 2u * op.halfDim;
    let start = row * op.kStride + head;
    ${rotated('k')}
    let position = (batch.position + row) * 2u * keyPairs;
    keys[position + head + ${first}] = turned.x;
    keys[position + head + ${second}] = turned.y;
    let copied = 2u * (pair - queryPairs);
    values[position + copied] = v[row * op.kStride + copied];
    values[position + copied + 1u] = v[row * op.kStride + copied + 1u];
  }`,
  });
}

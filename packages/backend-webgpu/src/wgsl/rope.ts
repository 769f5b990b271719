import type { RopeStyle } from '@weightspec/core';
import { kernel, type Kernel } from './kernel.js';

/**
 * Rotates pair i of every head of x by the angle of its position; one pair an invocation. The table [positions of this batch, half]
 * of (cos, sin) comes from the CPU: sin of WGSL is only good between −π and π. `stride` in elements.
 */
export function ropeKernel(style: RopeStyle): Kernel {
  const [first, second] = style === 'interleaved' ? ['2u * i', '2u * i + 1u'] : ['i', 'i + op.halfDim'];
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

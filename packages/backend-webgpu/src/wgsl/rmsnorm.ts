import type { SharingKernel } from './elementwise.js';
import { abilitiesName, distinctOperands, kernel, type Abilities } from './kernel.js';
import { reduction } from './reduce.js';

/** out = x / sqrt(mean(x²) + eps) · weight; one workgroup a row. `stride` in quads, `width` in elements. */
export function rmsnormKernel(op: { readonly x: string; readonly out: string }, abilities: Abilities): SharingKernel {
  const type = 'vec4<f32>';
  const { bindings, buffers, variable: v } = distinctOperands([{ name: 'x', buffer: op.x, type, access: 'read' }, { name: 'out', buffer: op.out, type, access: 'write' }]);
  const sum = reduction('sum', abilities);
  return {
    buffers,
    kernel: kernel({
      name: `rmsnorm ${bindings.map(({ name }) => name).join(' ')}${abilitiesName(abilities)}`,
      bindings: [{ name: 'weight', type, access: 'read' }, ...bindings],
      constants: [['width', 'u32'], ['stride', 'u32'], ['eps', 'f32']],
      workgroupSize: abilities.invocations,
      reductions: [sum],
      body: `  if (group >= batch.rowCount) { return; }
  let start = (batch.firstRow + group) * op.stride;
  var squares = 0.0;
  for (var i = local; i < op.stride; i += WORKGROUP) { squares += dot(${v.x}[start + i], ${v.x}[start + i]); }
  let inverse = inverseSqrt(${sum.call('squares')} / f32(op.width) + op.eps);
  for (var i = local; i < op.stride; i += WORKGROUP) { ${v.out}[start + i] = ${v.x}[start + i] * inverse * weight[i]; }`,
    }),
  };
}

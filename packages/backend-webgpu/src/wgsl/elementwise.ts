/** add and swiglu, four elements an invocation. All operands have one stride; what fills a row up is zero and stays zero. */
import { distinctOperands, kernel, type Binding, type Kernel } from './kernel.js';

/** A kernel whose operands may share buffers, and the buffers in the order of its bindings. */
export interface SharingKernel {
  readonly kernel: Kernel;
  readonly buffers: readonly string[];
}

const type = 'vec4<f32>';

function elementwise(name: string, bindings: readonly Binding[], declarations: string, statement: string): Kernel {
  return kernel({
    name,
    bindings,
    constants: [['stride', 'u32']],
    workgroupSize: 64,
    declarations,
    body: `  if (index >= batch.rowCount * op.stride) { return; }
  let at = batch.firstRow * op.stride + index;
  ${statement}`,
  });
}

/** out = a + b */
export function addKernel(op: { readonly a: string; readonly b: string; readonly out: string }): SharingKernel {
  const { bindings, buffers, variable: v } = distinctOperands([
    { name: 'a', buffer: op.a, type, access: 'read' }, { name: 'b', buffer: op.b, type, access: 'read' }, { name: 'out', buffer: op.out, type, access: 'write' },
  ]);
  return { kernel: elementwise(`add ${bindings.map(({ name }) => name).join(' ')}`, bindings, '', `${v.out}[at] = ${v.a}[at] + ${v.b}[at];`), buffers };
}

/**
 * out = silu(gate) · up with silu(x) = x / (1 + e^−x), computed from e = e^−|x| ≤ 1, which cannot overflow.
 * Devices may flush numbers below 2^−126 to zero, but x·e is still larger where e no longer is: so below −80, where 1 + e is 1,
 * e comes as two square roots.
 */
export const swigluFunction = (numberType: 'f32' | 'vec4<f32>'): string => `fn swiglu(x: ${numberType}, up: ${numberType}) -> ${numberType} {
  let magnitude = min(abs(x), ${numberType}(200.0));
  let root = exp(-0.5 * magnitude);
  let e = exp(-magnitude);
  let positive = x / (1.0 + e) * up;
  let negative = x * e / (1.0 + e) * up;
  let farNegative = (x * root) * (root * up);
  return select(select(negative, farNegative, x < ${numberType}(-80.0)), positive, x >= ${numberType}(0.0));
}`;

export function swigluKernel(op: { readonly gate: string; readonly up: string; readonly out: string }): SharingKernel {
  const { bindings, buffers, variable: v } = distinctOperands([
    { name: 'gate', buffer: op.gate, type, access: 'read' }, { name: 'up', buffer: op.up, type, access: 'read' }, { name: 'out', buffer: op.out, type, access: 'write' },
  ]);
  return { kernel: elementwise(`swiglu ${bindings.map(({ name }) => name).join(' ')}`, bindings, swigluFunction(type), `${v.out}[at] = swiglu(${v.gate}[at], ${v.up}[at]);`), buffers };
}

/**
 * What all kernels share: how a shader and its bindings are put together. Everything is in bind group 0; binding 0 is the batch,
 * binding 1 the op's constants, then the buffers.
 */
import type { Sum } from './reduce.js';

export type Access = 'read' | 'write';

/** A compute shader with the entry point `main`. Equal code is compiled once a device. */
export interface Kernel {
  /** For messages and the tests' names. */
  readonly name: string;
  readonly code: string;
  /** Of bindings 2, 3, …, in order. `write` may read too. */
  readonly access: readonly Access[];
  /** Constants of the op, in the order in which they are written to its uniform buffer. */
  readonly constants: readonly Constant[];
}

export type Constant = readonly [name: string, type: 'u32' | 'f32'];

/** A buffer as a kernel sees it. */
export interface Binding {
  readonly name: string;
  /** Of the array's elements, e.g. `vec4<f32>`. */
  readonly type: string;
  readonly access: Access;
}

/** What kernels that reduce over a workgroup are made for. */
export interface Abilities {
  /** Subgroup operations need the device feature `subgroups` and the language feature `subgroup_id`. */
  readonly subgroups: boolean;
  /** Invocations of a workgroup, a power of two. */
  readonly invocations: number;
}

/** What `abilities` add to a kernel's name. */
export const abilitiesName = ({ subgroups, invocations }: Abilities): string => `, ${invocations} invocations${subgroups ? ', subgroups' : ''}`;

/** What one dispatch works on: `rowCount` buffer rows from `firstRow`; row r stands at position `position + r`. */
const batch = 'struct Batch { rowCount: u32, firstRow: u32, position: u32, unused: u32 }';

export interface KernelParts {
  readonly name: string;
  readonly bindings: readonly Binding[];
  readonly constants: readonly Constant[];
  readonly workgroupSize: number;
  /** A reduction over the workgroup that the body uses. */
  readonly reductions?: readonly Sum[];
  readonly declarations?: string;
  /** Of `main`. It knows `group` (index of the workgroup), `local` (invocation in the workgroup) and `index` (invocation overall). */
  readonly body: string;
}

export function kernel({ name, bindings, constants, workgroupSize, reductions = [], declarations = '', body }: KernelParts): Kernel {
  const usesSubgroups = reductions.some((reduction) => reduction.subgroups);
  const buffers = bindings.map(({ name: variable, type, access }, i) => `@group(0) @binding(${i + 2}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${variable}: array<${type}>;`);
  const code = `${usesSubgroups ? 'enable subgroups;\nrequires subgroup_id;\n' : ''}
${batch}
struct Constants { ${constants.map(([constant, type]) => `${constant}: ${type}`).join(', ')} }
@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<uniform> op: Constants;
${buffers.join('\n')}
const WORKGROUP = ${workgroupSize}u;
${reductions.map((reduction) => reduction.code).join('\n')}
${declarations}
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) local: u32${usesSubgroups ? ', @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroupCount: u32, @builtin(subgroup_invocation_id) lane: u32' : ''}) {
  let group = workgroup.x + workgroup.y * workgroups.x;
  let index = group * WORKGROUP + local;
${body}
}
`;
  return { name, code, access: bindings.map(({ access }) => access), constants };
}

/**
 * Operands that are one buffer must be one binding: WebGPU refuses a buffer that is bound twice and written.
 * Returns the distinct bindings and, for each operand, the variable that stands for it.
 */
export function distinctOperands<Name extends string>(operands: readonly { readonly name: Name; readonly buffer: string; readonly type: string; readonly access: Access }[]): {
  readonly bindings: readonly Binding[];
  readonly buffers: readonly string[];
  readonly variable: Readonly<Record<Name, string>>;
} {
  const buffers = [...new Set(operands.map(({ buffer }) => buffer))];
  const bindings = buffers.map((buffer) => {
    const same = operands.filter((operand) => operand.buffer === buffer);
    return { name: same.map(({ name }) => name).join('_'), type: same[0]!.type, access: same.some(({ access }) => access === 'write') ? 'write' as const : 'read' as const };
  });
  const variable = Object.fromEntries(operands.map(({ name, buffer }) => [name, bindings[buffers.indexOf(buffer)]!.name])) as Record<Name, string>;
  return { bindings, buffers, variable };
}

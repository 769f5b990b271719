/** Sums and maxima over a workgroup, whose result every invocation gets. Call them in uniform control flow. */
import type { Abilities } from './kernel.js';

export interface Sum {
  readonly code: string;
  readonly subgroups: boolean;
  /** WGSL that reduces `value`. */
  call(value: string): string;
}

interface Shape {
  readonly name: string;
  readonly type: string;
  readonly subgroupOperation: string;
  readonly combine: (a: string, b: string) => string;
}

const sum = (name: string, type: string): Shape => ({ name, type, subgroupOperation: 'subgroupAdd', combine: (a, b) => `${a} + ${b}` });
const extremum = (which: 'min' | 'max', name: string, type: string): Shape => ({ name, type, subgroupOperation: which === 'min' ? 'subgroupMin' : 'subgroupMax', combine: (a, b) => `${which}(${a}, ${b})` });
const shapes = {
  sum: sum('workgroupSum', 'f32'),
  sum4: sum('workgroupSum4', 'vec4<f32>'),
  max: extremum('max', 'workgroupMax', 'f32'),
  max32: extremum('max', 'workgroupMax32', 'u32'),
  min32: extremum('min', 'workgroupMin32', 'u32'),
} as const satisfies Readonly<Record<string, Shape>>;

/** A reduction for workgroups of `WORKGROUP` invocations, a power of two. */
export function reduction(kind: keyof typeof shapes, { subgroups }: Abilities): Sum {
  const shape: Shape = shapes[kind];
  return subgroups ? bySubgroups(shape) : byHalves(shape);
}

/** No subgroup has fewer than 4 invocations, so `WORKGROUP` partial results are more than enough. */
function bySubgroups({ name, type, subgroupOperation, combine }: Shape): Sum {
  return {
    subgroups: true,
    call: (value) => `${name}(${value}, subgroup, subgroupCount, lane)`,
    code: `var<workgroup> ${name}Parts: array<${type}, WORKGROUP>;
fn ${name}(value: ${type}, subgroup: u32, subgroupCount: u32, lane: u32) -> ${type} {
  let part = ${subgroupOperation}(value);
  if (lane == 0u) { ${name}Parts[subgroup] = part; }
  workgroupBarrier();
  var total = ${name}Parts[0];
  for (var i = 1u; i < subgroupCount; i++) { total = ${combine('total', `${name}Parts[i]`)}; }
  workgroupBarrier();
  return total;
}`,
  };
}

function byHalves({ name, type, combine }: Shape): Sum {
  return {
    subgroups: false,
    call: (value) => `${name}(${value}, local)`,
    code: `var<workgroup> ${name}Parts: array<${type}, WORKGROUP>;
fn ${name}(value: ${type}, local: u32) -> ${type} {
  ${name}Parts[local] = value;
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { ${name}Parts[local] = ${combine(`${name}Parts[local]`, `${name}Parts[local + half]`)}; }
  }
  workgroupBarrier();
  let total = ${name}Parts[0];
  workgroupBarrier();
  return total;
}`,
  };
}

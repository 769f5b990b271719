/**
 * The likeliest token of a row of logits: the lowest id of the largest; NaN and −∞ are none, and −0 equals 0. Everything is compared in
 * integers, since WGSL may assume that there is no NaN. Long rows are cut into ranges, a workgroup each, whose best another dispatch compares.
 */
import { abilitiesName, kernel, type Abilities, type Binding, type Kernel } from './kernel.js';
import { reduction } from './reduce.js';

/** Logits that one workgroup compares. */
export const ARGMAX_RANGE = 2048;

export interface ArgmaxForm {
  /** Numbers, or pairs of order and id as another dispatch left them. */
  readonly among: 'logits' | 'candidates';
  /** One pair a workgroup, or the id as token 0 of the batch that comes next: 2^32 − 1 where there is none. */
  readonly to: 'candidates' | 'token';
}

/** `count`: logits or candidates; `stride`: elements from one row of logits to the next. */
export function argmaxKernel({ among, to }: ArgmaxForm, abilities: Abilities): Kernel {
  const largest = reduction('max32', abilities);
  const lowest = reduction('min32', abilities);
  const source: Binding = among === 'logits' ? { name: 'logits', type: 'u32', access: 'read' } : { name: 'candidates', type: 'vec2<u32>', access: 'read' };
  const target: Binding = to === 'candidates' ? { name: 'best', type: 'vec2<u32>', access: 'write' } : { name: 'tokens', type: 'u32', access: 'write' };
  return kernel({
    name: `argmax of ${among} to ${to}${abilitiesName(abilities)}`,
    bindings: [source, target],
    constants: [['count', 'u32'], ['stride', 'u32']],
    workgroupSize: abilities.invocations,
    reductions: [largest, lowest],
    declarations: `const NONE = 0xffffffffu;
/* A number whose order is that of the f32 with these bits; 0 for NaN and -infinity. */
fn orderOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u || bits == 0xff800000u) { return 0u; }
  return select(0x80000000u + magnitude, 0x80000000u - magnitude, bits > 0x7fffffffu);
}
fn candidate(i: u32) -> vec2<u32> { return ${among === 'logits' ? 'vec2<u32>(orderOf(logits[batch.firstRow * op.stride + i]), i)' : 'candidates[i]'}; }`,
    body: `  let start = group * ${ARGMAX_RANGE}u;
  if (start >= op.count) { return; }
  var order = 0u;
  var id = NONE;
  for (var i = start + local; i < min(start + ${ARGMAX_RANGE}u, op.count); i += WORKGROUP) {
    let other = candidate(i);
    if (other.x > order) {
      order = other.x;
      id = other.y;
    }
  }
  let largest = ${largest.call('order')};
  let lowest = ${lowest.call('select(NONE, id, order == largest)')};
  if (local == 0u) { ${to === 'candidates' ? 'best[group] = vec2<u32>(largest, lowest);' : 'tokens[0] = lowest;'} }`,
  });
}

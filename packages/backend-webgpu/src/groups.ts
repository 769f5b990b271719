/**
 * Which ops are done together, so that a token takes few dispatches. Every group leaves the buffers that later ops read as they would
 * be without it. Pure: nothing here knows a device.
 */
import type { Op, OpName, Program } from '@weightspec/core';
import { outputOf } from '@weightspec/kernels';

export type OpOf<Name extends OpName> = Extract<Op, { op: Name }>;

/** Matrices that multiply one input, which may be normalized before, and what is done with a lone product or with a pair. */
export interface MatmulGroup {
  readonly kind: 'matmuls';
  readonly ops: readonly Op[];
  readonly norm?: OpOf<'rmsnorm'>;
  /** Matrices of one stack lie one below the other in the device's memory. With a swiglu: gate, up. */
  readonly stacks: readonly (readonly OpOf<'matmul'>[])[];
  readonly add?: OpOf<'add'>;
  readonly swiglu?: OpOf<'swiglu'>;
}

/** Rotation of queries and keys, and attention. */
export interface AttentionGroup {
  readonly kind: 'attention';
  readonly ops: readonly Op[];
  readonly query: OpOf<'rope'>;
  readonly key: OpOf<'rope'>;
  readonly attention: OpOf<'attention'>;
}

export interface SingleOp {
  readonly kind: 'single';
  readonly ops: readonly [Op];
}

export type Group = MatmulGroup | AttentionGroup | SingleOp;

export interface WeightTraits {
  /** Whether `lower` may lie below `upper` in one stack. */
  readonly stackable: (upper: readonly OpOf<'matmul'>[], lower: OpOf<'matmul'>) => boolean;
  /** Whether the matrix multiplies activations that are rounded to int8. */
  readonly rounded: (op: OpOf<'matmul'>) => boolean;
}

/** In order; every op of the program is in one of them. */
export function groupsOf(program: Program, traits: WeightTraits): Group[] {
  const groups: Group[] = [];
  for (let at = 0; at < program.ops.length;) {
    const group: Group = matmulsAt(program, at, traits) ?? attentionAt(program, at) ?? { kind: 'single', ops: [program.ops[at]!] };
    groups.push(group);
    at += group.ops.length;
  }
  return groups;
}

function matmulsAt(program: Program, at: number, traits: WeightTraits): MatmulGroup | undefined {
  const { ops } = program;
  const start = ops[at]!;
  const norm = start.op === 'rmsnorm' ? start : undefined;
  const first = norm ? at + 1 : at;
  const matmuls = matmulsOfOneInput(ops, first, norm?.x, traits);
  if (matmuls.length === 0) return undefined;
  const end = first + matmuls.length;
  // Who is to read the normalized input must be in the group, and so no int8 rounding of it.
  if (norm && (matmuls[0]!.x !== norm.out || traits.rounded(matmuls[0]!) || isReadLater(program, norm.out, end))) return undefined;
  // Matrices are multiplied while others still read the input.
  const inputs = [matmuls[0]!.x, norm?.x];
  const add = addAt(program, end, matmuls, inputs);
  const gated = gatedAt(program, end, matmuls, inputs, traits);
  return { kind: 'matmuls', ops: ops.slice(at, add || gated ? end + 1 : end), norm, stacks: gated ? [gated.stack] : stacksOf(matmuls, traits), add, swiglu: gated?.swiglu };
}

/** From `first` on; their outputs are apart from each other, from the input and from `normInput`. */
function matmulsOfOneInput(ops: readonly Op[], first: number, normInput: string | undefined, traits: WeightTraits): OpOf<'matmul'>[] {
  const found: OpOf<'matmul'>[] = [];
  for (const op of ops.slice(first)) {
    if (op.op !== 'matmul') break;
    const { x, out } = op;
    const leading = found[0] ?? op;
    if (x !== leading.x || out === x || out === normInput || found.some((other) => other.out === out) || traits.rounded(op) !== traits.rounded(leading)) break;
    found.push(op);
  }
  return found;
}

function stacksOf(matmuls: readonly OpOf<'matmul'>[], { stackable }: WeightTraits): OpOf<'matmul'>[][] {
  const stacks: OpOf<'matmul'>[][] = [];
  for (const matmul of matmuls) {
    const stack = stacks.at(-1);
    if (stack && stackable(stack, matmul)) stack.push(matmul);
    else stacks.push([matmul]);
  }
  return stacks;
}

/** The addition of a lone product to something else. */
function addAt(program: Program, at: number, matmuls: readonly OpOf<'matmul'>[], inputs: readonly (string | undefined)[]): OpOf<'add'> | undefined {
  const op = program.ops[at];
  if (op?.op !== 'add' || matmuls.length !== 1) return undefined;
  const product = matmuls[0]!.out;
  const addsProductOnce = (op.a === product) !== (op.b === product);
  const productIsGone = op.out === product || !isReadLater(program, product, at + 1);
  return addsProductOnce && productIsGone && !inputs.includes(op.out) ? op : undefined;
}

/** The swiglu of the only two products, and their matrices as a stack. */
function gatedAt(program: Program, at: number, matmuls: readonly OpOf<'matmul'>[], inputs: readonly (string | undefined)[], { stackable }: WeightTraits): { readonly swiglu: OpOf<'swiglu'>; readonly stack: readonly OpOf<'matmul'>[] } | undefined {
  const swiglu = program.ops[at];
  if (swiglu?.op !== 'swiglu' || matmuls.length !== 2) return undefined;
  const gate = matmuls.find(({ out }) => out === swiglu.gate);
  const up = matmuls.find(({ out }) => out === swiglu.up);
  if (!gate || !up || gate === up || !stackable([gate], up)) return undefined;
  const productsAreGone = [gate.out, up.out].every((product) => product === swiglu.out || !isReadLater(program, product, at + 1));
  return productsAreGone && !inputs.includes(swiglu.out) ? { swiglu, stack: [gate, up] } : undefined;
}

function attentionAt({ ops }: Program, at: number): AttentionGroup | undefined {
  const [first, second, attention] = ops.slice(at, at + 3);
  if (first?.op !== 'rope' || second?.op !== 'rope' || attention?.op !== 'attention') return undefined;
  const [query, key] = first.x === attention.k ? [second, first] : [first, second];
  const { q, k, v, heads, kvHeads, headDim } = attention;
  const ofThisAttention = query.x === q && key.x === k && query.heads === heads && key.heads === kvHeads && query.headDim === headDim && key.headDim === headDim;
  const alike = query.theta === key.theta && query.style === key.style;
  const apart = new Set([q, k, v]).size === 3;
  return ofThisAttention && alike && apart ? { kind: 'attention', ops: [first, second, attention], query, key, attention } : undefined;
}

/** Whether an op from `from` on reads the buffer before another one has written it anew. */
function isReadLater({ ops, logits }: Program, buffer: string, from: number): boolean {
  for (const op of ops.slice(from)) {
    if (inputsOf(op).includes(buffer)) return true;
    if (outputOf(op) === buffer) return false;
  }
  return buffer === logits;
}

function inputsOf(op: Op): readonly string[] {
  switch (op.op) {
    case 'embed': return [];
    case 'attention': return [op.q, op.k, op.v];
    case 'swiglu': return [op.gate, op.up];
    case 'add': return [op.a, op.b];
    default: return [op.x];
  }
}

/**
 * One operation as a program that any backend runs: its inputs are embedded from tables whose row t is token t's, and its output goes
 * through a matmul by rows of the identity, which copies it exactly, since a program's last op must give vocabSize logits.
 */
import { dtype, type Backend, type ByteSource, type Op, type Program, type RopeStyle, type TensorInfo, type WeightHandle } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { Unsupported } from '../codes.js';
import type { Matrix, OpInput, StoredMatrix } from '../subject.js';

const part = (name: string, dtypeName: string, shape: readonly number[], source: ByteSource): TensorInfo => ({ name, dtype: dtype(dtypeName), shape, location: { source, offset: 0, length: source.size } });

function bytesOfF32(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return bytes;
}

function f32Handle(name: string, { shape, values }: Matrix): WeightHandle {
  return { name, shape, storage: 'F32', parts: { values: part(name, 'F32', shape, memorySource(bytesOfF32(values), name)) } };
}

function storedHandle(name: string, { storage, shape, bytes, scales, groupSize }: StoredMatrix): WeightHandle {
  if (!scales) return { name, shape, storage, parts: { values: part(name, storage, shape, memorySource(bytes, name)) } };
  const scaleName = `${name}.scales`;
  return { name, shape, storage, groupSize, parts: { values: part(name, 'I8', shape, memorySource(bytes, name)), scales: part(scaleName, 'F32', [scales.length], memorySource(bytesOfF32(scales), scaleName)) } };
}

const number = ({ attributes }: OpInput, name: string): number => Number(attributes[name] ?? 0);

/** The op over buffers that are called as its inputs are. */
function opOf(input: OpInput): Op {
  const heads = () => ({ heads: number(input, 'heads'), headDim: number(input, 'headDim') });
  switch (input.op) {
    case 'embed': return { op: 'embed', weight: 'weight', out: 'out' };
    case 'rmsnorm': return { op: 'rmsnorm', x: 'x', weight: 'weight', eps: number(input, 'eps'), out: 'out' };
    case 'matmul': return { op: 'matmul', x: 'x', weight: 'weight', ...(input.bias && { bias: 'bias' }), out: 'out' };
    case 'rope': return { op: 'rope', x: 'x', ...heads(), theta: number(input, 'theta'), style: input.attributes.style as RopeStyle };
    case 'attention': return { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'out', ...heads(), kvHeads: number(input, 'kvHeads'), layer: 0 };
    case 'swiglu': return { op: 'swiglu', gate: 'gate', up: 'up', out: 'out' };
    case 'add': return { op: 'add', a: 'a', b: 'b', out: 'out' };
    default: throw new Unsupported(`it has no operation ${input.op}`);
  }
}

function outWidthOf({ op, rows, weight }: OpInput): number {
  if (op === 'embed') return weight!.shape[1]!;
  if (op === 'matmul') return weight!.shape[0]!;
  return (rows.q ?? rows.x ?? rows.gate ?? rows.a)!.shape[1]!;
}

/** `height` rows of the identity of `width`, from row `first` on; rows past the last are zero. */
function identityRows(first: number, height: number, width: number): Matrix {
  const values = new Float32Array(height * width);
  for (let row = 0; row < height && first + row < width; row += 1) values[row * width + first + row] = 1;
  return { shape: [height, width], values };
}

/** As many rows as there are tokens, the first of them given. */
function padded({ shape, values }: Matrix, rows: number): Matrix {
  const width = shape[1]!;
  const all = new Float32Array(rows * width);
  all.set(values);
  return { shape: [rows, width], values: all };
}

/** Rows of the op's output, the history's left out: [rows, outWidth]. Throws Unsupported where the backend lacks the op or the storage. */
export async function runOpAlone(backend: Backend, input: OpInput): Promise<Float32Array> {
  const rowCount = input.tokens?.length ?? Math.max(...Object.values(input.rows).map(({ shape }) => shape[0]!));
  const outWidth = outWidthOf(input);
  const vocabSize = input.op === 'embed' ? input.weight!.shape[0]! : Math.max(rowCount, outWidth);
  const op = opOf(input);
  for (const [name, storage] of [[input.op, input.weight?.storage], ['embed', 'F32'], ['matmul', 'F32']] as const) {
    if (!backend.supports(name as Op['op'], storage)) throw new Unsupported(`the backend ${backend.id} cannot run ${name}${storage === undefined ? '' : ` with ${storage} weights`}`);
  }
  const history = number(input, 'history');
  const output = new Float32Array((rowCount - history) * outWidth);
  // The logits show vocabSize elements of the output at a time.
  for (let first = 0; first < outWidth; first += vocabSize) {
    const shown = await runWindow(backend, input, op, { vocabSize, outWidth, rowCount, history, first });
    const count = Math.min(vocabSize, outWidth - first);
    for (let row = 0; row < rowCount - history; row += 1) output.set(shown.subarray(row * vocabSize, row * vocabSize + count), row * outWidth + first);
  }
  return output;
}

interface Window {
  readonly vocabSize: number;
  readonly outWidth: number;
  readonly rowCount: number;
  readonly history: number;
  readonly first: number;
}

async function runWindow(backend: Backend, input: OpInput, op: Op, { vocabSize, outWidth, rowCount, history, first }: Window): Promise<Float32Array> {
  const position = number(input, 'position');
  const inputs = Object.entries(input.rows);
  const out = op.op === 'rope' ? op.x : op.out;
  const handles = [
    ...inputs.map(([name, rows]) => f32Handle(`table.${name}`, padded(rows, vocabSize))),
    ...(input.weight ? [storedHandle('weight', input.weight)] : []),
    ...(input.bias ? [f32Handle('bias', input.bias)] : []),
    f32Handle('identity', identityRows(first, vocabSize, outWidth)),
  ];
  const program: Program = {
    architecture: `${input.op} alone`,
    vocabSize,
    maxSeqLen: position + rowCount,
    layers: 1,
    kvWidth: Math.max(1, number(input, 'kvHeads') * number(input, 'headDim')),
    buffers: Array.from(new Map<string, number>([...inputs.map(([name, { shape }]) => [name, shape[1]!] as const), [out, outWidth], ['logits', vocabSize]]), ([name, width]) => ({ name, width })),
    weights: handles.map(({ name, shape }) => ({ name, shape })),
    ops: [...inputs.map(([name]): Op => ({ op: 'embed', weight: `table.${name}`, out: name })), op, { op: 'matmul', x: out, weight: 'identity', out: 'logits' }],
    logits: 'logits',
  };
  const executable = await backend.compile(program, new Map(handles.map((handle) => [handle.name, handle])));
  try {
    const tokens = input.tokens ?? Array.from({ length: rowCount }, (_, row) => row);
    // Something must have stood at the positions before.
    if (position > 0) await executable.run(Array.from({ length: position }, () => 0), 0);
    if (history > 0) await executable.run(tokens.slice(0, history), position);
    return await executable.run(tokens.slice(history), position + history, { all: true });
  } finally {
    await executable.dispose();
  }
}

/** A Program in the numbers that native/addon.cpp takes. */
import type { Op, OpName, Program, WeightMap } from '@weightspec/core';
import { weightHandles } from '@weightspec/kernels';
import type { Addon, ModelSpec } from './addon.js';
import { placeTensors, type Place } from './sources.js';
import { nativeWeight, type Activations, type NativeWeight } from './storages.js';

/** As OpKind of native/model.h. */
const opNumbers: Readonly<Record<OpName, number>> = { embed: 0, rmsnorm: 1, matmul: 2, rope: 3, attention: 4, swiglu: 5, add: 6 };

export interface PlanOptions {
  readonly activations: Activations;
  readonly memoryBudgetBytes?: number;
  readonly repackBudgetBytes: number;
}

/** Maps or copies the weights and spells the program out. Throws BackendError. */
export async function planModel(addon: Addon, program: Program, weights: WeightMap, { activations, memoryBudgetBytes, repackBudgetBytes }: PlanOptions): Promise<ModelSpec> {
  const natives = weightHandles(program, weights).map((handle) => nativeWeight(handle, activations));
  const tensors = natives.flatMap(({ values, scales }) => (scales ? [values, scales] : [values]));
  const { sources, places } = await placeTensors(addon, tensors, memoryBudgetBytes);
  const bufferIndex = new Map(program.buffers.map(({ name }, index) => [name, index]));
  const weightIndex = new Map(program.weights.map(({ name }, index) => [name, index]));
  return {
    bufferWidths: Int32Array.from(program.buffers, ({ width }) => width),
    sources,
    weights: Float64Array.from(natives.flatMap((weight) => weightFields(weight, places.get(weight.values)!, weight.scales && places.get(weight.scales)))),
    ops: Int32Array.from(program.ops.flatMap((op) => opFields(op, (name) => bufferIndex.get(name)!, (name) => weightIndex.get(name)!))),
    opNumbers: Float64Array.from(program.ops.flatMap((op) => [op.op === 'rmsnorm' ? op.eps : 0, op.op === 'rope' ? op.theta : 0])),
    vocabSize: program.vocabSize,
    maxSeqLen: program.maxSeqLen,
    layers: program.layers,
    kvWidth: program.kvWidth,
    logits: bufferIndex.get(program.logits)!,
    repackBudgetBytes,
  };
}

function weightFields({ native, rows, columns, groupSize, divisor, int8Activations }: NativeWeight, values: Place, scales: Place | undefined): number[] {
  return [
    native, rows, columns, groupSize, divisor, Number(int8Activations),
    values.source, values.byteOffset, values.byteLength,
    scales?.source ?? 0, scales?.byteOffset ?? 0, scales?.byteLength ?? 0,
  ];
}

/** kind, three inputs, output, weight, bias, heads, kvHeads, headDim, interleaved, layer; −1 for none. */
function opFields(op: Op, buffer: (name: string) => number, weight: (name: string) => number): number[] {
  const kind = opNumbers[op.op];
  switch (op.op) {
    case 'embed': return [kind, -1, -1, -1, buffer(op.out), weight(op.weight), -1, 0, 0, 0, 0, 0];
    case 'rmsnorm': return [kind, buffer(op.x), -1, -1, buffer(op.out), weight(op.weight), -1, 0, 0, 0, 0, 0];
    case 'matmul': return [kind, buffer(op.x), -1, -1, buffer(op.out), weight(op.weight), op.bias === undefined ? -1 : weight(op.bias), 0, 0, 0, 0, 0];
    case 'rope': return [kind, buffer(op.x), -1, -1, buffer(op.x), -1, -1, op.heads, op.heads, op.headDim, Number(op.style === 'interleaved'), 0];
    case 'attention': return [kind, buffer(op.q), buffer(op.k), buffer(op.v), buffer(op.out), -1, -1, op.heads, op.kvHeads, op.headDim, 0, op.layer];
    case 'swiglu': return [kind, buffer(op.gate), buffer(op.up), -1, buffer(op.out), -1, -1, 0, 0, 0, 0, 0];
    default: return [kind, buffer(op.a), buffer(op.b), -1, buffer(op.out), -1, -1, 0, 0, 0, 0, 0];
  }
}

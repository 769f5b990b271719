/** Each reference kernel against fixtures/golden/ops: float64 mathematics that knows nothing of this package, with its own bounds. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Op } from '@weightspec/core';
import { kernelOf, outputOf } from '../check-program.js';
import { f32Weight } from '../contract/data.js';
import { KvCache } from '../kv-cache.js';
import type { Buffer, Machine } from '../op-kernel.js';
import { storageOf } from '../weights/storage.js';
import { Scratch, Weight } from '../weights/weight.js';
import { RopeTable } from './rope.js';

interface Tensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface GoldenCase {
  readonly name: string;
  readonly attributes: { readonly eps?: number; readonly heads?: number; readonly kvHeads?: number; readonly headDim?: number; readonly theta?: number; readonly style?: 'interleaved' | 'halves'; readonly position?: number; readonly history?: number };
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly output: Tensor;
  readonly bound: Tensor;
}

const load = (op: string): readonly GoldenCase[] => {
  const file: { readonly cases: readonly GoldenCase[] } = JSON.parse(readFileSync(new URL(`../../../../fixtures/golden/ops/${op}.json`, import.meta.url), 'utf8'));
  return file.cases;
};

function opOf(name: string, { attributes, inputs }: GoldenCase): Op {
  const { eps = 0, heads = 0, kvHeads = 0, headDim = 0, theta = 0, style = 'interleaved' } = attributes;
  switch (name) {
    case 'embed': return { op: 'embed', weight: 'weight', out: 'out' };
    case 'rmsnorm': return { op: 'rmsnorm', x: 'x', weight: 'weight', eps, out: 'out' };
    case 'matmul': return { op: 'matmul', x: 'x', weight: 'weight', bias: inputs.bias && 'bias', out: 'out' };
    case 'rope': return { op: 'rope', x: 'x', heads, headDim, theta, style };
    case 'attention': return { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'out', heads, kvHeads, headDim, layer: 0 };
    case 'swiglu': return { op: 'swiglu', gate: 'gate', up: 'up', out: 'out' };
    default: return { op: 'add', a: 'a', b: 'b', out: 'out' };
  }
}

async function machineFor({ inputs, output }: GoldenCase, rows: number): Promise<Machine> {
  const weights = new Map<string, Weight>();
  const buffers = new Map<string, Buffer>([['out', { width: output.shape.at(-1) ?? 0, values: new Float32Array(rows * (output.shape.at(-1) ?? 0)) }]]);
  for (const [name, { shape, data }] of Object.entries(inputs)) {
    if (name === 'weight' || name === 'bias') {
      const { handle } = f32Weight(name, shape, data);
      const weight = new Weight(handle, storageOf(handle), new Scratch());
      await weight.load();
      weights.set(name, weight);
    } else {
      buffers.set(name, { width: shape.at(-1) ?? 0, values: Float32Array.from(data) });
    }
  }
  const cache = new KvCache(inputs.k?.shape.at(-1) ?? 1, 64);
  const found = <T>(map: ReadonlyMap<string, T>, name: string): T => {
    const value = map.get(name);
    if (!value) throw new Error(`no ${name} in this golden`);
    return value;
  };
  return { buffer: (name) => found(buffers, name), weight: (name) => found(weights, name), cache: () => cache, ropeTable: (headDim, theta) => new RopeTable(headDim, theta) };
}

describe.each(['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add'])('%s', (name) => {
  it.each(load(name))('$name', async (golden) => {
    const op = opOf(name, golden);
    const tokens = golden.inputs.tokens?.data ?? [];
    const rows = (golden.inputs.q ?? golden.output).shape[0] ?? 0;
    const history = golden.attributes.history ?? 0;
    const machine = await machineFor(golden, rows);
    const step = kernelOf(op).bind(op, machine);
    // Rows of the history are only there to fill the cache: run them apart, as an earlier batch would.
    const position = golden.attributes.position ?? 0;
    if (history > 0) await step({ tokens, position, firstRow: 0, endRow: history });
    await step({ tokens, position, firstRow: history, endRow: rows });
    const { values, width } = machine.buffer(outputOf(op));
    const actual = values.subarray(history * width);
    expect(actual.length).toBe(golden.output.data.length);
    const wrong = golden.output.data.findIndex((value, i) => !(Math.abs((actual[i] ?? Number.NaN) - value) <= (golden.bound.data[i] ?? 0)));
    expect(wrong < 0 ? 'within bounds' : `element ${wrong}: ${actual[wrong]}, not ${golden.output.data[wrong]} ± ${golden.bound.data[wrong]}`).toBe('within bounds');
  });
});

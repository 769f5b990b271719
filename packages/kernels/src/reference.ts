/**
 * The reference backend: runs a Program op by op in TypeScript, f32 buffers, f64 arithmetic within each op.
 * Written to be right and readable; faster backends are checked against it and against goldens.
 */
import type { Backend, CompileOptions, Executable, Program, RunOptions, WeightMap } from '@weightspec/core';
import { assertRun } from './check-run.js';
import { assertProgram, kernelOf, outputOf } from './check-program.js';
import { KvCache } from './kv-cache.js';
import type { Batch, Buffer, Machine, Step } from './op-kernel.js';
import { opKernels } from './ops/index.js';
import { RopeTable } from './ops/rope.js';
import { canRead } from './weights/storage.js';
import { openWeightStore, type WeightStore } from './weights/weight-store.js';

export const referenceBackend: Backend = {
  id: 'reference',
  supports: (op, storage) => Object.hasOwn(opKernels, op) && (storage === undefined || canRead(storage)),
  async compile(program, weights: WeightMap, options: CompileOptions = {}) {
    assertProgram(program);
    return new ReferenceExecutable(program, await openWeightStore(program, weights, options.memoryBudgetBytes));
  },
};

class ReferenceExecutable implements Executable {
  readonly #buffers: Map<string, Buffer>;
  /** Hold weights and caches; gone after dispose. */
  #steps: readonly Step[];
  #batchRows = 0;
  /** Positions whose keys and values are in every layer's cache. */
  #cached = 0;
  #state: 'ready' | 'running' | 'disposed' = 'ready';

  constructor(
    private readonly program: Program,
    store: WeightStore,
  ) {
    this.#buffers = new Map(program.buffers.map(({ name, width }) => [name, { width, values: new Float32Array(0) }]));
    const machine = machineFor(program, store, this.#buffers);
    this.#steps = program.ops.map((op) => kernelOf(op).bind(op, machine));
  }

  async run(tokens: readonly number[], position: number, options: RunOptions = {}): Promise<Float32Array> {
    if (this.#state !== 'ready') throw new Error(this.#state === 'running' ? 'this executable is already running; await the run before' : 'this executable was disposed of');
    assertRun(this.program, tokens, position, this.#cached);
    this.#state = 'running';
    try {
      return await this.#runSteps(tokens, position, options);
    } finally {
      if (this.#state === 'running') this.#state = 'ready';
    }
  }

  async dispose(): Promise<void> {
    this.#state = 'disposed';
    this.#steps = [];
  }

  async #runSteps(tokens: readonly number[], position: number, { all = false, signal, trace }: RunOptions): Promise<Float32Array> {
    const { ops } = this.program;
    const steps = this.#steps;
    const rows = tokens.length;
    this.#makeRoom(rows);
    // A run that is cut off has overwritten part of the cache from here on.
    this.#cached = Math.min(this.#cached, position);
    const batch: Batch = { tokens, position, firstRow: 0, endRow: rows };
    for (let index = 0; index < ops.length; index += 1) {
      signal?.throwIfAborted();
      const op = ops[index]!;
      // The classifier is the largest matrix; only the last token's logits are wanted while a prompt is read.
      if (!all && index === ops.length - 1 && op.op === 'matmul') batch.firstRow = rows - 1;
      const waiting = steps[index]!(batch);
      if (waiting) await waiting;
      if (trace) trace(op, index, this.#rowsOf(outputOf(op), batch.firstRow, rows));
    }
    this.#cached = position + rows;
    return this.#rowsOf(this.program.logits, all ? 0 : rows - 1, rows);
  }

  #makeRoom(rows: number): void {
    if (rows <= this.#batchRows) return;
    for (const buffer of this.#buffers.values()) buffer.values = new Float32Array(rows * buffer.width);
    this.#batchRows = rows;
  }

  #rowsOf(name: string, firstRow: number, endRow: number): Float32Array {
    const { values, width } = this.#buffers.get(name)!;
    return values.slice(firstRow * width, endRow * width);
  }
}

function machineFor(program: Program, store: WeightStore, buffers: ReadonlyMap<string, Buffer>): Machine {
  const caches = Array.from({ length: program.layers }, () => new KvCache(program.kvWidth, program.maxSeqLen));
  const tables = new Map<string, RopeTable>();
  return {
    buffer: (name) => buffers.get(name)!,
    weight: (name) => store.weight(name),
    cache: (layer) => caches[layer]!,
    ropeTable(headDim, theta) {
      const key = `${headDim} ${theta}`;
      const table = tables.get(key) ?? new RopeTable(headDim, theta);
      tables.set(key, table);
      return table;
    },
  };
}


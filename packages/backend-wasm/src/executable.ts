/**
 * A program in WebAssembly: its steps, buffers, weights and KV cache lie in one shared memory, and every step runs in the kernels.
 * The host only writes down what to run: tokens, angles, and the rows of matrices that are left in their sources.
 */
import type { Executable, Op, Program, RunOptions } from '@weightspec/core';
import { assertRun, BackendError, outputOf } from '@weightspec/kernels';
import { argumentsOf, type RowsAt } from './addresses.js';
import { makeArea, type BatchArea } from './area.js';
import type { Heap } from './heap.js';
import * as layout from './layout.js';
import type { Plan, Step } from './lowering.js';
import { ropeAngles } from './rope.js';
import { byteLengthOf, readRange, rowRange, stagingBytes, type Matrix, type PlacedWeights } from './weights.js';
import type { HelperThread, ThreadPool } from './workers.js';

/** Tokens that are worked on at once; longer runs are cut, which changes no result. */
export const BATCH_ROWS = 64;
/** Positions by which the KV cache grows. */
export const KV_BLOCK_POSITIONS = 256;
const STREAMED_CHUNK_BYTES = 2 ** 22;

export interface Kernels {
  /** 0 when a thread has trapped. */
  run(): number;
}

export interface Parts {
  readonly program: Program;
  readonly plan: Plan;
  readonly weights: PlacedWeights;
  readonly heap: Heap;
  readonly kernels: Kernels;
  /** Whether `kernels` use it. */
  readonly relaxedSimd: boolean;
  /** Absent where there is one thread. */
  readonly pool?: ThreadPool;
  readonly helpers: readonly HelperThread[];
}

export class WasmExecutable implements Executable {
  readonly placement: readonly string[];
  readonly #program: Program;
  readonly #plan: Plan;
  readonly #heap: Heap;
  readonly #weights: PlacedWeights;
  readonly #parts: Parts;
  /** For chunks of streamed matrices, by part. */
  readonly #staging: readonly number[];
  readonly #blockPositions: number;
  #area: BatchArea;
  #kvBlocks = 0;
  #scorePositions = 0;
  /** Positions whose keys and values are in every layer's cache. */
  #cached = 0;
  #state: 'ready' | 'running' | 'disposed' | 'failed' = 'ready';
  #latest: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    const { program, plan, heap, weights, helpers } = parts;
    this.#parts = parts;
    this.#program = program;
    this.#plan = plan;
    this.#heap = heap;
    this.#weights = weights;
    this.#blockPositions = Math.min(KV_BLOCK_POSITIONS, program.maxSeqLen);
    heap.set(layout.KV_BLOCK_POSITIONS, this.#blockPositions);
    heap.set(layout.KV_LAYER_BYTES, this.#kvLayerBytes());
    heap.set(layout.STEPS, heap.allocate(plan.steps.length * layout.STEP_BYTES, 'the steps'));
    this.#staging = makeStaging(weights, heap);
    this.#area = this.#makeArea(Math.min(BATCH_ROWS, program.maxSeqLen));
    this.placement = program.ops.map((op) => this.#placementOf(op, helpers.length + 1));
  }

  async run(tokens: readonly number[], position: number, options: RunOptions = {}): Promise<Float32Array> {
    this.#assertReady();
    assertRun(this.#program, tokens, position, this.#cached);
    options.signal?.throwIfAborted();
    this.#state = 'running';
    const running = this.#runBatches(tokens, position, options);
    this.#latest = running.catch(() => {});
    try {
      return await running;
    } finally {
      if (this.#state === 'running') this.#state = 'ready';
    }
  }

  async dispose(): Promise<void> {
    if (this.#state === 'disposed') return;
    const broken = this.#state === 'failed';
    this.#state = 'disposed';
    await this.#latest;
    const { heap, pool, helpers } = this.#parts;
    heap.set(layout.STOP, 1);
    const words = heap.ints(0, layout.CONTROL_END / 4);
    Atomics.add(words, layout.JOB / 4, 1);
    Atomics.notify(words, layout.JOB / 4);
    if (broken) for (const helper of helpers) helper.end();
    else pool?.giveBack(helpers);
    pool?.leave();
  }

  #assertReady(): void {
    if (this.#state === 'running') throw new Error('this executable is already running; await the run before');
    if (this.#state === 'disposed') throw new Error('this executable was disposed of');
    if (this.#state === 'failed') throw new BackendError('BACKEND_FAILED', 'a WebAssembly thread has trapped before; compile the program again');
  }

  async #runBatches(tokens: readonly number[], position: number, { all = false, signal, trace }: RunOptions): Promise<Float32Array> {
    const { vocabSize, logits } = this.#program;
    // A trace wants the rows of an op together.
    const step = trace ? tokens.length : Math.min(tokens.length, BATCH_ROWS);
    this.#makeRoom(step, position + tokens.length);
    // A run that is cut off has overwritten part of the cache from here on.
    this.#cached = Math.min(this.#cached, position);
    const result = new Float32Array(vocabSize * (all ? tokens.length : 1));
    for (let first = 0; first < tokens.length; first += step) {
      signal?.throwIfAborted();
      const batch = tokens.slice(first, first + step);
      const isLast = first + step >= tokens.length;
      await this.#runBatch(batch, position + first, { all, signal, trace, wantsLogits: all || isLast });
      if (all) result.set(this.#rowsOf(logits, 0, batch.length), first * vocabSize);
      else if (isLast) result.set(this.#rowsOf(logits, batch.length - 1, batch.length));
    }
    this.#cached = position + tokens.length;
    return result;
  }

  async #runBatch(tokens: readonly number[], position: number, { all, signal, trace, wantsLogits }: RunOptions & { readonly wantsLogits: boolean }): Promise<void> {
    const { ops } = this.#program;
    const { firstStep } = this.#plan;
    const rows = tokens.length;
    const lastOp = ops.length - 1;
    // The classifier is the largest matrix; only the last token's logits are wanted while a prompt is read.
    const cutsLogits = !all && ops[lastOp]!.op === 'matmul';
    const firstLogitsRow = cutsLogits ? rows - 1 : 0;
    this.#heap.set(layout.ROWS, rows);
    this.#heap.set(layout.POSITION, position);
    this.#heap.set(layout.FIRST_LOGITS_ROW, firstLogitsRow);
    this.#writeAngles(position, rows);
    await this.#writeEmbeddings(tokens);
    if (!trace) {
      await this.#runSteps(0, firstStep[cutsLogits && !wantsLogits ? lastOp : ops.length]!, signal);
      return;
    }
    for (const [index, op] of ops.entries()) {
      signal?.throwIfAborted();
      await this.#runSteps(firstStep[index]!, firstStep[index + 1]!, signal);
      trace(op, index, this.#rowsOf(outputOf(op), index === lastOp ? firstLogitsRow : 0, rows));
    }
  }

  /** Steps [first, end): in one job as far as no matrix has to be read first. Never waits where all are in memory. */
  async #runSteps(first: number, end: number, signal?: AbortSignal): Promise<void> {
    let from = first;
    for (let index = first; index < end; index += 1) {
      const matrix = this.#streamedMatrix(this.#plan.steps[index]!);
      if (!matrix) continue;
      if (from < index) this.#runJob(from, index);
      await this.#runStreamed(index, matrix, signal);
      from = index + 1;
    }
    if (from < end) this.#runJob(from, end);
  }

  #runJob(first: number, end: number): void {
    this.#heap.set(layout.FIRST_STEP, first);
    this.#heap.set(layout.END_STEP, end);
    let cause = '';
    try {
      if (this.#parts.kernels.run() !== 0) return;
    } catch (error) {
      cause = error instanceof Error ? `: ${error.message}` : '';
      Atomics.store(this.#heap.ints(layout.FAILED, 1), 0, 1);
    }
    this.#state = 'failed';
    throw new BackendError('BACKEND_FAILED', `a WebAssembly thread trapped${cause}`);
  }

  #streamedMatrix({ op, kind }: Step): Matrix | undefined {
    if (kind !== layout.KIND_MATMUL || op.op !== 'matmul') return undefined;
    const matrix = this.#weights.matrices.get(op.weight)!;
    return matrix.resident ? undefined : matrix;
  }

  /** One matmul, chunk by chunk; the next chunk is read while the kernels work on this one. */
  async #runStreamed(index: number, matrix: Matrix, signal?: AbortSignal): Promise<void> {
    const chunkRows = rowsPerChunk(matrix);
    const rangeAt = (row: number) => rowRange(matrix, row, Math.min(chunkRows, matrix.rows - row));
    let reading = readRange(matrix, rangeAt(0));
    for (let row = 0; row < matrix.rows; row += chunkRows) {
      const range = rangeAt(row);
      const bytes = await reading;
      signal?.throwIfAborted();
      const next = row + chunkRows;
      if (next < matrix.rows) {
        reading = readRange(matrix, rangeAt(next));
        // It is awaited in the next turn, if there is one.
        reading.catch(() => {});
      }
      bytes.forEach((part, i) => this.#heap.bytes(this.#staging[i]!, part.length).set(part));
      this.#writeStep(index, { ...range, addresses: this.#staging });
      this.#runJob(index, index + 1);
    }
  }

  #rowsOf(name: string, firstRow: number, endRow: number): Float32Array {
    const { address, width } = this.#area.buffers.get(name)!;
    // A copy in memory of its own: results are not to change with the next run, nor to be shared with other threads.
    return new Float32Array(this.#heap.floats(address + 4 * firstRow * width, (endRow - firstRow) * width));
  }

  #writeAngles(position: number, rows: number): void {
    for (const [key, { headDim, theta }] of this.#plan.ropeTables) {
      const { address, sinBytes } = this.#area.ropeTables.get(key)!;
      const count = (rows * headDim) / 2;
      ropeAngles(headDim, theta, position, this.#heap.floats(address, count), this.#heap.floats(address + sinBytes, count));
    }
  }

  async #writeEmbeddings(tokens: readonly number[]): Promise<void> {
    for (const [opIndex, table] of this.#area.embedTables) {
      const matrix = this.#weights.matrices.get(weightOf(this.#program.ops[opIndex]!))!;
      for (const [row, token] of tokens.entries()) {
        const range = rowRange(matrix, token, 1);
        const addresses = matrix.resident?.map((address, i) => address + range.offsets[i]!) ?? (await this.#stageEmbedding(opIndex, matrix, row, token));
        this.#heap.ints(table + 12 * row, 3).set([addresses[0]!, addresses[1] ?? 0, range.firstElement]);
      }
    }
  }

  async #stageEmbedding(opIndex: number, matrix: Matrix, row: number, token: number): Promise<number[]> {
    const staging = this.#area.embedStaging.get(opIndex)!;
    const addresses = staging.addresses.map((address, i) => address + row * staging.bytes[i]!);
    const parts = await readRange(matrix, rowRange(matrix, token, 1));
    parts.forEach((part, i) => this.#heap.bytes(addresses[i]!, part.length).set(part));
    return addresses;
  }

  #writeStep(index: number, rows?: RowsAt): void {
    const step = this.#plan.steps[index]!;
    const words = this.#heap.ints(this.#heap.get(layout.STEPS) + index * layout.STEP_BYTES, layout.STEP_BYTES / 4);
    words[layout.STEP_KIND / 4] = step.kind;
    words[layout.STEP_WAITS / 4] = step.waits ? 1 : 0;
    words.set(argumentsOf(step, this.#area, rows), layout.STEP_ARGUMENTS / 4);
  }

  #makeRoom(rows: number, positions: number): void {
    if (rows > this.#area.rows) this.#makeArea(rows);
    this.#makeKvRoom(positions);
    this.#makeScoreRoom(positions);
  }

  #kvLayerBytes(): number {
    return 2 * 4 * this.#blockPositions * this.#program.kvWidth;
  }

  #makeKvRoom(positions: number): void {
    const blocks = Math.ceil(positions / this.#blockPositions);
    if (blocks <= this.#kvBlocks) return;
    const bytes = this.#program.layers * this.#kvLayerBytes();
    const old = this.#heap.get(layout.KV_TABLE);
    const kept = old === 0 ? [] : [...this.#heap.ints(old, this.#kvBlocks)];
    while (kept.length < blocks) kept.push(this.#heap.allocate(bytes, `a KV cache of ${positions} positions`));
    const table = this.#heap.allocate(4 * blocks, 'the table of KV blocks');
    this.#heap.ints(table, blocks).set(kept);
    this.#heap.set(layout.KV_TABLE, table);
    this.#kvBlocks = blocks;
  }

  /** Scratch memory of every thread: four decoded rows, and a score a position. */
  #makeScoreRoom(positions: number): void {
    if (positions <= this.#scorePositions) return;
    const capacity = 4 * Math.ceil(Math.min(this.#program.maxSeqLen, Math.max(KV_BLOCK_POSITIONS, 2 * this.#scorePositions, positions)) / 4);
    const widest = Math.max(0, ...Array.from(this.#weights.matrices.values(), ({ columns }) => columns));
    const stride = 64 * Math.ceil((16 * widest + 4 * capacity) / 64);
    this.#heap.set(layout.SCRATCH, this.#heap.allocate(stride * (this.#parts.helpers.length + 1), 'attention scores'));
    this.#heap.set(layout.SCRATCH_STRIDE, stride);
    this.#heap.set(layout.SCRATCH_ROWS_BYTES, 16 * widest);
    this.#scorePositions = capacity;
  }

  #makeArea(rows: number): BatchArea {
    this.#area = makeArea(this.#program, this.#plan, this.#weights, this.#heap, rows, this.#parts.helpers.length + 1);
    this.#plan.steps.forEach((_, index) => this.#writeStep(index));
    return this.#area;
  }

  #placementOf(op: Op, threads: number): string {
    const matrix = 'weight' in op ? this.#weights.matrices.get(op.weight) : undefined;
    const parts = ['wasm', `${threads} thread${threads === 1 ? '' : 's'}`];
    if (this.#parts.relaxedSimd) parts.push('relaxed SIMD');
    if (matrix && !matrix.resident) parts.push('weights read at each use');
    return parts.join(', ');
  }
}

const weightOf = (op: Op): string => ('weight' in op ? op.weight : '');

function rowsPerChunk(matrix: Matrix): number {
  return Math.max(1, Math.min(matrix.rows, Math.floor(STREAMED_CHUNK_BYTES / (byteLengthOf(matrix) / matrix.rows))));
}

/** Room for one chunk of any streamed matrix, by part. */
function makeStaging({ matrices }: PlacedWeights, heap: Heap): number[] {
  const largest = [0, 0];
  for (const matrix of matrices.values()) {
    if (!matrix.resident) stagingBytes(matrix, rowsPerChunk(matrix)).forEach((bytes, i) => (largest[i] = Math.max(largest[i]!, bytes)));
  }
  return largest.map((bytes) => heap.allocate(bytes, 'chunks of weights that are read at each use'));
}

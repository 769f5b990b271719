/** A program on the device: weights, cache and activations stay there; one command buffer runs a batch of tokens. */
import type { Executable, Op, Program, RunOptions, WeightMap } from '@weightspec/core';
import { assertProgram, assertRun, openWeightStore, outputOf } from '@weightspec/kernels';
import { OpBinder, ROUNDED, type BoundOp } from './bind-ops.js';
import { usage, type Gpu } from './device/gpu.js';
import { Dispatch, type Rows } from './dispatch.js';
import { Memory } from './memory.js';
import { ropeTable } from './rope-table.js';

/** Tokens in one command buffer: systems reset a GPU that works on one for seconds. */
const MOST_TOKENS = 512;
/** Tokens of a prompt that fill a card with tiles of 32 even where matrices are small. */
const BATCH_TOKENS = 256;

interface Step {
  readonly op: Op;
  readonly one: readonly Dispatch[];
  readonly many: readonly Dispatch[];
}

/** Inputs of a batch that are not activations. */
interface Table {
  readonly headDim: number;
  readonly theta: number;
  buffer: GPUBuffer;
}

/** Throws BackendError: PROGRAM_INVALID, WEIGHT_MISSING, WEIGHT_INVALID, STORAGE_UNSUPPORTED, BACKEND_FAILED. */
export async function compileProgram(gpu: Gpu, program: Program, weights: WeightMap): Promise<Executable> {
  assertProgram(program);
  // Nothing but vectors is held in JavaScript's memory; matrices are read once, on their way to the device.
  const store = await openWeightStore(program, weights, 0);
  const widest = Math.max(...program.buffers.map(({ width }) => width));
  const rounds = program.weights.some(({ name }) => store.weight(name).storage.int8Activations === true);
  const memory = new Memory(gpu, program, new Map(rounds ? [[ROUNDED, widest]] : []));
  const executable = new WebGpuExecutable(gpu, program, memory);
  try {
    await gpu.guarded('the weights', async () => {
      const binder = new OpBinder(gpu, memory, weights, store, executable.batchBuffers);
      for (const op of program.ops) await executable.add(op, await binder.bind(op));
      await gpu.settled();
    });
  } catch (error) {
    await executable.dispose();
    throw error;
  }
  return executable;
}

class WebGpuExecutable implements Executable {
  /** A CPU that plays the GPU gains nothing from more than the caller's own few. */
  readonly batchTokens?: number;
  readonly #steps: Step[] = [];
  readonly #tables: Table[] = [];
  readonly #batches: Readonly<Record<Rows, GPUBuffer>>;
  #tokens: GPUBuffer;
  #batchRows = 0;
  /** Positions whose keys and values are in the cache. */
  #cached = 0;
  #running?: Promise<Float32Array>;
  #disposed = false;

  constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    private readonly memory: Memory,
  ) {
    const uniform = (label: string): GPUBuffer => memory.keep(gpu.device.createBuffer({ label, size: 16, usage: usage.uniform | usage.copyTarget }));
    this.#batches = { all: uniform('batch'), last: uniform('last row') };
    this.#tokens = gpu.storage('tokens', 4);
    if (!gpu.info.emulated) this.batchTokens = BATCH_TOKENS;
  }

  readonly batchBuffers = {
    tokens: (): GPUBuffer => this.#tokens,
    table: (headDim: number, theta: number): (() => GPUBuffer) => {
      const table = this.#tables.find((known) => known.headDim === headDim && known.theta === theta) ?? { headDim, theta, buffer: this.#tokens };
      if (!this.#tables.includes(table)) this.#tables.push(table);
      return () => table.buffer;
    },
  };

  async add(op: Op, { one, many }: BoundOp): Promise<void> {
    const dispatches = async (specs: BoundOp['one']): Promise<Dispatch[]> => Promise.all(specs.map((spec) => Dispatch.create(this.gpu, spec, this.#batches)));
    const forMany = await dispatches(many);
    this.#steps.push({ op, many: forMany, one: one === many ? forMany : await dispatches(one) });
  }

  async run(tokens: readonly number[], position: number, options: RunOptions = {}): Promise<Float32Array> {
    if (this.#disposed) throw new Error('this executable was disposed of');
    if (this.#running) throw new Error('this executable is already running; await the run before');
    assertRun(this.program, tokens, position, this.#cached);
    this.#running = this.#runBatches(tokens, position, options);
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    // Buffers must not go while a command uses them; what came of the run is its caller's business.
    await this.#running?.catch(() => undefined);
    this.#steps.length = 0;
    this.#tokens.destroy();
    for (const { buffer } of this.#tables) buffer.destroy();
    this.memory.destroy();
  }

  async #runBatches(tokens: readonly number[], position: number, options: RunOptions): Promise<Float32Array> {
    // A trace shows an op's rows of all tokens at once.
    const most = options.trace ? tokens.length : Math.min(MOST_TOKENS, this.memory.mostRows);
    const { vocabSize } = this.program;
    const logits = new Float32Array(options.all ? tokens.length * vocabSize : vocabSize);
    for (let start = 0; start < tokens.length; start += most) {
      options.signal?.throwIfAborted();
      const batch = tokens.slice(start, start + most);
      // A run that is cut off has overwritten part of the cache from here on.
      this.#cached = Math.min(this.#cached, position + start);
      const rows = await this.#runBatch(batch, position + start, options);
      this.#cached = position + start + batch.length;
      logits.set(rows, options.all ? start * vocabSize : 0);
    }
    return logits;
  }

  async #runBatch(tokens: readonly number[], position: number, { all = false, trace }: RunOptions): Promise<Float32Array> {
    this.gpu.assertAlive();
    await this.#makeRoom(tokens.length, position);
    this.#writeInputs(tokens, position);
    const { queue } = this.gpu.device;
    let encoder = this.gpu.device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    for (const [index, { op, one, many }] of this.#steps.entries()) {
      // The classifier is the largest matrix; only the last token's logits are wanted while a prompt is read.
      const rows: Rows = !all && index === this.#steps.length - 1 && op.op === 'matmul' ? 'last' : 'all';
      const rowCount = rows === 'last' ? 1 : tokens.length;
      for (const dispatch of rowCount === 1 ? one : many) dispatch.encode(pass, rows, rowCount);
      if (trace) {
        pass.end();
        queue.submit([encoder.finish()]);
        trace(op, index, await this.#read(outputOf(op), rows === 'last' ? tokens.length - 1 : 0, tokens.length));
        encoder = this.gpu.device.createCommandEncoder();
        pass = encoder.beginComputePass();
      }
    }
    pass.end();
    return this.#read(this.program.logits, all ? 0 : tokens.length - 1, tokens.length, encoder);
  }

  async #makeRoom(rows: number, position: number): Promise<void> {
    const { gpu, memory } = this;
    let replaced = await memory.makeRoom(rows, position + rows);
    if (rows > this.#batchRows) {
      await gpu.guarded(`a batch of ${rows} tokens`, () => {
        this.#tokens.destroy();
        this.#tokens = gpu.storage('tokens', 4 * rows);
        for (const table of this.#tables) {
          table.buffer.destroy();
          table.buffer = gpu.storage('rope table', 4 * rows * table.headDim);
        }
      });
      this.#batchRows = rows;
      replaced = true;
    }
    if (replaced) for (const { one, many } of this.#steps) for (const dispatch of [...one, ...many]) dispatch.rebind();
  }

  #writeInputs(tokens: readonly number[], position: number): void {
    const { queue } = this.gpu.device;
    queue.writeBuffer(this.#tokens, 0, Uint32Array.from(tokens));
    queue.writeBuffer(this.#batches.all, 0, Uint32Array.of(tokens.length, 0, position, 0));
    queue.writeBuffer(this.#batches.last, 0, Uint32Array.of(1, tokens.length - 1, position, 0));
    for (const { headDim, theta, buffer } of this.#tables) queue.writeBuffer(buffer, 0, ropeTable(headDim, theta, position, tokens.length));
  }

  /** Rows [firstRow, endRow) of a buffer, after the commands of `encoder`. */
  async #read(name: string, firstRow: number, endRow: number, encoder = this.gpu.device.createCommandEncoder()): Promise<Float32Array> {
    const stride = this.memory.stride(name);
    const byteLength = (endRow - firstRow) * stride * 4;
    const staging = this.memory.staging(byteLength);
    encoder.copyBufferToBuffer(this.memory.activation(name), firstRow * stride * 4, staging, 0, byteLength);
    this.gpu.device.queue.submit([encoder.finish()]);
    const { width } = this.program.buffers.find((buffer) => buffer.name === name)!;
    return withoutPadding(await this.gpu.read(staging, byteLength), stride, width);
  }
}

function withoutPadding(rows: Float32Array, stride: number, width: number): Float32Array {
  if (stride === width) return rows;
  const packed = new Float32Array((rows.length / stride) * width);
  for (let row = 0; row * stride < rows.length; row += 1) packed.set(rows.subarray(row * stride, row * stride + width), row * width);
  return packed;
}

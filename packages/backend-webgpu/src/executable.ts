/** A program on the device: weights, cache and activations stay there; one command buffer runs a batch of tokens. */
import type { Executable, Program, RunOptions, WeightMap } from '@weightspec/core';
import { assertProgram, assertRun, openWeightStore, outputOf, type WeightStore } from '@weightspec/kernels';
import { OpBinder, ROUNDED, type BatchBuffers } from './bind-ops.js';
import { usage, type Gpu } from './device/gpu.js';
import { Dispatch, type DispatchSpec, type Rows } from './dispatch.js';
import { Memory } from './memory.js';
import { ropeTable } from './rope-table.js';

/** Tokens in one command buffer: systems reset a GPU that works on one for seconds. */
const MOST_TOKENS = 512;
/** Tokens of a prompt that fill a card with tiles of 32 even where matrices are small. */
const BATCH_TOKENS = 256;
/** Tokens that are on their way while the id of one is read: none of them waits for its id to come here and go back. */
const AHEAD = 1;
/** What stands for the id where no logit is a number. */
const NO_TOKEN = 0xffffffff;

const DISPOSED = 'this executable was disposed of';

interface Step {
  readonly one: readonly Dispatch[];
  readonly many: readonly Dispatch[];
  /** Only the last token's rows of what it computes are wanted when only its logits are: `one` does for them. */
  readonly isClassifier: boolean;
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
  const executable = new WebGpuExecutable(gpu, program, memory, weights, store);
  try {
    await gpu.guarded('the weights', async () => {
      await executable.plan();
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
  /** Groups of ops. */
  #steps: readonly Step[] = [];
  /** Op by op, for traces; made when there is one. */
  #opSteps?: readonly Step[];
  #argmax: readonly Dispatch[] = [];
  readonly #binder: OpBinder;
  readonly #tables: Table[] = [];
  readonly #batches: Readonly<Record<Rows, GPUBuffer>>;
  #tokens: GPUBuffer;
  #batchRows = 0;
  /** Positions whose keys and values are in the cache. */
  #cached = 0;
  #busy = false;
  /** The run, or the step of a longer one, that buffers must outlive. */
  #working: Promise<unknown> = Promise.resolve();
  #disposed = false;

  constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    private readonly memory: Memory,
    weights: WeightMap,
    store: WeightStore,
  ) {
    const uniform = (label: string): GPUBuffer => memory.keep(gpu.device.createBuffer({ label, size: 16, usage: usage.uniform | usage.copyTarget }));
    this.#batches = { all: uniform('batch'), last: uniform('last row') };
    this.#tokens = gpu.storage('tokens', 4);
    this.#binder = new OpBinder(gpu, memory, program, weights, store, this.#batchBuffers);
    if (!gpu.info.emulated) this.batchTokens = BATCH_TOKENS;
  }

  readonly #batchBuffers: BatchBuffers = {
    tokens: (): GPUBuffer => this.#tokens,
    table: (headDim: number, theta: number): (() => GPUBuffer) => {
      const table = this.#tables.find((known) => known.headDim === headDim && known.theta === theta) ?? { headDim, theta, buffer: this.#tokens };
      if (!this.#tables.includes(table)) this.#tables.push(table);
      return () => table.buffer;
    },
  };

  /** Uploads the weights and compiles the kernels. Throws BackendError. */
  async plan(): Promise<void> {
    const groups = this.#binder.groups();
    const steps: Step[] = [];
    for (const group of groups) {
      const isClassifier = group === groups.at(-1) && group.kind === 'matmuls' && group.stacks.flat().length === 1 && group.ops.at(-1)!.op === 'matmul';
      steps.push({ isClassifier, one: await this.#dispatches(await this.#binder.bindGroup(group, 'one')), many: await this.#dispatches(await this.#binder.bindGroup(group, 'many')) });
    }
    this.#steps = steps;
    this.#argmax = await this.#dispatches(this.#binder.argmax());
  }

  async #opByOp(): Promise<readonly Step[]> {
    const { ops } = this.program;
    const steps: Step[] = [];
    for (const [index, op] of ops.entries()) {
      steps.push({ isClassifier: index === ops.length - 1 && op.op === 'matmul', one: await this.#dispatches(await this.#binder.bindOp(op, 'one')), many: await this.#dispatches(await this.#binder.bindOp(op, 'many')) });
    }
    return steps;
  }

  async #dispatches(specs: readonly DispatchSpec[]): Promise<Dispatch[]> {
    return Promise.all(specs.map((spec) => Dispatch.create(this.gpu, spec, this.#batches)));
  }

  async run(tokens: readonly number[], position: number, options: RunOptions = {}): Promise<Float32Array> {
    this.#assertReady();
    assertRun(this.program, tokens, position, this.#cached);
    this.#busy = true;
    try {
      return await this.#work(this.#runBatches(tokens, position, options));
    } finally {
      this.#busy = false;
    }
  }

  /** Ids go from the device to the device; each is read while the next token is on its way. */
  async *greedy(tokens: readonly number[], position: number, count: number, { signal }: Pick<RunOptions, 'signal'> = {}): AsyncGenerator<number, void, undefined> {
    this.#assertReady();
    assertRun(this.program, tokens, position, this.#cached);
    const lastPosition = position + tokens.length + count - 2;
    if (!Number.isSafeInteger(count) || count < 1 || lastPosition >= this.program.maxSeqLen) throw new RangeError(`${count} tokens from position ${position + tokens.length} on are not within the context of ${this.program.maxSeqLen}`);
    const staging = Array.from({ length: AHEAD + 1 }, () => this.gpu.staging(4));
    const reading: Promise<number>[] = [];
    this.#busy = true;
    try {
      const most = this.#mostTokens;
      const before = tokens.length - 1 - ((tokens.length - 1) % most);
      if (before > 0) await this.#work(this.#runBatches(tokens.slice(0, before), position, { signal }));
      let next: readonly number[] | undefined = tokens.slice(before);
      let nextPosition = position + before;
      for (let step = 0; step < count + AHEAD; step += 1) {
        signal?.throwIfAborted();
        if (step < count) {
          if (this.#disposed) throw new Error(DISPOSED);
          const { id } = await this.#work(this.#submitChoice(next, nextPosition, staging[step % staging.length]!));
          reading.push(id);
          nextPosition += next?.length ?? 1;
          next = undefined;
        }
        if (step < AHEAD) continue;
        const id = await reading.shift()!;
        if (id === NO_TOKEN) {
          // What is ahead of it was no token.
          this.#cached = Math.min(this.#cached, nextPosition - reading.length);
          yield -1;
          return;
        }
        yield id;
      }
    } finally {
      await Promise.allSettled(reading);
      for (const buffer of staging) buffer.destroy();
      this.#busy = false;
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    // Buffers must not go while a command uses them; what came of the run is its caller's business.
    await this.#working.catch(() => undefined);
    this.#steps = [];
    this.#opSteps = undefined;
    this.#argmax = [];
    this.#tokens.destroy();
    for (const { buffer } of this.#tables) buffer.destroy();
    this.memory.destroy();
  }

  #assertReady(): void {
    if (this.#disposed) throw new Error(DISPOSED);
    if (this.#busy) throw new Error('this executable is already running; await the run before');
  }

  #work<T>(work: Promise<T>): Promise<T> {
    this.#working = work;
    return work;
  }

  get #mostTokens(): number {
    return Math.min(MOST_TOKENS, this.memory.mostRows);
  }

  async #runBatches(tokens: readonly number[], position: number, options: RunOptions): Promise<Float32Array> {
    // A trace shows an op's rows of all tokens at once.
    const most = options.trace ? tokens.length : this.#mostTokens;
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
    this.#writeInputs(tokens.length, position, tokens);
    if (trace) return this.#runTraced(tokens.length, position, all, trace);
    const encoder = this.gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const step of this.#steps) encode(pass, step, tokens.length, position, all);
    pass.end();
    return this.#read(this.program.logits, all ? 0 : tokens.length - 1, tokens.length, encoder);
  }

  /** The same op by op, and each op's rows are read. */
  async #runTraced(rowCount: number, position: number, all: boolean, trace: NonNullable<RunOptions['trace']>): Promise<Float32Array> {
    this.#opSteps ??= await this.gpu.guarded('a trace', () => this.#opByOp());
    let rows = new Float32Array(0);
    for (const [index, op] of this.program.ops.entries()) {
      const step = this.#opSteps[index]!;
      const encoder = this.gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encode(pass, step, rowCount, position, all);
      pass.end();
      rows = await this.#read(outputOf(op), step.isClassifier && !all ? rowCount - 1 : 0, rowCount, encoder);
      trace(op, index, rows);
    }
    // The last op computes the logits.
    return rows.slice(all ? 0 : rows.length - this.program.vocabSize);
  }

  /** Runs `tokens`, or the one that the device chose before, and has the device choose the next. One command buffer; `id` comes later. */
  async #submitChoice(tokens: readonly number[] | undefined, position: number, staging: GPUBuffer): Promise<{ readonly id: Promise<number> }> {
    const { gpu } = this;
    gpu.assertAlive();
    const rowCount = tokens?.length ?? 1;
    await this.#makeRoom(rowCount, position);
    this.#cached = Math.min(this.#cached, position);
    this.#writeInputs(rowCount, position, tokens);
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const step of this.#steps) encode(pass, step, rowCount, position, false);
    for (const dispatch of this.#argmax) dispatch.encode(pass, 'last', 1, position + rowCount);
    pass.end();
    encoder.copyBufferToBuffer(this.#tokens, 0, staging, 0, 4);
    gpu.device.queue.submit([encoder.finish()]);
    this.#cached = position + rowCount;
    const id = gpu.read(staging, 4).then((bytes) => new Uint32Array(bytes)[0]!);
    // Whoever awaits it hears of a fault; nobody does when the caller has enough.
    id.catch(() => undefined);
    return { id };
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
    if (!replaced) return;
    const steps = [...this.#steps, ...(this.#opSteps ?? [])];
    for (const dispatch of [...steps.flatMap(({ one, many }) => [...one, ...many]), ...this.#argmax]) dispatch.rebind();
  }

  /** Without `tokens` the device has them already. */
  #writeInputs(rowCount: number, position: number, tokens?: readonly number[]): void {
    const { queue } = this.gpu.device;
    if (tokens) queue.writeBuffer(this.#tokens, 0, Uint32Array.from(tokens));
    queue.writeBuffer(this.#batches.all, 0, Uint32Array.of(rowCount, 0, position, 0));
    queue.writeBuffer(this.#batches.last, 0, Uint32Array.of(1, rowCount - 1, position, 0));
    for (const { headDim, theta, buffer } of this.#tables) queue.writeBuffer(buffer, 0, ropeTable(headDim, theta, position, rowCount));
  }

  /** Rows [firstRow, endRow) of a buffer, after the commands of `encoder`. */
  async #read(name: string, firstRow: number, endRow: number, encoder: GPUCommandEncoder): Promise<Float32Array<ArrayBuffer>> {
    const stride = this.memory.stride(name);
    const byteLength = (endRow - firstRow) * stride * 4;
    const staging = this.memory.staging(byteLength);
    encoder.copyBufferToBuffer(this.memory.activation(name), firstRow * stride * 4, staging, 0, byteLength);
    this.gpu.device.queue.submit([encoder.finish()]);
    const { width } = this.program.buffers.find((buffer) => buffer.name === name)!;
    return withoutPadding(new Float32Array(await this.gpu.read(staging, byteLength)), stride, width);
  }
}

function encode(pass: GPUComputePassEncoder, { one, many, isClassifier }: Step, tokenCount: number, position: number, all: boolean): void {
  // The classifier is the largest matrix; only the last token's logits are wanted while a prompt is read.
  const rows: Rows = isClassifier && !all ? 'last' : 'all';
  const rowCount = rows === 'last' ? 1 : tokenCount;
  for (const dispatch of rowCount === 1 ? one : many) dispatch.encode(pass, rows, rowCount, position + tokenCount);
}

function withoutPadding(rows: Float32Array<ArrayBuffer>, stride: number, width: number): Float32Array<ArrayBuffer> {
  if (stride === width) return rows;
  const packed = new Float32Array((rows.length / stride) * width);
  for (let row = 0; row * stride < rows.length; row += 1) packed.set(rows.subarray(row * stride, row * stride + width), row * width);
  return packed;
}

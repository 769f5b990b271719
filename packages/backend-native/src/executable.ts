import type { Executable, Program, RunOptions } from '@weightspec/core';
import { assertRun, outputOf } from '@weightspec/kernels';
import { asBackendError, native, type Addon, type Model } from './addon.js';

/**
 * Runs that will probably take less than this are done on the calling thread: to hand them to another and back costs 30–60 µs, as much
 * as a third of a token of a 15M model, and the event loop waits no longer than for any other function.
 */
const BRIEF_RUN_MICROS = 1000;

const ABORTED = -1;
const BUSY = -2;

export class NativeExecutable implements Executable {
  /** Unpacking a tile of weights costs as much as multiplying some ten tokens by it. */
  readonly batchTokens = 512;
  #model: Model | undefined;
  readonly #widths: ReadonlyMap<string, number>;
  /** Positions whose keys and values are in every layer's cache. */
  #cached = 0;
  #running = false;
  /** What a token of the last run took. */
  #microsPerToken = Number.POSITIVE_INFINITY;

  constructor(
    private readonly addon: Addon,
    private readonly program: Program,
    model: Model,
  ) {
    this.#model = model;
    this.#widths = new Map(program.buffers.map(({ name, width }) => [name, width]));
  }

  async run(tokens: readonly number[], position: number, options: RunOptions = {}): Promise<Float32Array> {
    return this.#runInto(new Float32Array(this.program.vocabSize * (options.all ? tokens.length : 1)), tokens, position, options);
  }

  /** One array serves all logits: a new one for each token costs a 15M model a twentieth of its speed. */
  async *greedy(tokens: readonly number[], position: number, count: number, { signal }: Pick<RunOptions, 'signal'> = {}): AsyncGenerator<number, void, undefined> {
    const logits = new Float32Array(this.program.vocabSize);
    let next = tokens;
    let nextPosition = position;
    for (let i = 0; i < count; i += 1) {
      await this.#runInto(logits, next, nextPosition, { signal });
      const id = this.addon.likeliest(logits);
      yield id;
      if (id < 0) return;
      nextPosition += next.length;
      next = [id];
    }
  }

  async #runInto(logits: Float32Array, tokens: readonly number[], position: number, options: RunOptions): Promise<Float32Array> {
    const model = this.#model;
    if (this.#running) throw new Error('this executable is already running; await the run before');
    if (!model) throw new Error('this executable was disposed of');
    assertRun(this.program, tokens, position, this.#cached);
    options.signal?.throwIfAborted();
    this.#running = true;
    // A run that is cut off has overwritten part of the cache from here on.
    this.#cached = Math.min(this.#cached, position);
    try {
      const ids = Int32Array.from(tokens);
      if (options.trace) this.#runTraced(model, ids, position, logits, options);
      else await this.#runWhole(model, ids, position, logits, options);
      this.#cached = position + tokens.length;
      return logits;
    } catch (error) {
      throw asBackendError(error);
    } finally {
      this.#running = false;
      // Disposed of while it ran.
      if (!this.#model) this.addon.release(model);
    }
  }

  async dispose(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    if (!model) return;
    if (this.#running) this.addon.abort(model);
    else this.addon.release(model);
  }

  async #runWhole(model: Model, ids: Int32Array, position: number, logits: Float32Array, { all = false, signal }: RunOptions): Promise<void> {
    const { addon } = this;
    const brief = this.#microsPerToken * ids.length < BRIEF_RUN_MICROS;
    let micros = brief ? addon.runNow(model, ids, position, all, logits) : BUSY;
    if (micros === BUSY) {
      const abort = (): void => addon.abort(model);
      signal?.addEventListener('abort', abort);
      try {
        micros = await addon.runLater(model, ids, position, all, logits);
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    }
    if (micros === ABORTED) {
      signal?.throwIfAborted();
      throw new Error('this executable was disposed of');
    }
    this.#microsPerToken = micros / ids.length;
  }

  /** Op by op, on the calling thread and the pool's. */
  #runTraced(model: Model, ids: Int32Array, position: number, logits: Float32Array, { all = false, signal, trace }: RunOptions): void {
    const { addon, program } = this;
    native(() => addon.beginOps(model, ids, position, all, logits));
    program.ops.forEach((op, index) => {
      signal?.throwIfAborted();
      const isLast = index === program.ops.length - 1;
      const firstRow = !all && isLast && op.op === 'matmul' ? ids.length - 1 : 0;
      const rows = new Float32Array((ids.length - firstRow) * this.#widths.get(outputOf(op))!);
      native(() => addon.runOp(model, index, firstRow, rows));
      trace?.(op, index, rows);
      if (isLast) logits.set(all ? rows : rows.subarray(rows.length - program.vocabSize));
    });
  }
}

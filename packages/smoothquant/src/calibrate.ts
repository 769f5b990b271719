/**
 * Activation statistics by running a model: the largest magnitude of every input channel of every linear layer of the decoder
 * (specs/smoothquant#S-3.1). The classifier is left out, as it is by LMDeploy.
 */
import type { Op } from '@weightspec/core';
import type { LoadedModel } from '@weightspec/engine';
import { storedName } from '@weightspec/models';
import type { ActivationStatistics } from './statistics.js';

export interface CalibrateOptions {
  /** Tokens run and tokens in all. */
  readonly progress?: (doneTokens: number, totalTokens: number) => void;
  readonly signal?: AbortSignal;
}

/** Tokens per run: enough that weights are decoded seldom, few enough that activations stay small. */
const BATCH_TOKENS = 32;

/**
 * Runs each sequence from position 0 and returns the statistics by Hugging Face's layer names (for the first Qwen its own), in the order in which layers compute.
 * Layers that get the same input, such as q, k and v, each have their own entry. Throws RangeError for a sequence that the model cannot run.
 */
export async function calibrate(model: LoadedModel, sequences: readonly (readonly number[])[], { progress, signal }: CalibrateOptions = {}): Promise<ActivationStatistics> {
  const observer = new AbsmaxObserver(model);
  const total = sequences.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  const release = model.claim();
  try {
    for (const tokens of sequences) {
      for (let position = 0; position < tokens.length; position += BATCH_TOKENS) {
        const batch = tokens.slice(position, position + BATCH_TOKENS);
        await model.executable.run(batch, position, { signal, trace: (op, _, rows) => observer.see(op, rows) });
        progress?.((done += batch.length), total);
      }
    }
  } finally {
    release();
  }
  return observer.statistics;
}

class AbsmaxObserver {
  readonly statistics = new Map<string, Float32Array>();
  /** What each buffer holds: the output rows of the op that wrote it last. */
  readonly #buffers = new Map<string, Float32Array>();
  readonly #widths: ReadonlyMap<string, number>;
  readonly #scheme: 'hf' | 'qwen1';

  constructor({ program, config }: LoadedModel) {
    this.#widths = new Map(program.buffers.map(({ name, width }) => [name, width]));
    this.#scheme = config.architecture === 'qwen1' ? 'qwen1' : 'hf';
  }

  see(op: Op, rows: Float32Array): void {
    if (op.op === 'matmul' && op.layer !== undefined) this.#observe(op.weight, this.#buffers.get(op.x)!, this.#widths.get(op.x)!);
    this.#buffers.set(op.op === 'rope' ? op.x : op.out, rows);
  }

  #observe(weight: string, input: Float32Array, width: number): void {
    const layer = storedName(weight, this.#scheme).name.replace(/\.weight$/, '');
    const absmax = this.statistics.get(layer) ?? new Float32Array(width);
    this.statistics.set(layer, absmax);
    for (let i = 0; i < input.length; i++) {
      const magnitude = Math.abs(input[i]!);
      // NaN comes in and stays, because nothing is greater.
      if (magnitude > absmax[i % width]! || Number.isNaN(magnitude)) absmax[i % width] = magnitude;
    }
  }
}

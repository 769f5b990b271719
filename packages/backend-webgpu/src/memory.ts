/** The buffers of one executable: activations, which grow with the batch, and the KV cache, which grows with the sequence. */
import type { Program } from '@weightspec/core';
import type { Gpu } from './device/gpu.js';
import { grown, strideOf } from './plan.js';
import { partialFloats, rangeCount } from './wgsl/attention.js';

/** Positions that a cache starts with: a short chat in a long context costs little. */
const FIRST_POSITIONS = 256;

interface LayerCache {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
}

export class Memory {
  readonly #strides: ReadonlyMap<string, number>;
  #rows = 0;
  #positions = 0;
  #activations: ReadonlyMap<string, GPUBuffer> = new Map();
  #caches: readonly LayerCache[] = [];
  #partials?: GPUBuffer;
  #staging?: GPUBuffer;
  /** Buffers that stay as they are: weights, constants. */
  readonly #kept: GPUBuffer[] = [];

  /** `extra`: buffers beside the program's, with their widths. */
  constructor(
    private readonly gpu: Gpu,
    private readonly program: Program,
    extra: ReadonlyMap<string, number>,
  ) {
    this.#strides = new Map([...program.buffers.map(({ name, width }) => [name, width] as const), ...extra].map(([name, width]) => [name, strideOf(width)]));
  }

  /** Tokens that the limits of the device let one command buffer have. */
  get mostRows(): number {
    return Math.max(1, Math.floor(this.gpu.bufferLimit.bytes / (4 * Math.max(...this.#strides.values()))));
  }

  keep<T extends GPUBuffer>(buffer: T): T {
    this.#kept.push(buffer);
    return buffer;
  }

  /** f32 elements from one row of a buffer to the next. */
  stride(name: string): number {
    return this.#strides.get(name)!;
  }

  activation(name: string): GPUBuffer {
    return this.#activations.get(name)!;
  }

  cache(layer: number): LayerCache {
    return this.#caches[layer]!;
  }

  /** What ranges of positions leave for the whole; there is one as soon as a context may have two ranges. */
  get partials(): GPUBuffer {
    return this.#partials!;
  }

  /** Makes room for `rows` tokens up to position `positions`; true when buffers were replaced. Throws BackendError (BACKEND_FAILED). */
  async makeRoom(rows: number, positions: number): Promise<boolean> {
    const moreRows = rows > this.#rows;
    const morePositions = positions > this.#positions && this.program.layers > 0;
    if (!moreRows && !morePositions) return false;
    if (moreRows) await this.gpu.guarded(`a batch of ${rows} tokens`, () => this.#growActivations(rows));
    if (morePositions) await this.gpu.guarded(`a KV cache of ${positions} positions`, () => this.#growCaches(positions));
    return true;
  }

  #growActivations(rows: number): void {
    const old = this.#activations;
    this.#activations = new Map(Array.from(this.#strides, ([name, stride]) => [name, this.gpu.storage(`buffer ${name}`, rows * stride * 4)]));
    this.#rows = rows;
    for (const buffer of old.values()) buffer.destroy();
  }

  #growCaches(needed: number): void {
    const { program, gpu } = this;
    const first = Math.min(FIRST_POSITIONS, program.maxSeqLen);
    const positions = grown(Math.max(this.#positions, first), needed, program.maxSeqLen);
    const bytes = (count: number): number => count * program.kvWidth * 4;
    const encoder = gpu.device.createCommandEncoder();
    const replaced: GPUBuffer[] = [];
    const replace = (what: string, old?: GPUBuffer): GPUBuffer => {
      const buffer = gpu.storage(`the cache of ${what} for ${positions} positions`, bytes(positions));
      if (old) {
        encoder.copyBufferToBuffer(old, 0, buffer, 0, bytes(this.#positions));
        replaced.push(old);
      }
      return buffer;
    };
    this.#caches = Array.from({ length: program.layers }, (_, layer) => ({ keys: replace('keys', this.#caches[layer]?.keys), values: replace('values', this.#caches[layer]?.values) }));
    const partialsPerRange = Math.max(0, ...program.ops.map((op) => (op.op === 'attention' ? op.heads * partialFloats(op.headDim) : 0)));
    if (rangeCount(positions) > 1) {
      if (this.#partials) replaced.push(this.#partials);
      this.#partials = gpu.storage(`attention to ${positions} positions`, 4 * rangeCount(positions) * partialsPerRange);
    }
    gpu.device.queue.submit([encoder.finish()]);
    this.#positions = positions;
    for (const buffer of replaced) buffer.destroy();
  }

  /** A buffer that the CPU can read from, of `byteLength` or more. */
  staging(byteLength: number): GPUBuffer {
    if (!this.#staging || this.#staging.size < byteLength) {
      this.#staging?.destroy();
      this.#staging = this.gpu.staging(byteLength);
    }
    return this.#staging;
  }

  destroy(): void {
    const caches = this.#caches.flatMap(({ keys, values }) => [keys, values]);
    for (const buffer of [...this.#kept, ...this.#activations.values(), ...caches]) buffer.destroy();
    this.#partials?.destroy();
    this.#staging?.destroy();
    this.#kept.length = 0;
    this.#activations = new Map();
    this.#caches = [];
  }
}

/** From ops to dispatches: which kernel runs for an op, on which buffers, with which constants. */
import type { Op, WeightMap } from '@weightspec/core';
import { BackendError, type WeightStore } from '@weightspec/kernels';
import type { Gpu } from './device/gpu.js';
import type { DispatchSpec } from './dispatch.js';
import type { Memory } from './memory.js';
import { constantsBuffer, Uploader, type Matrix, type MatrixRange } from './weights/upload.js';
import { attentionKernel, attentionWorkgroupFloats, storeKernel } from './wgsl/attention.js';
import { decoderOf, matrixConstants } from './wgsl/decode.js';
import { addKernel, swigluKernel } from './wgsl/elementwise.js';
import { embedKernel } from './wgsl/embed.js';
import type { Kernel } from './wgsl/kernel.js';
import { matmulKernel, matvecKernel, ROWS_PER_GROUP, TILE } from './wgsl/matmul.js';
import { rmsnormKernel } from './wgsl/rmsnorm.js';
import { ropeKernel } from './wgsl/rope.js';
import { roundActivationsKernel } from './wgsl/round-activations.js';

/** Name of the buffer that holds activations rounded to int8; no program can call its own so. */
export const ROUNDED = '\0rounded';
/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>;

/** What one op needs of the others: tokens and tables of the batch. */
export interface BatchBuffers {
  readonly tokens: () => GPUBuffer;
  readonly table: (headDim: number, theta: number) => () => GPUBuffer;
}

/** Dispatches of an op for one token and for more. */
export interface BoundOp {
  readonly one: readonly DispatchSpec[];
  readonly many: readonly DispatchSpec[];
}

export class OpBinder {
  readonly #vectors = new Map<string, GPUBuffer>();
  readonly #matrices = new Map<string, Matrix>();
  readonly #uploader: Uploader;

  constructor(
    private readonly gpu: Gpu,
    private readonly memory: Memory,
    private readonly weights: WeightMap,
    private readonly store: WeightStore,
    private readonly batch: BatchBuffers,
  ) {
    this.#uploader = new Uploader(gpu);
  }

  /** Uploads the weights of `op` that are not there yet. */
  async bind(op: Op): Promise<BoundOp> {
    switch (op.op) {
      case 'embed': return always(await this.#embed(op));
      case 'matmul': return this.#matmul(op);
      case 'rmsnorm': return always([await this.#rmsnorm(op)]);
      case 'rope': return always([this.#rope(op)]);
      case 'attention': return always(this.#attention(op));
      case 'swiglu': return always([this.#elementwise(swigluKernel(op), op.out)]);
      default: return always([this.#elementwise(addKernel(op), op.out)]);
    }
  }

  #constants(constants: Kernel['constants'], values: Readonly<Record<string, number>>): GPUBuffer {
    return this.memory.keep(constantsBuffer(this.gpu, constants, values));
  }

  async #vector(name: string): Promise<GPUBuffer> {
    const buffer = this.#vectors.get(name) ?? this.memory.keep(await this.#uploader.vector(name, this.store.weight(name)));
    this.#vectors.set(name, buffer);
    return buffer;
  }

  async #matrix(name: string): Promise<Matrix> {
    const known = this.#matrices.get(name);
    if (known) return known;
    const matrix = await this.#uploader.matrix(this.weights.get(name)!, this.store.weight(name));
    for (const { planes } of matrix.ranges) for (const buffer of Object.values(planes)) this.memory.keep(buffer);
    this.#matrices.set(name, matrix);
    return matrix;
  }

  #matrixConstants({ layout }: Matrix, { firstRow, rowCount, groupOffset }: MatrixRange, xStride: number, outStride: number): GPUBuffer {
    const { columns, unitsPerRow, groupSize = 1 } = layout;
    return this.#constants(matrixConstants, { rows: rowCount, columns, unitsPerRow, firstOut: firstRow, groupSize, groupOffset, xStride: xStride / 4, outStride: outStride / 4 });
  }

  async #embed({ weight, out }: OpOf<'embed'>): Promise<DispatchSpec[]> {
    const matrix = await this.#matrix(weight);
    const { kind, unitsPerRow } = matrix.layout;
    return matrix.ranges.map((range) => ({
      kernel: embedKernel(kind),
      constants: this.#matrixConstants(matrix, range, 0, this.memory.stride(out)),
      buffers: () => [...planesOf(matrix, range), this.batch.tokens(), this.memory.activation(out)],
      groups: (rowCount) => Math.ceil((rowCount * unitsPerRow) / 64),
    }));
  }

  async #matmul(op: OpOf<'matmul'>): Promise<BoundOp> {
    const matrix = await this.#matrix(op.weight);
    const bias = op.bias === undefined ? [] : [await this.#vector(op.bias)];
    const { kind } = matrix.layout;
    const rounded = this.store.weight(op.weight).storage.int8Activations === true;
    const x = rounded ? ROUNDED : op.x;
    const xStride = this.memory.stride(op.x);
    const specs = (kernel: Kernel, groups: (range: MatrixRange, rowCount: number) => number): DispatchSpec[] => matrix.ranges.map((range) => ({
      kernel,
      constants: this.#matrixConstants(matrix, range, xStride, this.memory.stride(op.out)),
      buffers: () => [...planesOf(matrix, range), this.memory.activation(x), ...bias, this.memory.activation(op.out)],
      groups: (rowCount) => groups(range, rowCount),
    }));
    const before = rounded ? [this.#roundActivations(op.x)] : [];
    return {
      one: [...before, ...specs(matvecKernel(kind, bias.length > 0, this.gpu.abilities), ({ rowCount: rows }) => Math.ceil(rows / ROWS_PER_GROUP))],
      many: [...before, ...specs(matmulKernel(kind, bias.length > 0), ({ rowCount: rows }, tokens) => Math.ceil(rows / TILE) * Math.ceil(tokens / TILE))],
    };
  }

  #roundActivations(x: string): DispatchSpec {
    const kernel = roundActivationsKernel(this.gpu.abilities);
    return {
      kernel,
      constants: this.#constants(kernel.constants, { stride: this.memory.stride(x) }),
      buffers: () => [this.memory.activation(x), this.memory.activation(ROUNDED)],
      groups: (rowCount) => rowCount,
    };
  }

  async #rmsnorm(op: OpOf<'rmsnorm'>): Promise<DispatchSpec> {
    const weight = await this.#vector(op.weight);
    const { kernel, buffers } = rmsnormKernel(op, this.gpu.abilities);
    return {
      kernel,
      constants: this.#constants(kernel.constants, { width: this.store.weight(op.weight).columns, stride: this.memory.stride(op.x) / 4, eps: op.eps }),
      buffers: () => [weight, ...buffers.map((name) => this.memory.activation(name))],
      groups: (rowCount) => rowCount,
    };
  }

  #rope({ x, heads, headDim, theta, style }: OpOf<'rope'>): DispatchSpec {
    const table = this.batch.table(headDim, theta);
    const kernel = ropeKernel(style);
    return {
      kernel,
      constants: this.#constants(kernel.constants, { heads, halfDim: headDim / 2, stride: this.memory.stride(x) }),
      buffers: () => [table(), this.memory.activation(x)],
      groups: (rowCount) => Math.ceil((rowCount * heads * (headDim / 2)) / 64),
    };
  }

  #attention(op: OpOf<'attention'>): DispatchSpec[] {
    const { heads, kvHeads, headDim, layer } = op;
    const bytes = 4 * attentionWorkgroupFloats(headDim, this.gpu.abilities);
    if (bytes > WORKGROUP_BYTES) throw new BackendError('BACKEND_FAILED', `attention heads of ${headDim} need ${bytes} bytes of workgroup memory; maxComputeWorkgroupStorageSize is ${WORKGROUP_BYTES}`);
    const kvWidth = kvHeads * headDim;
    const { memory } = this;
    const store = storeKernel(op);
    const attend = attentionKernel(op, headDim, this.gpu.abilities);
    const cache = (): GPUBuffer[] => [memory.cache(layer).keys, memory.cache(layer).values];
    return [
      {
        kernel: store.kernel,
        constants: this.#constants(store.kernel.constants, { kvWidth, stride: memory.stride(op.k) }),
        buffers: () => [...cache(), ...store.buffers.map((name) => memory.activation(name))],
        groups: (rowCount) => Math.ceil((rowCount * kvWidth) / 64),
      },
      {
        kernel: attend.kernel,
        constants: this.#constants(attend.kernel.constants, { heads, headsPerKv: heads / kvHeads, kvWidth, qStride: memory.stride(op.q), outStride: memory.stride(op.out), scale: 1 / Math.sqrt(headDim) }),
        buffers: () => [...cache(), ...attend.buffers.map((name) => memory.activation(name))],
        groups: (rowCount) => rowCount * heads,
      },
    ];
  }

  #elementwise({ kernel, buffers }: { readonly kernel: Kernel; readonly buffers: readonly string[] }, out: string): DispatchSpec {
    const quads = this.memory.stride(out) / 4;
    return {
      kernel,
      constants: this.#constants(kernel.constants, { stride: quads }),
      buffers: () => buffers.map((name) => this.memory.activation(name)),
      groups: (rowCount) => Math.ceil((rowCount * quads) / 64),
    };
  }
}

const always = (specs: readonly DispatchSpec[]): BoundOp => ({ one: specs, many: specs });

const planesOf = ({ layout }: Matrix, { planes }: MatrixRange): GPUBuffer[] => decoderOf(layout.kind).planes.map((name) => planes[name]!);

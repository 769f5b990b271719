/** From ops to dispatches: which kernel runs for an op or a group of them, on which buffers, with which constants. */
import type { Op, Program, WeightMap } from '@weightspec/core';
import { BackendError, weightsOf, type WeightStore } from '@weightspec/kernels';
import type { Gpu } from './device/gpu.js';
import type { DispatchSpec } from './dispatch.js';
import { groupsOf, type AttentionGroup, type Group, type MatmulGroup, type OpOf } from './groups.js';
import type { Memory } from './memory.js';
import { strideOf } from './plan.js';
import { constantsBuffer, fitsStack, Uploader, type Matrix, type MatrixRange, type StackPart } from './weights/upload.js';
import { ARGMAX_RANGE, argmaxKernel, type ArgmaxForm } from './wgsl/argmax.js';
import { attentionKernel, attentionRangesKernel, attentionWorkgroupFloats, combineRangesKernel, rangeCount, storeKernel } from './wgsl/attention.js';
import { decoderOf, matrixConstants } from './wgsl/decode.js';
import { addKernel, swigluKernel } from './wgsl/elementwise.js';
import { embedKernel } from './wgsl/embed.js';
import type { Kernel } from './wgsl/kernel.js';
import { matmulKernel, matvecConstants, matvecKernel, MOST_OUTS, rowsPerGroup, TILE, type Added, type MatvecForm } from './wgsl/matmul.js';
import { rmsnormKernel } from './wgsl/rmsnorm.js';
import { rotateAndStoreKernel, ropeKernel } from './wgsl/rope.js';
import { roundActivationsKernel } from './wgsl/round-activations.js';

/** Name of the buffer that holds activations rounded to int8; no program can call its own so. */
export const ROUNDED = '\0rounded';
/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

/** What one op needs of the others: tokens and tables of the batch. */
export interface BatchBuffers {
  readonly tokens: () => GPUBuffer;
  readonly table: (headDim: number, theta: number) => () => GPUBuffer;
}

/** Dispatches are made for one token or for any number of them. */
export type Batch = 'one' | 'many';

export class OpBinder {
  readonly #vectors = new Map<string, GPUBuffer>();
  readonly #matrices = new Map<string, Matrix>();
  /** By the names of their matrices. */
  readonly #stacks = new Map<string, Matrix>();
  readonly #uploader: Uploader;

  constructor(
    private readonly gpu: Gpu,
    private readonly memory: Memory,
    private readonly program: Program,
    private readonly weights: WeightMap,
    private readonly store: WeightStore,
    private readonly batch: BatchBuffers,
  ) {
    this.#uploader = new Uploader(gpu);
  }

  /** What can be done together here. */
  groups(): Group[] {
    const users = new Map<string, number>();
    for (const name of this.program.ops.flatMap((op) => weightsOf(op))) users.set(name, (users.get(name) ?? 0) + 1);
    return groupsOf(this.program, {
      stackable: (upper, lower) => upper.length < MOST_OUTS && [...upper, lower].every(({ weight }) => users.get(weight) === 1) && fitsStack([...upper, lower].map(({ weight }) => this.#part(weight)), this.gpu.bufferLimit.bytes),
      rounded: (op) => this.#isRounded(op),
    });
  }

  /** Dispatches of a group. Uploads its weights unless they are there. */
  async bindGroup(group: Group, batch: Batch): Promise<DispatchSpec[]> {
    switch (group.kind) {
      case 'matmuls': return this.#matmuls(group, batch);
      case 'attention': return [this.#rotateAndStore(group), ...this.#attend(group.attention, batch)];
      default: return this.bindOp(group.ops[0], batch);
    }
  }

  /** Dispatches of an op alone. Uploads its weights unless they are there. */
  async bindOp(op: Op, batch: Batch): Promise<DispatchSpec[]> {
    switch (op.op) {
      case 'embed': return this.#embed(op);
      case 'matmul': return [...this.#roundedInput(op), ...(batch === 'one' ? await this.#matvec({ matmuls: [op] }) : await this.#matmul(op))];
      case 'rmsnorm': return [await this.#rmsnorm(op)];
      case 'rope': return [this.#rope(op)];
      case 'attention': return [this.#storeKeys(op), ...this.#attend(op, batch)];
      case 'swiglu': return [this.#elementwise(swigluKernel(op), op.out)];
      default: return [this.#elementwise(addKernel(op), op.out)];
    }
  }

  /** The likeliest token of the row of logits becomes token 0. */
  argmax(): DispatchSpec[] {
    const { logits, vocabSize } = this.program;
    return this.#argmaxOf('logits', vocabSize, () => this.memory.activation(logits));
  }

  #argmaxOf(among: ArgmaxForm['among'], count: number, source: () => GPUBuffer): DispatchSpec[] {
    const { gpu, memory, program, batch } = this;
    const workgroups = Math.ceil(count / ARGMAX_RANGE);
    const best = workgroups === 1 ? undefined : memory.keep(gpu.storage('candidates', 8 * workgroups));
    const kernel = argmaxKernel({ among, to: best ? 'candidates' : 'token' }, gpu.abilities);
    const spec: DispatchSpec = {
      kernel,
      constants: this.#constants(kernel.constants, { count, stride: memory.stride(program.logits) }),
      buffers: () => [source(), best ?? batch.tokens()],
      groups: () => workgroups,
    };
    return best ? [spec, ...this.#argmaxOf('candidates', workgroups, () => best)] : [spec];
  }

  #constants(constants: Kernel['constants'], values: Readonly<Record<string, number>>): GPUBuffer {
    return this.memory.keep(constantsBuffer(this.gpu, constants, values));
  }

  #part(name: string): StackPart {
    return { handle: this.weights.get(name)!, weight: this.store.weight(name) };
  }

  #isRounded({ weight }: OpOf<'matmul'>): boolean {
    return this.store.weight(weight).storage.int8Activations === true;
  }

  async #vector(name: string): Promise<GPUBuffer> {
    const weight = this.store.weight(name);
    const buffer = this.#vectors.get(name) ?? this.memory.keep(await this.#uploader.vectors([{ name, weight, length: strideOf(weight.columns) }]));
    this.#vectors.set(name, buffer);
    return buffer;
  }

  /** A norm's weight and, behind it, the biases of a stack's rows in one buffer; none where there is neither. */
  async #vectorsOf(norm: OpOf<'rmsnorm'> | undefined, matmuls: readonly OpOf<'matmul'>[]): Promise<{ readonly buffers: readonly GPUBuffer[]; readonly biasStart?: number }> {
    if (matmuls.every(({ bias }) => bias === undefined)) return { buffers: norm ? [await this.#vector(norm.weight)] : [] };
    const weight = (name: string | undefined) => name === undefined ? undefined : { name, weight: this.store.weight(name) };
    const normLength = norm ? this.memory.stride(norm.x) : 0;
    const biases = matmuls.map((matmul) => ({ ...weight(matmul.bias), length: this.store.weight(matmul.weight).rows }));
    const buffer = await this.#uploader.vectors([{ ...weight(norm?.weight), length: normLength }, ...biases]);
    return { buffers: [this.memory.keep(buffer)], biasStart: normLength / 4 };
  }

  async #matrix(name: string): Promise<Matrix> {
    const matrix = this.#matrices.get(name) ?? this.#keptMatrix(await this.#uploader.matrix(this.#part(name)));
    this.#matrices.set(name, matrix);
    return matrix;
  }

  /** Several matrices as one. */
  async #stack(names: readonly string[]): Promise<Matrix> {
    if (names.length === 1) return this.#matrix(names[0]!);
    const key = names.join('\0');
    const known = this.#stacks.get(key);
    if (known) return known;
    const { stack, parts } = await this.#uploader.stack(names.map((name) => this.#part(name)));
    names.forEach((name, i) => this.#matrices.set(name, parts[i]!));
    this.#stacks.set(key, this.#keptMatrix(stack));
    return stack;
  }

  #keptMatrix(matrix: Matrix): Matrix {
    for (const { planes } of matrix.ranges) for (const buffer of Object.values(planes)) this.memory.keep(buffer);
    return matrix;
  }

  #matrixConstants({ layout }: Matrix, { firstRow, rowCount, planeRow, groupOffset }: MatrixRange, xStride: number, outStride: number): Record<(typeof matrixConstants)[number][0], number> {
    const { columns, unitsPerRow, groupSize = 1 } = layout;
    return { rows: rowCount, columns, unitsPerRow, planeRow, firstOut: firstRow, groupSize, groupOffset, xStride: xStride / 4, outStride: outStride / 4 };
  }

  async #embed({ weight, out }: OpOf<'embed'>): Promise<DispatchSpec[]> {
    const matrix = await this.#matrix(weight);
    const { kind, unitsPerRow } = matrix.layout;
    return matrix.ranges.map((range) => ({
      kernel: embedKernel(kind),
      constants: this.#constants(matrixConstants, this.#matrixConstants(matrix, range, 0, this.memory.stride(out))),
      buffers: () => [...planesOf(matrix, range), this.batch.tokens(), this.memory.activation(out)],
      groups: (rowCount) => Math.ceil((rowCount * unitsPerRow) / 64),
    }));
  }

  async #matmuls(group: MatmulGroup, batch: Batch): Promise<DispatchSpec[]> {
    const { norm, stacks, add, swiglu } = group;
    const specs = this.#roundedInput(stacks[0]![0]!);
    if (batch === 'one') {
      for (const matmuls of stacks) specs.push(...(await this.#matvec({ norm, matmuls, add, swiglu })));
      return specs;
    }
    for (const matmul of stacks.flat()) specs.push(...(await this.#matmul(matmul, add)));
    if (norm) specs.unshift(await this.#rmsnorm(norm));
    if (swiglu) specs.push(this.#elementwise(swigluKernel(swiglu), swiglu.out));
    return specs;
  }

  /** One token times a stack of matrices. */
  async #matvec({ norm, matmuls, add, swiglu }: { readonly matmuls: readonly OpOf<'matmul'>[] } & Pick<MatmulGroup, 'norm' | 'add' | 'swiglu'>): Promise<DispatchSpec[]> {
    const { memory } = this;
    const matrix = await this.#stack(matmuls.map(({ weight }) => weight));
    const { buffers: vectors, biasStart } = await this.#vectorsOf(norm, matmuls);
    const first = matmuls[0]!;
    const input = norm?.x ?? first.x;
    const ending = add ?? swiglu;
    const outs = ending ? [ending.out] : matmuls.map(({ out }) => out);
    const addition = additionTo(first, add);
    const form: MatvecForm = { kind: matrix.layout.kind, norm: norm !== undefined, bias: biasStart !== undefined, outs: outs.length, added: addition?.added, swiglu: swiglu !== undefined };
    const starts = [1, 2].map((i) => matmuls.slice(0, i).reduce((sum, { weight }) => sum + this.store.weight(weight).rows, 0));
    const outStrides = outs.map((out) => memory.stride(out) / 4);
    return matrix.ranges.map((range) => ({
      kernel: matvecKernel(form, this.gpu.abilities),
      constants: this.#constants(matvecConstants, {
        ...this.#matrixConstants(matrix, range, memory.stride(input), memory.stride(outs[0]!)),
        eps: norm?.eps ?? 0, biasStart: biasStart ?? 0, start1: starts[0]!, start2: starts[1]!, outStride1: outStrides[1] ?? 0, outStride2: outStrides[2] ?? 0,
      }),
      buffers: () => [...planesOf(matrix, range), memory.activation(this.#isRounded(first) ? ROUNDED : input), ...vectors, ...[...(addition?.apart ?? []), ...outs].map((name) => memory.activation(name))],
      groups: () => Math.ceil((swiglu ? range.rowCount / 2 : range.rowCount) / rowsPerGroup(form)),
    }));
  }

  /** Many tokens times a matrix, and an addition to the product. */
  async #matmul(op: OpOf<'matmul'>, add?: OpOf<'add'>): Promise<DispatchSpec[]> {
    const { memory } = this;
    const matrix = await this.#matrix(op.weight);
    const bias = op.bias === undefined ? [] : [await this.#vector(op.bias)];
    const addition = additionTo(op, add);
    const out = add?.out ?? op.out;
    return matrix.ranges.map((range) => ({
      kernel: matmulKernel({ kind: matrix.layout.kind, bias: bias.length > 0, added: addition?.added }),
      constants: this.#constants(matrixConstants, this.#matrixConstants(matrix, range, memory.stride(op.x), memory.stride(out))),
      buffers: () => [...planesOf(matrix, range), memory.activation(this.#isRounded(op) ? ROUNDED : op.x), ...bias, ...[...(addition?.apart ?? []), out].map((name) => memory.activation(name))],
      groups: (rowCount) => Math.ceil(range.rowCount / TILE) * Math.ceil(rowCount / TILE),
    }));
  }

  #roundedInput(op: OpOf<'matmul'>): DispatchSpec[] {
    if (!this.#isRounded(op)) return [];
    const kernel = roundActivationsKernel(this.gpu.abilities);
    return [{
      kernel,
      constants: this.#constants(kernel.constants, { stride: this.memory.stride(op.x) }),
      buffers: () => [this.memory.activation(op.x), this.memory.activation(ROUNDED)],
      groups: (rowCount) => rowCount,
    }];
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

  #rotateAndStore({ query, attention: { q, k, v, heads, kvHeads, headDim, layer } }: AttentionGroup): DispatchSpec {
    const { memory } = this;
    const table = this.batch.table(headDim, query.theta);
    const kernel = rotateAndStoreKernel(query.style);
    return {
      kernel,
      constants: this.#constants(kernel.constants, { heads, kvHeads, halfDim: headDim / 2, qStride: memory.stride(q), kStride: memory.stride(k) }),
      buffers: () => [table(), ...cacheOf(memory, layer), ...[q, k, v].map((name) => memory.activation(name))],
      groups: (rowCount) => Math.ceil((rowCount * (heads + kvHeads) * (headDim / 2)) / 64),
    };
  }

  #storeKeys(op: OpOf<'attention'>): DispatchSpec {
    const { memory } = this;
    const kvWidth = op.kvHeads * op.headDim;
    const { kernel, buffers } = storeKernel(op);
    return {
      kernel,
      constants: this.#constants(kernel.constants, { kvWidth, stride: memory.stride(op.k) }),
      buffers: () => [...cacheOf(memory, op.layer), ...buffers.map((name) => memory.activation(name))],
      groups: (rowCount) => Math.ceil((rowCount * kvWidth) / 64),
    };
  }

  /** One workgroup a head leaves most of a card idle, so that for one token a long context is cut into ranges. */
  #attend(op: OpOf<'attention'>, batch: Batch): DispatchSpec[] {
    const { heads, kvHeads, headDim, layer, q, out } = op;
    const { abilities } = this.gpu;
    const bytes = 4 * attentionWorkgroupFloats(headDim, abilities);
    if (bytes > WORKGROUP_BYTES) throw new BackendError('BACKEND_FAILED', `attention heads of ${headDim} need ${bytes} bytes of workgroup memory; maxComputeWorkgroupStorageSize is ${WORKGROUP_BYTES}`);
    const { memory } = this;
    const whole = attentionKernel(op, headDim, abilities);
    const constants = this.#constants(whole.kernel.constants, { heads, headsPerKv: heads / kvHeads, kvWidth: kvHeads * headDim, qStride: memory.stride(q), outStride: memory.stride(out), scale: 1 / Math.sqrt(headDim) });
    const wholeBuffers = (): GPUBuffer[] => [...cacheOf(memory, layer), ...whole.buffers.map((name) => memory.activation(name))];
    if (batch === 'many') return [{ kernel: whole.kernel, constants, buffers: wholeBuffers, groups: (rowCount) => rowCount * heads }];
    const inRanges = (positions: number): boolean => rangeCount(positions) > 1;
    return [
      { kernel: whole.kernel, constants, buffers: wholeBuffers, groups: (_, positions) => (inRanges(positions) ? 0 : heads) },
      { kernel: attentionRangesKernel(headDim, abilities), constants, buffers: () => [...cacheOf(memory, layer), memory.activation(q), memory.partials], groups: (_, positions) => (inRanges(positions) ? heads * rangeCount(positions) : 0) },
      { kernel: combineRangesKernel(headDim, abilities), constants, buffers: () => [memory.partials, memory.activation(out)], groups: (_, positions) => (inRanges(positions) ? heads : 0) },
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

const planesOf = ({ layout }: Matrix, { planes }: MatrixRange): GPUBuffer[] => decoderOf(layout.kind).planes.map((name) => planes[name]!);

const cacheOf = (memory: Memory, layer: number): GPUBuffer[] => [memory.cache(layer).keys, memory.cache(layer).values];

/** What is added to a product, and the buffer that holds it where out does not. */
function additionTo({ out: product }: OpOf<'matmul'>, add: OpOf<'add'> | undefined): { readonly added: Added; readonly apart: readonly string[] } | undefined {
  if (!add) return undefined;
  const other = add.a === product ? add.b : add.a;
  return other === add.out ? { added: 'inPlace', apart: [] } : { added: 'apart', apart: [other] };
}

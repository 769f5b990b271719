/**
 * From an original checkpoint and activation statistics to LMDeploy's int8 export (specs/smoothquant, S-3 and S-4).
 * Source: LMDeploy aeda1ac lite/quantization/awq.py smooth_layers, lite/apis/smooth_quant.py.
 */
import { int8RowScale } from '@weightspec/codecs';
import { DiagnosticError, type Checkpoint, type Diagnostic, type Progress, type TensorInfo } from '@weightspec/core';
import { lmdeployInt8Weights } from '@weightspec/models';
import { smoothquantDiagnostic, type SmoothquantCode } from './codes.js';
import { floatTensor, halfTensor, int8Tensor } from './encoded-sources.js';
import { columnsOf, eachRows, isFloat, readSmoothed, rowsOf, type Smoothing } from './floats.js';
import { inDecoderLayer, smoothingGroups, type SmoothingGroup } from './groups.js';
import { migrationScale, MeanOfRelativeRows } from './scales.js';
import type { ActivationStatistics } from './statistics.js';

export interface SmoothQuantOptions {
  /** How much of the difficulty goes into the weights, 0 … 1. Default 0.5. */
  readonly alpha?: number;
  /** Leave migration scales out, for loaders that stack q, k and v. */
  readonly withoutMigrationScales?: boolean;
  /** Bytes of the original read so far: every quantized matrix twice. It is read a third time when the result is. */
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * The export as a checkpoint whose tensors are computed when they are read; only scales are kept, so that memory does not grow with the matrices.
 * The original must stay open. Its order is kept: weight, scale and migration scale in the place of a weight.
 * Throws DiagnosticError: SMOOTHQUANT_ORIGINAL, SMOOTHQUANT_STATISTICS; RangeError for an α outside 0 … 1.
 */
export async function smoothQuant(original: Checkpoint, statistics: ActivationStatistics, options: SmoothQuantOptions = {}): Promise<Checkpoint> {
  const tensors = new Map(original.tensors.map((tensor) => [tensor.name, tensor]));
  const groups = smoothingGroups(tensors.keys());
  const problems = findProblems(original, tensors, groups, statistics);
  if (problems.length > 0) throw new DiagnosticError(problems);

  const advance = progressOf(groups, tensors, options);
  const plan = new SmoothingPlan(tensors);
  for (const group of groups) await plan.add(group, statistics.get(group.layers[0]!)!, options.alpha, advance);

  const quantized: TensorInfo[] = [];
  for (const tensor of original.tensors) {
    const smoothing = plan.smoothings.get(tensor.name);
    if (plan.linears.has(tensor.name)) quantized.push(...(await quantizedLinear(tensor, smoothing, options, advance)));
    else quantized.push(isFloat(tensor) ? halfTensor(tensor, smoothing) : tensor);
  }
  const { format, variant, metadata } = original;
  return { format, variant, metadata, tensors: quantized, packed: lmdeployInt8Weights(quantized) };
}

type Advance = (bytes: number) => void;

function progressOf(groups: readonly SmoothingGroup[], tensors: ReadonlyMap<string, TensorInfo>, { progress, signal }: SmoothQuantOptions): Advance {
  const total = groups.flatMap(({ layers }) => layers).reduce((sum, layer) => sum + 2 * tensors.get(`${layer}.weight`)!.location.length, 0);
  let done = 0;
  return (bytes) => {
    signal?.throwIfAborted();
    progress?.((done += bytes), total);
  };
}

/** What happens to each tensor. Only scales are held. */
class SmoothingPlan {
  /** By tensor name, `.weight` and `.bias` included. */
  readonly smoothings = new Map<string, Smoothing>();
  /** Weights that become int8. */
  readonly linears = new Set<string>();

  constructor(private readonly tensors: ReadonlyMap<string, TensorInfo>) {}

  async add({ before, layers }: SmoothingGroup, absmax: Float32Array, alpha: number | undefined, advance: Advance): Promise<void> {
    const weights = layers.map((layer) => this.tensors.get(`${layer}.weight`)!);
    for (const { name } of weights) this.linears.add(name);
    const mean = new MeanOfRelativeRows(absmax.length);
    const previous = this.tensors.get(`${before.name}.weight`)!;
    const unscalable = before.kind === 'linear' && isGrouped(previous, absmax.length);
    for (const weight of weights) {
      if (unscalable) advance(weight.location.length);
      else await addRows(mean, weight, advance);
    }
    if (unscalable) return;
    const norm = before.kind === 'norm' ? await readSmoothed(previous, 0, absmax.length) : undefined;
    const scale = migrationScale(absmax, mean.mean(), { alpha, norm });
    const rows = { firstRow: rowsOf(previous) - absmax.length, divisors: scale };
    this.#extend(previous.name, { rows });
    if (this.tensors.has(`${before.name}.bias`)) this.#extend(`${before.name}.bias`, { rows });
    for (const { name } of weights) this.#extend(name, { columns: scale });
  }

  #extend(name: string, more: Smoothing): void {
    this.smoothings.set(name, { ...this.smoothings.get(name), ...more });
  }
}

/** Grouped queries: v has fewer rows than o has columns, so that one of its rows feeds several columns. */
const isGrouped = (v: TensorInfo, inWidth: number): boolean => rowsOf(v) < inWidth;

async function addRows(mean: MeanOfRelativeRows, weight: TensorInfo, advance: Advance): Promise<void> {
  const columns = columnsOf(weight);
  for await (const { rowCount, values } of eachRows(weight)) {
    for (let row = 0; row < rowCount; row++) mean.add(values, row * columns);
    advance(rowCount * columns * weight.dtype.bytesPerBlock);
  }
}

/** `.weight`, `.scale` and, where there is one, `.migration_scale`. */
async function quantizedLinear(weight: TensorInfo, smoothing: Smoothing = {}, options: SmoothQuantOptions, advance: Advance): Promise<TensorInfo[]> {
  const columns = columnsOf(weight);
  const scales = new Float32Array(rowsOf(weight));
  for await (const { firstRow, rowCount, values } of eachRows(weight, smoothing)) {
    for (let row = 0; row < rowCount; row++) scales[firstRow + row] = int8RowScale(absmaxOf(values, row * columns, columns, weight));
    advance(rowCount * columns * weight.dtype.bytesPerBlock);
  }
  const layer = weight.name.slice(0, -'.weight'.length);
  const { columns: migration } = smoothing;
  return [
    int8Tensor(weight, smoothing, scales),
    floatTensor(`${layer}.scale`, [scales.length, 1], scales, weight),
    ...(migration && !options.withoutMigrationScales ? [floatTensor(`${layer}.migration_scale`, [migration.length], migration, weight)] : []),
  ];
}

function absmaxOf(values: Float32Array, at: number, columns: number, weight: TensorInfo): number {
  let absmax = 0;
  for (let i = at; i < at + columns; i++) {
    const magnitude = Math.abs(values[i]!);
    if (!(magnitude < Infinity)) throw new DiagnosticError([problem('SMOOTHQUANT_ORIGINAL', weight, `a smoothed weight of ${weight.name} is ${values[i]}`)]);
    if (magnitude > absmax) absmax = magnitude;
  }
  return absmax;
}

// What cannot be smoothed

function problem(code: SmoothquantCode, { name, location }: TensorInfo, message: string): Diagnostic {
  return smoothquantDiagnostic(code, location.source.name, { message, pointer: `/tensors/${name}`, byteRange: [location.offset, location.offset + location.length] });
}

function findProblems(original: Checkpoint, tensors: ReadonlyMap<string, TensorInfo>, groups: readonly SmoothingGroup[], statistics: ActivationStatistics): Diagnostic[] {
  const source = original.tensors[0]?.location.source.name ?? original.format;
  if (groups.length === 0) return [smoothquantDiagnostic('SMOOTHQUANT_ORIGINAL', source, { message: 'no tensor is named like a decoder layer of Llama, Qwen2 or Qwen (model.layers.0.… or transformer.h.0.…)' })];
  const problems: Diagnostic[] = [];
  const known = new Set<string>();
  const check = (name: string, dimensions: number): TensorInfo | undefined => {
    known.add(name);
    const tensor = tensors.get(name);
    if (!tensor) problems.push(smoothquantDiagnostic('SMOOTHQUANT_ORIGINAL', source, { message: `there is no tensor ${name}`, pointer: `/tensors/${name}` }));
    else if (!isFloat(tensor) || tensor.strides || tensor.shape.length !== dimensions) problems.push(problem('SMOOTHQUANT_ORIGINAL', tensor, `${name} is ${tensor.dtype.name} [${tensor.shape.join(', ')}]${tensor.strides ? ' with strides' : ''}; contiguous F32, F16 or BF16 of ${dimensions} dimensions can be smoothed`));
    else return tensor;
    return undefined;
  };
  for (const { before, layers } of groups) {
    const previous = check(`${before.name}.weight`, before.kind === 'norm' ? 1 : 2);
    const width = layers.map((layer) => check(`${layer}.weight`, 2)).find((weight) => weight !== undefined)?.shape[1];
    if (width === undefined) continue;
    for (const layer of layers) {
      const weight = tensors.get(`${layer}.weight`);
      if (weight && weight.shape[1] !== width) problems.push(problem('SMOOTHQUANT_ORIGINAL', weight, `${weight.name} has ${weight.shape[1]} columns, and ${layers[0]} has ${width}`));
    }
    if (previous && !fits(before.kind, rowsOf(previous), width)) problems.push(problem('SMOOTHQUANT_ORIGINAL', previous, `${previous.name} has ${rowsOf(previous)} rows, which do not feed the ${width} columns of ${layers[0]}`));
    const found = statistics.get(layers[0]!);
    if (found?.length !== width) problems.push(smoothquantDiagnostic('SMOOTHQUANT_STATISTICS', source, { message: found ? `the statistics of ${layers[0]} have ${found.length} channels; the layer has ${width}` : `there are no statistics of ${layers[0]}`, pointer: `/tensors/${layers[0]}.weight` }));
  }
  for (const tensor of original.tensors) {
    if (tensor.shape.length > 1 && inDecoderLayer(tensor.name) && !known.has(tensor.name)) problems.push(problem('SMOOTHQUANT_ORIGINAL', tensor, `${tensor.name} is no layer of Llama, Qwen2 or Qwen: its input would be divided without it knowing`));
    else if (tensor.strides && !known.has(tensor.name)) problems.push(problem('SMOOTHQUANT_ORIGINAL', tensor, `${tensor.name} has strides`));
  }
  return problems;
}

/** Rows of what comes before a layer with `width` columns: as many, three times as many (packed q, k, v), or, for grouped queries, a divisor. */
const fits = (kind: 'norm' | 'linear', rows: number, width: number): boolean => rows === width || (kind === 'linear' && (rows === 3 * width || (rows < width && width % rows === 0)));

/**
 * Recognises LMDeploy's int8 exports and checks what holds in every one of them; beside the original, also that it is that model
 * (specs/smoothquant, S-1 and S-2). Tensors are read a few rows at a time.
 */
import { codecOf } from '@weightspec/codecs';
import { dtype, elementCount, readChunks, readTensor, type Checkpoint, type Diagnostic, type TensorInfo, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { lmdeployInt8Weights } from '@weightspec/models';
import { smoothquantDiagnostic, type SmoothquantCode } from './codes.js';
import { columnsOf, eachRows, isFloat, readSmoothed, rowsOf, type Smoothing } from './floats.js';
import { smoothingGroups, type SmoothingGroup } from './groups.js';

export interface CheckSmoothQuantOptions extends ValidateOptions {
  /**
   * The tensors are one shard of several, so that what is missing may be in another: only what is there is checked.
   */
  readonly partial?: boolean;
}

/** Bytes of each int8 weight that are looked at without `deep`. */
const SAMPLE_BYTES = 2 ** 16;
/** Rounding of quotient, scale and product to f32, in steps: 508 · 2⁻²⁴ < 2⁻¹⁵. */
const HALF_STEP = 0.5 + 2 ** -15;
/** Upstream smooths a model of halves in f16: product and quotient round by 2⁻¹¹ each. */
const HALF_ORIGINAL_SLACK = 2 ** -10;

/** Whether the checkpoint has int8 weights with LMDeploy's scales or migration scales beside them. Reads nothing. */
export function isSmoothQuant(checkpoint: Checkpoint): boolean {
  const names = new Set(checkpoint.tensors.map(({ name }) => name));
  return lmdeployInt8Weights(checkpoint.tensors).length > 0 || checkpoint.tensors.some((tensor) => isInt8Weight(tensor) && (names.has(`${layerOf(tensor)}.scale`) || names.has(`${layerOf(tensor)}.migration_scale`)));
}

const isInt8Weight = ({ name, dtype: { name: type }, shape }: TensorInfo): boolean => type === 'I8' && shape.length === 2 && name.endsWith('.weight');
const layerOf = ({ name }: TensorInfo): string => name.slice(0, name.lastIndexOf('.'));

/** One quantized layer, as far as it is sound. */
interface Layer {
  readonly weight: TensorInfo;
  readonly scales?: Float32Array;
  readonly migration?: Float32Array;
}

/**
 * Checks an export. Without `deep` every scale and the first 64 KiB of each weight are read; with `original`, all of both.
 * Bad bytes become diagnostics; only I/O faults and aborts throw.
 */
export async function checkSmoothQuant(checkpoint: Checkpoint, original?: Checkpoint, options: CheckSmoothQuantOptions = {}): Promise<ValidateResult> {
  const check = new Check(checkpoint, options);
  const layers = await check.layers();
  check.groups(layers);
  await check.codes(layers);
  if (original) await check.against(original, layers);
  return check.result(layers.size, original !== undefined);
}

class Check {
  readonly #found: Diagnostic[] = [];
  readonly #tensors: ReadonlyMap<string, TensorInfo>;
  readonly #notChecked: string[] = [];
  readonly #groups: readonly SmoothingGroup[];
  #sampled = false;

  constructor(
    checkpoint: Checkpoint,
    private readonly options: CheckSmoothQuantOptions,
  ) {
    this.#tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
    this.#groups = smoothingGroups(this.#tensors.keys());
  }

  /** `element`: what the finding is about, where it is one. */
  #note(code: SmoothquantCode, { name, location, dtype: type }: TensorInfo, message: string, element?: number): void {
    const start = location.offset + (element ?? 0) * type.bytesPerBlock;
    const end = element === undefined ? location.offset + location.length : start + type.bytesPerBlock;
    this.#found.push(smoothquantDiagnostic(code, location.source.name, { message, pointer: `/tensors/${name}`, byteRange: [start, end] }));
  }

  // Scales

  /** Reads all scales; notes those that are missing, of another form or of no use. */
  async layers(): Promise<Map<string, Layer>> {
    const layers = new Map<string, Layer>();
    for (const tensor of this.#tensors.values()) {
      if (isInt8Weight(tensor) && tensor.strides) this.#notChecked.push(`${tensor.name}, which has strides`);
      else if (isInt8Weight(tensor)) layers.set(layerOf(tensor), await this.#layer(tensor));
      else if (/\.(migration_)?scale$/.test(tensor.name)) this.#assertPaired(tensor);
    }
    const migrated = [...layers.values()].some(({ migration }) => migration !== undefined);
    const first = [...this.#tensors.values()].find(({ name }) => name.endsWith('.migration_scale'));
    if (migrated && first) this.#note('SMOOTHQUANT_MIGRATION_SCALES', first, `${[...layers.values()].filter(({ migration }) => migration).length} layers have migration scales; they are fused already`);
    return layers;
  }

  async #layer(weight: TensorInfo): Promise<Layer> {
    const [out, width] = weight.shape as [number, number];
    const scale = this.#tensors.get(`${layerOf(weight)}.scale`);
    const migration = this.#tensors.get(`${layerOf(weight)}.migration_scale`);
    if (!scale && !this.options.partial) this.#note('SMOOTHQUANT_SCALE_MISSING', weight, `${weight.name} is I8, and there is no ${layerOf(weight)}.scale`);
    return {
      weight,
      scales: scale && (await this.#floats(scale, [out, 1], 'SMOOTHQUANT_SCALE_FORM', (value) => value >= 0)),
      migration: migration && (await this.#floats(migration, [width], 'SMOOTHQUANT_MIGRATION_FORM', (value) => value > 0)),
    };
  }

  async #floats(tensor: TensorInfo, shape: readonly number[], form: SmoothquantCode, isGood: (value: number) => boolean): Promise<Float32Array | undefined> {
    if (tensor.dtype !== dtype('F32') || tensor.strides || tensor.shape.join() !== shape.join()) {
      this.#note(form, tensor, `${tensor.name} is ${tensor.dtype.name} [${tensor.shape.join(', ')}]${tensor.strides ? ' with strides' : ''}, not F32 [${shape.join(', ')}]`);
      return undefined;
    }
    const values = codecOf(tensor.dtype).dequantize(await readTensor(tensor));
    const bad = values.findIndex((value) => !(isGood(value) && value < Infinity));
    if (bad < 0) return values;
    this.#note('SMOOTHQUANT_SCALE_VALUE', tensor, `${tensor.name} has ${values[bad]} at ${bad}`, bad);
    return undefined;
  }

  #assertPaired(tensor: TensorInfo): void {
    const weight = this.#tensors.get(`${layerOf(tensor)}.weight`);
    if (weight && isInt8Weight(weight)) return;
    if (!weight && this.options.partial) return;
    this.#note('SMOOTHQUANT_SCALE_UNPAIRED', tensor, weight ? `${tensor.name} is there, and ${weight.name} is ${weight.dtype.name} [${weight.shape.join(', ')}]` : `${tensor.name} is there without ${layerOf(tensor)}.weight`);
  }

  // What layers have in common

  groups(layers: ReadonlyMap<string, Layer>): void {
    if (this.#groups.length === 0) this.#notChecked.push('which layers share an input: the names are none of Llama, Qwen2 or Qwen');
    const without: string[] = [];
    for (const group of this.#groups) {
      const members = group.layers.flatMap((name) => layers.get(name) ?? []);
      for (const name of group.layers) {
        const weight = this.#tensors.get(`${name}.weight`);
        if (weight && !isInt8Weight(weight)) this.#note('SMOOTHQUANT_LAYER_NOT_QUANTIZED', weight, `${weight.name} is ${weight.dtype.name} [${weight.shape.join(', ')}]`);
      }
      this.#checkShared(members);
      const first = members[0];
      if (first && !this.#tensors.has(`${layerOf(first.weight)}.migration_scale`) && !this.#isGrouped(group, first)) without.push(...members.map(({ weight }) => weight.name));
    }
    for (const [name, { migration, weight }] of layers) if (migration) this.#checkNormalized(`${name}.migration_scale`, migration, weight);
    const bare = this.#tensors.get(without[0] ?? '');
    if (bare && !this.options.partial && [...this.#tensors.keys()].some((name) => name.endsWith('.migration_scale'))) this.#note('SMOOTHQUANT_MIGRATION_PARTIAL', bare, `${without.length} quantized layers have no migration scale, ${layerOf(bare)} first, while others have one`);
  }

  #isGrouped({ before }: SmoothingGroup, { weight }: Layer): boolean {
    const previous = this.#tensors.get(`${before.name}.weight`);
    return before.kind === 'linear' && previous !== undefined && rowsOf(previous) < columnsOf(weight);
  }

  #checkShared(members: readonly Layer[]): void {
    const [first, ...others] = members.filter(({ migration }) => migration !== undefined);
    for (const other of others) {
      if (other.migration!.length !== first!.migration!.length) continue;
      const differing = other.migration!.findIndex((value, j) => value !== first!.migration![j]);
      if (differing < 0) continue;
      const tensor = this.#tensors.get(`${layerOf(other.weight)}.migration_scale`)!;
      this.#note('SMOOTHQUANT_SHARED_SCALE', tensor, `${tensor.name} has ${other.migration![differing]} at ${differing}, and ${layerOf(first!.weight)} has ${first!.migration![differing]}: they have one input`, differing);
    }
  }

  #checkNormalized(name: string, scale: Float32Array, weight: TensorInfo): void {
    const center = Math.sqrt(scale.reduce((a, b) => Math.max(a, b), 0) * scale.reduce((a, b) => Math.min(a, b), Infinity));
    if (scale.length > 0 && !(Math.abs(center - 1) <= 1e-3)) this.#note('SMOOTHQUANT_NOT_NORMALIZED', this.#tensors.get(name) ?? weight, `√(max · min) of ${name} is ${center}, not 1`);
  }

  // Codes

  async codes(layers: ReadonlyMap<string, Layer>): Promise<void> {
    const weights = [...layers.values()];
    const length = ({ weight }: Layer) => (this.options.deep ? weight.location.length : sampleLength(weight));
    const total = weights.reduce((sum, layer) => sum + length(layer), 0);
    let done = 0;
    for (const layer of weights) {
      if (length(layer) < layer.weight.location.length) this.#sampled = true;
      await this.#checkCodes(layer, length(layer), (bytes) => this.options.progress?.((done += bytes), total));
    }
  }

  async #checkCodes({ weight, scales }: Layer, length: number, advance: (bytes: number) => void): Promise<void> {
    const columns = columnsOf(weight);
    let [row, column, greatest, at] = [0, 0, 0, 0];
    let firstLow = -1;
    let lows = 0;
    let firstRow: { readonly row: number; readonly greatest: number } | undefined;
    let rows = 0;
    for await (const chunk of readChunks(weight.location.source, weight.location.offset, length)) {
      this.options.signal?.throwIfAborted();
      const codes = new Int8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      for (let i = 0; i < codes.length; i++) {
        const code = codes[i]!;
        if (code === -128 && lows++ === 0) firstLow = at + i;
        greatest = Math.max(greatest, code < 0 ? -code : code);
        if (++column < columns) continue;
        if (scales && greatest !== (scales[row] === 0 ? 0 : 127) && greatest !== 128 && rows++ === 0) firstRow = { row, greatest };
        [row, column, greatest] = [row + 1, 0, 0];
      }
      at += codes.length;
      advance(chunk.length);
    }
    if (lows > 0) this.#note('SMOOTHQUANT_CODE_RANGE', weight, `${weight.name} has the code -128 ${times(lows)}`, firstLow);
    if (firstRow) this.#note('SMOOTHQUANT_ROW_MAXIMUM', weight, `row ${firstRow.row} of ${weight.name} has the scale ${scales![firstRow.row]} and ${firstRow.greatest} for its largest code${rows > 1 ? `, and ${rows - 1} more rows are like it` : ''}`, firstRow.row * columns);
  }

  // Beside the original

  async against(original: Checkpoint, layers: ReadonlyMap<string, Layer>): Promise<void> {
    const originals = new Map(original.tensors.map((tensor) => [tensor.name, tensor]));
    const migrated = [...layers.values()].some(({ migration }) => migration !== undefined);
    if (!migrated) this.#notChecked.push('weights and norms against the original: what columns were multiplied by is not in the export');
    const smoothings = this.#smoothings(layers);
    let compared = false;
    for (const tensor of this.#tensors.values()) {
      this.options.signal?.throwIfAborted();
      if (/\.(migration_)?scale$/.test(tensor.name) || tensor.strides) continue;
      const before = originals.get(tensor.name);
      if (before?.shape.join() !== tensor.shape.join() || !isFloat(before) || before.strides) {
        this.#note('SMOOTHQUANT_ORIGINAL_MISMATCH', tensor, before ? `${tensor.name} is [${tensor.shape.join(', ')}]; in the original it is ${before.dtype.name} [${before.shape.join(', ')}]` : `${tensor.name} is not in the original`);
        continue;
      }
      const smoothing = smoothings.get(tensor.name);
      const layer = isInt8Weight(tensor) ? layers.get(layerOf(tensor)) : undefined;
      if (layer) {
        if (migrated && layer.scales) await this.#compareCodes(tensor, layer.scales, before, smoothing);
      } else if (isFloat(tensor) && (migrated || !this.#isSmoothed(tensor.name))) await this.#compareFloats(tensor, before, smoothing);
      compared = true;
    }
    const missing = original.tensors.filter(({ name, dtype: { name: type } }) => !this.#tensors.has(name) && type !== 'BOOL');
    const [here] = this.#tensors.values();
    if (missing.length > 0 && here && !this.options.partial) this.#note('SMOOTHQUANT_ORIGINAL_MISMATCH', here, `${missing.length} tensors of the original are not in the export, ${missing[0]!.name} first`);
    if (!compared) this.#notChecked.push('anything against the original');
  }

  /** Norms and biases before quantized layers, whether or not the export says by what they were divided. */
  #isSmoothed(name: string): boolean {
    return this.#groups.some(({ before }) => name === `${before.name}.weight` || name === `${before.name}.bias`);
  }

  /** What the file's migration scales say was done to each tensor of the original. */
  #smoothings(layers: ReadonlyMap<string, Layer>): Map<string, Smoothing> {
    const smoothings = new Map<string, Smoothing>();
    for (const [name, { migration }] of layers) if (migration) smoothings.set(`${name}.weight`, { columns: migration });
    for (const { before, layers: names } of this.#groups) {
      const migration = names.map((name) => layers.get(name)?.migration).find((found) => found !== undefined);
      const previous = this.#tensors.get(`${before.name}.weight`);
      if (!migration || !previous || rowsOf(previous) < migration.length) continue;
      const rows = { firstRow: rowsOf(previous) - migration.length, divisors: migration };
      for (const name of [previous.name, `${before.name}.bias`]) smoothings.set(name, { ...smoothings.get(name), rows });
    }
    return smoothings;
  }

  async #compareCodes(weight: TensorInfo, scales: Float32Array, before: TensorInfo, smoothing: Smoothing | undefined): Promise<void> {
    const columns = columnsOf(weight);
    const slack = before.dtype.name === 'F32' ? 0 : HALF_ORIGINAL_SLACK;
    let first: { readonly element: number; readonly steps: number } | undefined;
    let count = 0;
    for await (const { firstRow, rowCount, values } of eachRows(before, smoothing)) {
      this.options.signal?.throwIfAborted();
      const bytes = await weight.location.source.read(weight.location.offset + firstRow * columns, rowCount * columns);
      const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let i = 0; i < codes.length; i++) {
        const scale = scales[firstRow + Math.floor(i / columns)]!;
        const off = Math.abs(codes[i]! * scale - values[i]!);
        if (off <= HALF_STEP * scale + slack * Math.abs(values[i]!)) continue;
        if (count++ === 0) first = { element: firstRow * columns + i, steps: off / scale };
      }
    }
    if (first) this.#note('SMOOTHQUANT_RECONSTRUCTION', weight, `${weight.name}: the weight in row ${Math.floor(first.element / columns)}, column ${first.element % columns} is off by ${first.steps.toPrecision(3)} steps, and ${count} of ${elementCount(weight.shape)} by more than half a step`, first.element);
  }

  /** Norms, biases and what is only rounded: within one step of f16 of what they should be. */
  async #compareFloats(tensor: TensorInfo, before: TensorInfo, smoothing: Smoothing | undefined): Promise<void> {
    const columns = columnsOf(tensor);
    let element = -1;
    let count = 0;
    let message = '';
    for await (const { firstRow, rowCount, values } of eachRows(before, smoothing)) {
      this.options.signal?.throwIfAborted();
      const kept = await readSmoothed(tensor, firstRow * columns, rowCount * columns);
      for (let i = 0; i < kept.length; i++) {
        const step = Math.max(2 ** -10 * Math.abs(values[i]!), 2 ** -24);
        if (Math.abs(kept[i]! - values[i]!) <= step || count++ > 0) continue;
        element = firstRow * columns + i;
        message = `${tensor.name} has ${kept[i]} at ${element}, where ${smoothing ? 'the original, divided by the migration scale,' : 'the original'} has ${values[i]}`;
      }
    }
    if (count > 0) this.#note(smoothing ? 'SMOOTHQUANT_NOT_FUSED' : 'SMOOTHQUANT_KEPT_TENSOR', tensor, `${message}; ${count} of ${elementCount(tensor.shape)} differ`, element);
  }

  result(layerCount: number, withOriginal: boolean): ValidateResult {
    const checked = [`LMDeploy's int8: the scales of ${layerCount} layers${this.#sampled ? ', and the first 64 KiB of each weight' : ' and all of their weights'}${withOriginal ? ', against the original' : ''}`];
    if (this.#sampled) this.#notChecked.push('the int8 weights past their first 64 KiB');
    if (this.options.partial) this.#notChecked.push('what lies in other shards: check the folder or its index');
    return { diagnostics: this.#found, checked, notChecked: this.#notChecked };
  }
}

/** Whole rows, at least one, of about the sample's size. */
function sampleLength(weight: TensorInfo): number {
  const columns = Math.max(1, columnsOf(weight));
  return Math.min(weight.location.length, Math.max(columns, Math.floor(SAMPLE_BYTES / columns) * columns));
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

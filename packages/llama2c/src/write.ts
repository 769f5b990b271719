/**
 * Writes every llama2.c variant, tensor by tensor in chunks of about a megabyte.
 * `write` reproduces a file that was read, byte for byte; `writeLlama2c` writes another variant of the same model.
 * Source: export.py@350e04fe and the commits in specs/llama2c/README.md.
 */
import { codecOf, llama2cQ8, llama2cQ8Wmax, type Codec, type PackedScheme } from '@weightspec/codecs';
import { DiagnosticError, copyRange, elementCount, findTensor, type ByteSink, type Checkpoint, type Diagnostic, type PackedTensor, type TensorInfo } from '@weightspec/core';
import { llama2cDiagnostic } from './codes.js';
import { DEFAULT_THETA, frequencyTable } from './freqs.js';
import { AK42_HEADER_BYTES, V0_HEADER_BYTES, encodeHeader, fieldNames, type Header, type Llama2cConfig } from './header.js';
import { derivedSize, int8Variants, logicalTensors, matrixTensors, normTensors, type TensorSpec, type Variant } from './layout.js';
import { bytesOfFloats, float32s, int8s } from './views.js';

const CHUNK_ELEMENTS = 1 << 18;

export interface WriteOptions {
  readonly variant: Variant;
  /** Weights per scale in the int8 variants. Default: the largest of 64, 32, … 1 that divides dim and hidden_dim. */
  readonly groupSize?: number;
  /**
   * `upstream`: halve the group size from `groupSize` (64) until it divides dim, as export.py does, and accept groups
   * that straddle the rows of w2; only the element counts must divide.
   */
  readonly compat?: 'upstream';
  /** Allows what a variant cannot hold to be dropped: a separate classifier in v1-int8. */
  readonly allowLoss?: boolean;
  /** Header length of v1-experimental: 256 (e9cbe3e) or 128 (5e2e5b2). */
  readonly experimentalHeaderBytes?: 256 | 128;
}

/** Writes `checkpoint` in its own variant, copying every tensor's bytes. */
export async function write(checkpoint: Checkpoint, sink: ByteSink): Promise<void> {
  const variant = checkpoint.variant as Variant;
  const config = configOf(checkpoint);
  const groupSize = Number(checkpoint.metadata.group_size ?? 0);
  await sink.write(encodeHeader(headerOf(variant, config, groupSize, Number(checkpoint.metadata.header_bytes))));
  const groupSizes = new Map((checkpoint.packed ?? []).map((packed) => [packed.name, packed.groupSize!]));
  for (const tensor of checkpoint.tensors) {
    if (variant === 'v1-experimental' && groupSizes.has(tensor.name)) await sink.write(u32(groupSizes.get(tensor.name)!));
    await copyRange(tensor.location.source, tensor.location.offset, tensor.location.length, sink);
  }
}

/**
 * Writes the model in `checkpoint` as another variant and returns warnings about the result.
 * Float tensors of any type that has a codec are copied or quantized bit-equal with the exporters (which go through f32);
 * int8 sources are dequantized first, unless only the order of their parts changes. Throws DiagnosticError, before the first byte is written, for what cannot be written.
 */
export async function writeLlama2c(checkpoint: Checkpoint, sink: ByteSink, options: WriteOptions): Promise<readonly Diagnostic[]> {
  const { variant } = options;
  const source = checkpoint.tensors[0]?.location.source.name ?? checkpoint.format;
  const config = configFor(checkpoint, options, source);
  const { groupSize, diagnostics } = groupsFor(config, options, source);
  const weights = checkWeights(checkpoint, logicalTensors(variant, config), source);
  const headerBytes = variant === 'v0' ? V0_HEADER_BYTES : variant === 'v1-experimental' ? (options.experimentalHeaderBytes ?? AK42_HEADER_BYTES) : AK42_HEADER_BYTES;
  await sink.write(encodeHeader(headerOf(variant, config, groupSize, headerBytes)));

  if (!int8Variants.has(variant)) {
    for (const { name } of logicalTensors(variant, config)) await writeFloats(name, weights, config, sink);
    return diagnostics;
  }
  for (const { name } of normTensors(config)) await writeFloats(name, weights, config, sink);
  const matrices = matrixTensors(config);
  if (variant === 'v1-int8' || variant === 'v2-contiguous') {
    for (const { name } of matrices) await writeQuantized(weights.get(name)!, groupSize, 'values', sink);
    for (const { name } of matrices) await writeQuantized(weights.get(name)!, groupSize, 'scales', sink);
    return diagnostics;
  }
  for (const { name, shape } of matrices) {
    const own = variant === 'v1-experimental' ? experimentalGroupSize(shape, options.groupSize ?? 64) : groupSize;
    const scheme = variant === 'v1-experimental' ? llama2cQ8Wmax : llama2cQ8;
    if (variant === 'v1-experimental') await sink.write(u32(own));
    await writeQuantized(weights.get(name)!, own, 'values', sink, scheme);
    await writeQuantized(weights.get(name)!, own, 'scales', sink, scheme);
  }
  return diagnostics;
}

export interface WritePlan {
  /** Of the file; undefined for v1-experimental. */
  readonly byteLength?: number;
  /** Weights per scale; 0 in the float variants and in v1-experimental, where each tensor has its own. */
  readonly groupSize: number;
  readonly diagnostics: readonly Diagnostic[];
}

/** What writeLlama2c will write with the same arguments. Throws DiagnosticError for a configuration that it refuses; tensors are not looked at. */
export function planLlama2c(checkpoint: Checkpoint, options: WriteOptions): WritePlan {
  const source = checkpoint.tensors[0]?.location.source.name ?? checkpoint.format;
  const config = configFor(checkpoint, options, source);
  const groups = groupsFor(config, options, source);
  return options.variant === 'v1-experimental' ? groups : { ...groups, byteLength: Number(derivedSize(options.variant, config, groups.groupSize)) };
}

function configFor(checkpoint: Checkpoint, { variant, allowLoss }: WriteOptions, source: string): Llama2cConfig {
  const config = configOf(checkpoint);
  if (variant !== 'v1-int8' && variant !== 'v1-experimental') return config;
  if (!config.shared_classifier && !allowLoss) {
    throw new DiagnosticError([llama2cDiagnostic('LLAMA2C_WRITE_UNTIED', source, { message: `${variant} cannot hold output.weight, and this model's classifier is not shared` })]);
  }
  return { ...config, shared_classifier: true };
}

function groupsFor(config: Llama2cConfig, options: WriteOptions, source: string): { groupSize: number; diagnostics: Diagnostic[] } {
  const { variant } = options;
  return int8Variants.has(variant) && variant !== 'v1-experimental' ? chooseGroupSize(config, options, source) : { groupSize: 0, diagnostics: [] };
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function configOf({ metadata }: Checkpoint): Llama2cConfig {
  const fields = Object.fromEntries(fieldNames.map((name) => [name, Number(metadata[name])])) as Record<(typeof fieldNames)[number], number>;
  return { ...fields, shared_classifier: metadata.shared_classifier !== false };
}

function headerOf(variant: Variant, config: Llama2cConfig, groupSize: number, headerBytes: number): Header {
  if (variant === 'v0') return { kind: 'v0', headerBytes, config, storedVocabSize: config.shared_classifier ? config.vocab_size : -config.vocab_size };
  const version = variant === 'v2' || variant === 'v2-contiguous' ? 2 : 1;
  return { kind: 'ak42', headerBytes, version, config, sharedFlag: config.shared_classifier ? 1 : 0, groupSize };
}

/** C-6.2, C-6.3; with `compat: 'upstream'` export.py's back-off, which looks at dim alone. */
function chooseGroupSize(config: Llama2cConfig, { groupSize: wanted, compat }: WriteOptions, source: string): { groupSize: number; diagnostics: Diagnostic[] } {
  const { dim, hidden_dim: hidden } = config;
  if (wanted !== undefined && (!Number.isSafeInteger(wanted) || wanted < 1)) throw new RangeError(`group size ${wanted} is not a positive integer`);
  if (compat === 'upstream') {
    let groupSize = wanted ?? 64;
    while (dim % groupSize !== 0) groupSize = Math.floor(groupSize / 2);
    const ragged = matrixTensors(config).find(({ shape }) => (shape[0]! * shape[1]!) % groupSize !== 0);
    if (ragged) throw refusedGroups(source, `group size ${groupSize} does not divide the ${ragged.shape[0]! * ragged.shape[1]!} elements of ${ragged.name}; export.py stops here too`);
    if (hidden % groupSize === 0) return { groupSize, diagnostics: [] };
    return { groupSize, diagnostics: [llama2cDiagnostic('LLAMA2C_GROUPS_RAGGED', source, { pointer: '/metadata/group_size', message: `group_size = ${groupSize} does not divide hidden_dim = ${hidden}: groups straddle rows, as upstream writes them` })] };
  }
  const divides = (groupSize: number) => dim % groupSize === 0 && hidden % groupSize === 0;
  if (wanted !== undefined && !divides(wanted)) throw refusedGroups(source, `group size ${wanted} does not divide dim = ${dim} and hidden_dim = ${hidden}`);
  if (wanted !== undefined) return { groupSize: wanted, diagnostics: [] };
  return { groupSize: [64, 32, 16, 8, 4, 2, 1].find(divides)!, diagnostics: [] };
}

const refusedGroups = (source: string, message: string): DiagnosticError => new DiagnosticError([llama2cDiagnostic('LLAMA2C_WRITE_GROUP_SIZE', source, { pointer: '/metadata/group_size', message })]);

/** model.py@e9cbe3e: halve from 64 until the tensor's own element count divides. */
function experimentalGroupSize(shape: readonly number[], wanted: number): number {
  const elements = shape[0]! * shape[1]!;
  let groupSize = wanted;
  while (elements % groupSize !== 0) groupSize = Math.floor(groupSize / 2);
  return groupSize;
}

/** A logical weight: one tensor of floats, or int8 values and their scales. */
type Weight = { readonly kind: 'float'; readonly tensor: TensorInfo; readonly codec: Codec } | { readonly kind: 'packed'; readonly packed: PackedTensor; readonly values: TensorInfo; readonly scales: TensorInfo };

/** Finds every tensor that the layout needs before the first byte is written. Frequency tables may be absent: they are computed. */
function checkWeights(checkpoint: Checkpoint, needed: readonly TensorSpec[], source: string): Map<string, Weight> {
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const packed = new Map((checkpoint.packed ?? []).map((entry) => [entry.name, entry]));
  const weights = new Map<string, Weight>();
  const problems: Diagnostic[] = [];
  for (const { name, shape } of needed) {
    const entry = packed.get(name);
    const tensor = tensors.get(name);
    const actual = entry?.shape ?? tensor?.shape;
    if (!actual && name.startsWith('freqs_')) continue;
    if (actual?.join() !== shape.join()) {
      problems.push(llama2cDiagnostic('LLAMA2C_WRITE_TENSOR', source, { pointer: `/tensors/${name}`, message: `${name} should have shape [${shape.join(', ')}] and ${actual ? `has [${actual.join(', ')}]` : 'is missing'}` }));
    } else if (entry) {
      weights.set(name, { kind: 'packed', packed: entry, values: findTensor(checkpoint, entry.parts.values!), scales: findTensor(checkpoint, entry.parts.scales!) });
    } else if (tensor!.strides) {
      problems.push(llama2cDiagnostic('LLAMA2C_WRITE_TENSOR', source, { pointer: `/tensors/${name}`, message: `${name} is a view with strides; only contiguous tensors can be written` }));
    } else {
      const codec = floatCodec(tensor!);
      if (codec) weights.set(name, { kind: 'float', tensor: tensor!, codec });
      else problems.push(llama2cDiagnostic('LLAMA2C_WRITE_TENSOR', source, { pointer: `/tensors/${name}`, message: `${name} is ${tensor!.dtype.name}; only floats, blocks of floats and llama2.c's own int8 can be written` }));
    }
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  return weights;
}

function floatCodec({ dtype }: TensorInfo): Codec | undefined {
  try {
    return codecOf(dtype);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const schemeOf = ({ scheme }: PackedTensor): PackedScheme => (scheme === llama2cQ8Wmax.scheme ? llama2cQ8Wmax : llama2cQ8);

async function writeFloats(name: string, weights: ReadonlyMap<string, Weight>, config: Llama2cConfig, sink: ByteSink): Promise<void> {
  const weight = weights.get(name);
  if (!weight) {
    for (const rows of frequencyTable(name === 'freqs_cos' ? 'cos' : 'sin', config.max_seq_len, config.dim / config.n_heads, DEFAULT_THETA)) await sink.write(bytesOfFloats(rows));
    return;
  }
  for await (const chunk of floatChunks(weight, 1)) await sink.write(bytesOfFloats(chunk));
}

/** The values of a weight in f32, in chunks whose length is a multiple of `multiple` (but for the last), however long the source's own groups are. */
async function* floatChunks(weight: Weight, multiple: number): AsyncGenerator<Float32Array> {
  // A chunk of a packed weight may begin and end within a group: all of a group has one scale.
  const step = weight.kind === 'packed' ? multiple : leastCommonMultiple(multiple, weight.codec.dtype.blockSize);
  const chunkElements = Math.max(1, Math.floor(CHUNK_ELEMENTS / step)) * step;
  const elements = elementCount(weight.kind === 'float' ? weight.tensor.shape : weight.packed.shape);
  for (let first = 0; first < elements; first += chunkElements) {
    const length = Math.min(chunkElements, elements - first);
    yield weight.kind === 'packed' ? await dequantizedRange(weight, first, length) : await floatRange(weight, first, length);
  }
}

/** Elements [first, first + length) in f32; whole blocks of their type. */
async function floatRange({ tensor, codec }: Weight & { kind: 'float' }, first: number, length: number): Promise<Float32Array> {
  const bytesOf = (count: number) => (count / codec.dtype.blockSize) * codec.dtype.bytesPerBlock;
  const bytes = await tensor.location.source.read(tensor.location.offset + bytesOf(first), bytesOf(length));
  return codec.dtype.name === 'F32' ? float32s(bytes) : codec.dequantize(bytes);
}

/** Elements [first, first + length) in f32, from anywhere in a group to anywhere in another. */
async function dequantizedRange({ values, scales, packed }: Weight & { kind: 'packed' }, first: number, length: number): Promise<Float32Array> {
  const groupSize = packed.groupSize!;
  const firstGroup = Math.floor(first / groupSize);
  const groupCount = Math.ceil((first + length) / groupSize) - firstGroup;
  const codes = int8s(await values.location.source.read(values.location.offset + first, length));
  const groupScales = float32s(await scales.location.source.read(scales.location.offset + firstGroup * 4, groupCount * 4));
  const floats = new Float32Array(length);
  const dequantize = (start: number, end: number, group: number, size: number): void => {
    const groups = { values: codes.subarray(start, end), scales: groupScales.subarray(group, group + (end - start) / size) };
    schemeOf(packed).dequantizeGroups(groups, size, floats.subarray(start, end));
  };
  // The rest of the first group, whole groups, and the start of the last; each may be empty.
  const wholeStart = Math.min((groupSize - (first % groupSize)) % groupSize, length);
  const wholeEnd = Math.max(wholeStart, length - ((first + length) % groupSize));
  if (wholeStart > 0) dequantize(0, wholeStart, 0, wholeStart);
  if (wholeEnd > wholeStart) dequantize(wholeStart, wholeEnd, wholeStart > 0 ? 1 : 0, groupSize);
  if (length > wholeEnd) dequantize(wholeEnd, length, groupCount - 1, length - wholeEnd);
  return floats;
}

/**
 * Writes one part of a quantized weight. A source that already has this scheme and group size is copied.
 * Contiguous layouts call this twice a tensor: quantizing again costs less than holding every scale of the model.
 */
async function writeQuantized(weight: Weight, groupSize: number, part: 'values' | 'scales', sink: ByteSink, scheme: PackedScheme = llama2cQ8): Promise<void> {
  if (weight.kind === 'packed' && weight.packed.scheme === scheme.scheme && weight.packed.groupSize === groupSize) {
    const { location } = weight[part];
    return copyRange(location.source, location.offset, location.length, sink);
  }
  const tensor = weight.kind === 'packed' ? weight.packed.name : weight.tensor.name;
  let element = 0;
  for await (const chunk of floatChunks(weight, groupSize)) {
    const { values, scales } = scheme.quantizeGroups(chunk, groupSize, { tensor, firstElement: element });
    await sink.write(part === 'values' ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength) : bytesOfFloats(scales));
    element += chunk.length;
  }
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

/**
 * Writes safetensors files, tensor by tensor. The header is what safetensors 0.8's `serialize` writes: compact JSON,
 * `__metadata__` first, padded with spaces to a multiple of 8. Clauses S-7.
 */
import { DiagnosticError, byteLength, contiguousChunks, elementCount, type ByteSink, type Checkpoint, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { safetensorsDiagnostic, type SafetensorsCode } from './codes.js';
import { dtypeRank } from './dtypes.js';
import { quoted, tensorPointer } from './findings.js';
import { LENGTH_BYTES, METADATA_KEY } from './header.js';
import { MAX_DIMENSIONS, MAX_DIMENSIONS_IN_ALL, MAX_HEADER_BYTES, MAX_MEMBERS, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_NAME_BYTES } from './limits.js';

export interface WriteSafetensorsOptions {
  /** `__metadata__`; absent: none is written. transformers wants `{ format: 'pt' }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * `canonical` (default): by dtype descending, then name bytes, as the safetensors library orders tensors, which keeps
   * every tensor aligned. `given`: as in the array.
   */
  readonly order?: 'canonical' | 'given';
}

const encoder = new TextEncoder();

/** Writes `checkpoint` in its own order: byte-exact for files whose header is in file order, compact and padded to 8. */
export async function write(checkpoint: Checkpoint, sink: ByteSink): Promise<void> {
  const stored = checkpoint.metadata[METADATA_KEY];
  const isObject = typeof stored === 'object' && stored !== null && !Array.isArray(stored);
  // Values that are not strings are refused below.
  const metadata = isObject ? (stored as Readonly<Record<string, string>>) : undefined;
  await writeSafetensors(checkpoint.tensors, sink, { metadata, order: 'given' });
}

/**
 * Writes `tensors` as one file. Views with strides are written contiguously. Throws DiagnosticError, before the first
 * byte is written, for what the format cannot hold; RangeError when a tensor's source gives another number of bytes.
 */
export async function writeSafetensors(tensors: readonly TensorInfo[], sink: ByteSink, options: WriteSafetensorsOptions = {}): Promise<void> {
  const { metadata, order = 'canonical' } = options;
  const sorted = order === 'canonical' ? canonicalOrder(tensors) : tensors;
  await sink.write(encodeHeader(sorted, metadata));
  for (const tensor of sorted) {
    const start = sink.position;
    for await (const chunk of contiguousChunks(tensor)) await sink.write(chunk);
    if (sink.position - start !== storedBytes(tensor)) throw new RangeError(`${tensor.name}: ${sink.position - start} bytes were written where its shape takes ${storedBytes(tensor)}`);
  }
}

/** Header length, JSON and padding of a file with `tensors` in this order. Throws DiagnosticError for what the format cannot hold. */
export function encodeHeader(tensors: readonly TensorInfo[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const problems = [...checkMetadata(metadata), ...checkTensors(tensors)];
  if (problems.length > 0) throw new DiagnosticError(problems);
  const tooMany = countBeyondLimit(tensors, metadata);
  if (tooMany !== undefined) throw new DiagnosticError([refusal('SAFETENSORS_WRITE_HEADER_TOO_LARGE', undefined, tooMany)]);
  const members: string[] = metadata ? [`"${METADATA_KEY}":${JSON.stringify(metadata)}`] : [];
  let end = 0;
  for (const tensor of tensors) {
    const begin = end;
    end += storedBytes(tensor);
    members.push(`${JSON.stringify(tensor.name)}:{"dtype":"${tensor.dtype.name}","shape":[${tensor.shape.join(',')}],"data_offsets":[${begin},${end}]}`);
  }
  const json = encoder.encode(`{${members.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) throw new DiagnosticError([refusal('SAFETENSORS_WRITE_HEADER_TOO_LARGE', undefined, `the header would have ${headerBytes} bytes; the limit is ${MAX_HEADER_BYTES}`)]);
  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}

/** By dtype descending, then UTF-8 bytes of the name ascending. */
export function canonicalOrder(tensors: readonly TensorInfo[]): readonly TensorInfo[] {
  const keyed = tensors.map((tensor) => ({ tensor, rank: dtypeRank(tensor.dtype) }));
  return keyed.toSorted((a, b) => b.rank - a.rank || compareCodePoints(a.tensor.name, b.tensor.name)).map(({ tensor }) => tensor);
}

/** Orders text as its UTF-8 bytes do. Only surrogates (above U+FFFF) sort otherwise in UTF-16. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (left === right) continue;
    const [leftHigh, rightHigh] = [isSurrogate(left), isSurrogate(right)];
    return leftHigh === rightHigh ? left - right : leftHigh ? 1 : -1;
  }
  return a.length - b.length;
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
const isUnicode = (text: string): boolean => !/\p{Surrogate}/u.test(text);
const storedBytes = ({ dtype, shape }: TensorInfo): number => byteLength(dtype, elementCount(shape));

const refusal = (code: SafetensorsCode, pointer: string | undefined, message: string): Diagnostic => safetensorsDiagnostic(code, 'safetensors writer', { message, ...(pointer === undefined ? {} : { pointer }) });

function countBeyondLimit(tensors: readonly TensorInfo[], metadata: object | undefined): string | undefined {
  const members = tensors.length + (metadata ? 1 : 0);
  if (members > MAX_MEMBERS) return `the header would have ${members} members; the limit is ${MAX_MEMBERS}`;
  const dimensions = tensors.reduce((sum, { shape }) => sum + shape.length, 0);
  return dimensions > MAX_DIMENSIONS_IN_ALL ? `the tensors have ${dimensions} dimensions in all; the limit is ${MAX_DIMENSIONS_IN_ALL}` : undefined;
}

function checkMetadata(metadata: Readonly<Record<string, unknown>> = {}): Diagnostic[] {
  const refused = (message: string): Diagnostic => refusal('SAFETENSORS_WRITE_METADATA', '/metadata', message);
  const entries = Object.entries(metadata);
  const problems = entries.flatMap(([key, value]) => {
    const fits = typeof value === 'string' && isUnicode(key) && isUnicode(value);
    return fits ? [] : [refused(`the metadata value of ${quoted(key)} is no Unicode string`)];
  });
  if (problems.length > 0) return problems;
  if (entries.length > MAX_METADATA_ENTRIES) return [refused(`the metadata has ${entries.length} entries; the limit is ${MAX_METADATA_ENTRIES}`)];
  const bytes = encoder.encode(JSON.stringify(metadata)).length;
  return bytes > MAX_METADATA_BYTES ? [refused(`the metadata would have ${bytes} bytes; the limit is ${MAX_METADATA_BYTES}`)] : [];
}

function checkTensors(tensors: readonly TensorInfo[]): Diagnostic[] {
  const names = new Set<string>();
  return tensors.flatMap((tensor) => {
    const { name } = tensor;
    const repeated = names.has(name);
    names.add(name);
    // An escape takes up to six bytes a unit.
    const isLong = 6 * name.length > MAX_NAME_BYTES && nameBytes(name) > MAX_NAME_BYTES;
    if (repeated || name === METADATA_KEY || !isUnicode(name) || isLong) {
      const why = repeated ? 'stands twice' : name === METADATA_KEY ? 'is reserved' : isLong ? `has ${nameBytes(name)} bytes; the limit is ${MAX_NAME_BYTES}` : 'is no Unicode text';
      return [refusal('SAFETENSORS_WRITE_NAME', tensorPointer(name), `the name ${quoted(name)} ${why}`)];
    }
    const problem = tensorProblem(tensor);
    return problem ? [refusal('SAFETENSORS_WRITE_TENSOR', tensorPointer(name), `${quoted(name)} ${problem}`)] : [];
  });
}

/** As it stands in the header, escapes included. */
const nameBytes = (name: string): number => encoder.encode(JSON.stringify(name)).length - 2;

function tensorProblem({ dtype, shape, strides, location }: TensorInfo): string | undefined {
  if (dtypeRank(dtype) < 0) return `has the type ${dtype.name}, which safetensors does not have`;
  if (shape.length > MAX_DIMENSIONS) return `has ${shape.length} dimensions; the limit is ${MAX_DIMENSIONS}`;
  if (!shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) return `has the shape [${shape.join(', ')}]`;
  const elements = elementCount(shape);
  if (!Number.isSafeInteger(elements)) return `has the shape [${shape.join(', ')}]`;
  if (elements % dtype.blockSize !== 0) return `has ${elements} elements of ${dtype.name}, which do not fill whole bytes`;
  if (!strides && location.length !== byteLength(dtype, elements)) return `has ${location.length} bytes where ${dtype.name} [${shape.join(', ')}] takes ${byteLength(dtype, elements)}`;
  return undefined;
}

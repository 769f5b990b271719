/**
 * Reads the header, then the header of each tensor record at the place where the records before it put it.
 * Nothing is allocated for what the header merely claims: the walk stops at the first record that is not there.
 * No tensor bytes are read. Clauses G-1 to G-3.
 */
import { DiagnosticError, type ByteSource, type Diagnostic, type Producer, type ReadResult, type TensorInfo } from '@weightspec/core';
import { ggmlQwenDiagnostic } from './codes.js';
import { checkConfig, magicOf, readConfig } from './header.js';
import { HEADER_BYTES, fieldRange, ggmlTypes, halvedWidth, records, type QwenConfig, type TensorRecord } from './layout.js';

/** Record headers asked for at once: enough to hide the latency of a URL, few enough to stop early on damage. */
const BATCH = 32;

export async function read(source: ByteSource): Promise<ReadResult> {
  const head = await source.read(0, Math.min(HEADER_BYTES, source.size));
  const variant = variantOf(head);
  try {
    const { config, diagnostics } = readHeader(head, source);
    const found = [...diagnostics];
    const tensors = await readRecords(source, config, found);
    const metadata = { ...config };
    return { checkpoint: { format: 'ggml-qwen', variant: variant!, producer: producerOf(config), metadata, tensors }, variant, diagnostics: [...found, ...aboutProducer(config, source.name)] };
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return { variant, diagnostics: error.diagnostics };
  }
}

/** By ggml_type alone, so that a file whose header breaks other rules still has one. */
function variantOf(head: Uint8Array): string | undefined {
  if (head.length < HEADER_BYTES || magicOf(head) === 'none') return undefined;
  return ggmlTypes.get(readConfig(head).ggml_type)?.name.toLowerCase();
}

function readHeader(head: Uint8Array, { name, size }: ByteSource): { config: QwenConfig; diagnostics: Diagnostic[] } {
  if (magicOf(head) !== 'exact') {
    const seen = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(' ');
    throw new DiagnosticError([ggmlQwenDiagnostic('GGML_QWEN_BAD_MAGIC', name, { byteRange: [0, Math.min(4, size)], message: `the file starts with ${seen || 'nothing'}, not with 67 67 6D 6C ("ggml")` })]);
  }
  if (head.length < HEADER_BYTES) {
    throw new DiagnosticError([ggmlQwenDiagnostic('GGML_QWEN_HEADER_TRUNCATED', name, { byteRange: [0, size], message: `the file has ${size} bytes; its header alone takes ${HEADER_BYTES}` })]);
  }
  const config = readConfig(head);
  const diagnostics = checkConfig(config, name);
  const swapped = readConfig(head, false);
  if (hasErrors(diagnostics) && !hasErrors(checkConfig(swapped, name))) {
    throw new DiagnosticError([ggmlQwenDiagnostic('GGML_QWEN_BIG_ENDIAN', name, { byteRange: [4, HEADER_BYTES], message: `the configuration breaks ${diagnostics.filter((d) => d.severity === 'error').length} rules as it stands and none byte-swapped: hidden_size reads ${config.hidden_size}, swapped ${swapped.hidden_size}` })]);
  }
  throwIfErrors(diagnostics);
  return { config, diagnostics };
}

async function readRecords(source: ByteSource, config: QwenConfig, found: Diagnostic[]): Promise<TensorInfo[]> {
  const tensors: TensorInfo[] = [];
  const ffn = await storedWidth(source, config);
  if (ffn !== halvedWidth(config)) {
    found.push(ggmlQwenDiagnostic('GGML_QWEN_INTERMEDIATE_NOT_DOUBLED', source.name, { byteRange: fieldRange('intermediate_size'), pointer: '/metadata/intermediate_size', message: `intermediate_size = ${config.intermediate_size}, and mlp.w1.weight has as many rows: the field should be twice that` }));
  }
  const expected = records(config, ffn);
  let end = HEADER_BYTES;
  for (;;) {
    const batch: TensorRecord[] = [];
    while (batch.length < BATCH) {
      const next = expected.next();
      if (next.done) break;
      batch.push(next.value);
    }
    if (batch.length === 0) break;
    const heads = await Promise.all(batch.map((record) => readAvailable(source, record.headerOffset, record.dataOffset - record.headerOffset)));
    batch.forEach((record, i) => {
      found.push(...checkRecord(record, heads[i]!, source, config));
      throwIfErrors(found);
      tensors.push({ name: record.name, dtype: record.dtype, shape: record.shape, location: { source, offset: record.dataOffset, length: record.dataLength } });
      end = record.dataOffset + record.dataLength;
    });
  }
  if (end < source.size) {
    found.push(ggmlQwenDiagnostic('GGML_QWEN_TRAILING_BYTES', source.name, { byteRange: [end, source.size], message: `${source.size - end} bytes follow the last tensor, lm_head.weight` }));
    throw new DiagnosticError(found);
  }
  return tensors;
}

/**
 * The MLP's width: half of intermediate_size, or all of it where the first w1 record has that many rows.
 * The records before w1 do not depend on it.
 */
async function storedWidth(source: ByteSource, config: QwenConfig): Promise<number> {
  for (const record of records(config)) {
    if (!record.name.endsWith('mlp.w1.weight')) continue;
    const rowsOffset = record.headerLength - 12; // rows, columns and type end the record's header
    const head = await readAvailable(source, record.headerOffset, record.headerLength);
    const complete = head.length === record.headerLength;
    const rows = complete ? new DataView(head.buffer, head.byteOffset).getInt32(rowsOffset, true) : 0;
    return rows === config.intermediate_size ? rows : halvedWidth(config);
  }
  return halvedWidth(config);
}

/** [offset, offset + length) as far as the file goes. */
const readAvailable = async (source: ByteSource, offset: number, length: number): Promise<Uint8Array> =>
  offset >= source.size ? new Uint8Array(0) : source.read(offset, Math.min(length, source.size - offset));

/** Compares one record with what the header implies, field by field in file order; the first difference ends it. */
function checkRecord(record: TensorRecord, head: Uint8Array, source: ByteSource, config: QwenConfig): Diagnostic[] {
  const { name, shape, headerOffset, headerLength, dataOffset, dataLength, typeId } = record;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const pointer = `/tensors/${name}`;
  const at = (start: number, length = 4) => ({ pointer, byteRange: [headerOffset + start, headerOffset + start + length] as const });
  const truncated = (what: string) =>
    ggmlQwenDiagnostic('GGML_QWEN_TRUNCATED', source.name, { pointer, byteRange: [Math.max(0, Math.min(headerOffset, source.size - 1)), source.size], message: `the file ends at ${source.size}, ${what} ${name}` });
  const nameLength = name.length;
  if (head.length < 4) return [truncated('before the record of')];
  const storedLength = view.getInt32(0, true);
  if (storedLength !== nameLength) {
    return [ggmlQwenDiagnostic('GGML_QWEN_NAME_LENGTH', source.name, { ...at(0), message: `the name has ${storedLength} bytes where "${name}" (${nameLength}) should stand` })];
  }
  if (head.length < headerLength) return [truncated('inside the record of')];
  const storedName = head.subarray(4, 4 + nameLength);
  if (!new TextEncoder().encode(name).every((byte, i) => byte === storedName[i])) {
    const shown = JSON.stringify(String.fromCharCode(...storedName));
    return [ggmlQwenDiagnostic('GGML_QWEN_NAME', source.name, { ...at(4, nameLength), message: `the tensor here is ${shown}, expected "${name}"` })];
  }
  let position = 4 + nameLength;
  const dimensionCount = view.getInt32(position, true);
  if (dimensionCount !== shape.length) {
    return [ggmlQwenDiagnostic('GGML_QWEN_DIMENSION_COUNT', source.name, { ...at(position), message: `${name} has ${dimensionCount} dimensions, expected ${shape.length}` })];
  }
  position += 4;
  for (const [i, expected] of shape.entries()) {
    const stored = view.getInt32(position + 4 * i, true);
    if (stored !== expected) {
      return [ggmlQwenDiagnostic('GGML_QWEN_SHAPE', source.name, { ...at(position + 4 * i), message: `${name} has dimension ${i} = ${stored}; the header implies [${shape.join(', ')}]` })];
    }
  }
  position += 4 * shape.length;
  const storedType = view.getInt32(position, true);
  if (storedType !== typeId) {
    const expected = shape.length === 1 ? 'vectors are F32 (0)' : `the header's ggml_type is ${config.ggml_type}`;
    return [ggmlQwenDiagnostic('GGML_QWEN_TENSOR_TYPE', source.name, { ...at(position), message: `${name} has type ${storedType}; ${expected}` })];
  }
  if (dataOffset + dataLength > source.size) {
    return [{ ...truncated('inside the data of'), byteRange: [Math.min(dataOffset, source.size - 1), source.size] }];
  }
  const padding = head.subarray(headerLength);
  const odd = padding.findIndex((byte) => byte !== 0);
  if (odd < 0) return [];
  return [ggmlQwenDiagnostic('GGML_QWEN_PADDING', source.name, { ...at(headerLength, padding.length), message: `the padding before the data of ${name} holds 0x${padding[odd]!.toString(16).padStart(2, '0')} at ${headerOffset + headerLength + odd}` })];
}

const hasErrors = (found: readonly Diagnostic[]): boolean => found.some((diagnostic) => diagnostic.severity === 'error');

function throwIfErrors(found: readonly Diagnostic[]): void {
  if (hasErrors(found)) throw new DiagnosticError(found);
}

const typeRange = [4, 8] as const;

function producerOf(config: QwenConfig): Producer {
  const message = config.ggml_type === 6 ? 'Q5_0, which qwen.cpp\'s convert.py cannot write' : 'every writer of this container leaves the same header';
  return { name: config.ggml_type === 6 ? 'not qwen.cpp convert.py' : 'unknown', evidence: [{ message, byteRange: typeRange }] };
}

function aboutProducer(config: QwenConfig, source: string): Diagnostic[] {
  if (config.ggml_type !== 6) return [];
  return [ggmlQwenDiagnostic('GGML_QWEN_Q5_0_PRODUCER', source, { byteRange: typeRange, pointer: '/metadata/ggml_type', message: 'the published converter cannot write Q5_0: another tool made this file' })];
}

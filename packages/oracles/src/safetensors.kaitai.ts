/**
 * A second reading of safetensors files: the container by the parser generated from specs/safetensors/safetensors.ksy,
 * the header by JSON.parse, the rules S-3 to S-5 in BigInt. Imports nothing from packages/safetensors.
 * JSON.parse takes more than the clauses allow (duplicate keys, 1.0 for 1, lone surrogates): where this reading refuses a
 * file the production reader must refuse it, and what the production reader accepts must be accepted here, and equal.
 */
import type { Safetensors } from '../generated/Safetensors.js';
import { loadGenerated } from './generated.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import { openBytes } from './sync-bytes.js';

const parsers = loadGenerated('Safetensors') as { Safetensors: typeof Safetensors };

/** One tensor; offset and length in the file. */
export interface SafetensorsPlace {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export type SafetensorsReading =
  | { readonly accepted: true; readonly metadata: Readonly<Record<string, string>> | undefined; /** By offset. */ readonly directory: readonly SafetensorsPlace[] }
  | { readonly accepted: false; readonly reason: string };

const bitsOf: Readonly<Record<string, bigint>> = {
  BOOL: 8n, F4: 4n, F6_E2M3: 6n, F6_E3M2: 6n, U8: 8n, I8: 8n, F8_E5M2: 8n, F8_E4M3: 8n, F8_E8M0: 8n, F8_E4M3FNUZ: 8n, F8_E5M2FNUZ: 8n,
  I16: 16n, U16: 16n, F16: 16n, BF16: 16n, I32: 32n, U32: 32n, F32: 32n, C64: 64n, F64: 64n, I64: 64n, U64: 64n,
};

/** Thrown for bytes that break a clause. */
class Refused extends Error {}

function refuse(reason: string): never {
  throw new Refused(reason);
}

/** Reads an array or the file at a path. No tensor data is read. */
export function readSafetensorsWithKaitai(input: Uint8Array | string): SafetensorsReading {
  const source = openBytes(input);
  try {
    const file = new parsers.Safetensors(new PagedKaitaiStream(source));
    return { accepted: true, ...readHeader(textOf(file.header), file.ofsData, file.lenData) };
  } catch (error) {
    // Parsing throws EOFError, Validation…Error and RangeError; anything else is a defect of this file.
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
    return { accepted: false, reason: `${error.name}: ${error.message}` };
  } finally {
    source.close();
  }
}

function textOf(header: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    return refuse('S-2.1: not UTF-8');
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

function readHeader(text: string, dataStart: number, dataLength: number): { metadata: Record<string, string> | undefined; directory: SafetensorsPlace[] } {
  const header: unknown = JSON.parse(text);
  if (!isRecord(header)) return refuse('S-3.1: not an object');
  let metadata: Record<string, string> | undefined;
  const directory: SafetensorsPlace[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(value);
    else directory.push(readTensor(name, value, dataStart));
  }
  directory.sort((a, b) => a.offset - b.offset || a.length - b.length);
  let end = dataStart;
  for (const { name, offset, length } of directory) {
    if (offset !== end) refuse(`S-5.5: ${name} begins at ${offset}, not at ${end}`);
    end += length;
  }
  if (end !== dataStart + dataLength) refuse(`S-5.6: the tensors end at ${end}, the file at ${dataStart + dataLength}`);
  return { metadata, directory };
}

function readMetadata(value: unknown): Record<string, string> | undefined {
  if (value === null) return undefined;
  if (!isRecord(value) || !Object.values(value).every((text) => typeof text === 'string')) return refuse('S-3.7: metadata');
  return value as Record<string, string>;
}

/** S-3.3 with the two laxities of S-3.4. */
function readTensor(name: string, value: unknown, dataStart: number): SafetensorsPlace {
  const fields = Array.isArray(value) && value.length === 3 ? { dtype: value[0] as unknown, shape: value[1] as unknown, data_offsets: value[2] as unknown } : value;
  if (!isRecord(fields)) return refuse(`S-3.3: ${name}`);
  if (new TextEncoder().encode(name).length > 4096) refuse(`S-3.10: ${name.slice(0, 64)}…`);
  const dtype = readDtype(fields.dtype);
  const shape = readUnsigned(fields.shape);
  const [begin, end, ...more] = readUnsigned(fields.data_offsets);
  if (shape.length > 1024) refuse(`S-3.6: ${name}`);
  if (begin === undefined || end === undefined || more.length > 0) return refuse(`S-3.3: data_offsets of ${name}`);
  if (end < begin) refuse(`S-5.1: ${name}`);
  let elements = 1n;
  for (const dimension of shape) {
    elements *= BigInt(dimension);
    if (elements >= 2n ** 64n) refuse(`S-5.2: ${name}`);
  }
  const bits = elements * bitsOf[dtype]!;
  if (bits >= 2n ** 64n) refuse(`S-5.2: ${name}`);
  if (bits % 8n !== 0n) refuse(`S-5.3: ${name}`);
  if (bits / 8n !== BigInt(end - begin)) refuse(`S-5.4: ${name}`);
  return { name, dtype, shape, offset: dataStart + begin, length: end - begin };
}

function readDtype(value: unknown): string {
  const [text] = isRecord(value) && Object.keys(value).length === 1 && Object.values(value)[0] === null ? Object.keys(value) : [value];
  if (typeof text !== 'string' || !Object.hasOwn(bitsOf, text)) return refuse('S-4.1: dtype');
  return text;
}

function readUnsigned(value: unknown): number[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'number' && Number.isInteger(item) && item >= 0)) return refuse('S-3.5: integers');
  return value as number[];
}

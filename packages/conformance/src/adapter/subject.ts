/** An outside program as the subject. What it answers is checked before it is believed. */
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFile } from '../files.js';
import type { EncodedBlocks, Matrix, OpInput, RunningModel, Subject, ValidateAnswer } from '../subject.js';
import { littleEndianF32 } from '../suites/numbers.js';
import { adapterClient, PROTOCOL_VERSION, type AdapterClient, type AdapterOptions } from './protocol.js';

interface Introduction {
  readonly name: string;
  readonly version?: string;
  readonly methods: readonly string[];
  /** Storages whose products it computes from int8 activations; true: all quantized ones. */
  readonly int8Activations: boolean | readonly string[];
}

type Answer = Readonly<Record<string, unknown>>;
const malformed = (method: string, what: string): ConformanceError => new ConformanceError('ADAPTER_GARBAGE', `the answer to ${method} has ${what}`);
const isStrings = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((item) => typeof item === 'string');

function introductionOf({ name, version, methods, int8Activations = false }: Answer): Introduction {
  if (typeof name !== 'string' || !isStrings(methods)) throw new ConformanceError('ADAPTER_START', 'it did not say its name and its methods');
  if (typeof int8Activations !== 'boolean' && !isStrings(int8Activations)) throw new ConformanceError('ADAPTER_START', 'int8Activations is neither true, false nor a list of element types');
  return { name, methods, int8Activations, ...(typeof version === 'string' && { version }) };
}

/** Starts the program and asks what it can do. Throws ConformanceError (ADAPTER_START). */
export async function adapterSubject(options: AdapterOptions): Promise<Subject> {
  let introduction: Introduction | undefined;
  const client = adapterClient(options, async (request) => {
    introduction = introductionOf(await request('hello', { protocol: PROTOCOL_VERSION }).catch((error: unknown) => {
      throw new ConformanceError('ADAPTER_START', `it did not answer hello: ${error instanceof Error ? error.message : String(error)}`);
    }));
  });
  await client.open();
  if (!introduction) throw new ConformanceError('ADAPTER_START', 'it did not introduce itself');
  return subjectOver(client, introduction);
}

function subjectOver(client: AdapterClient, { name, version, methods, int8Activations }: Introduction): Subject {
  const can = (method: string): boolean => methods.includes(method);
  return {
    name,
    version,
    int8Activations: (storage) => (typeof int8Activations === 'boolean' ? int8Activations && !['F32', 'F16', 'BF16'].includes(storage) : int8Activations.includes(storage)),
    ...(can('validate') && { validate: async (file, { format, deep }) => validateAnswer(await client.request('validate', { file: pathOf(file), format, deep })) }),
    ...(can('dequantize') && {
      dequantize: async (blocks) => numbersOf('dequantize', await client.request('dequantize', blocksParams(blocks))),
    }),
    ...(can('quantize') && {
      quantize: async (storage, values, groupSize) => encodedOf(await client.request('quantize', { storage, f32: base64(f32Bytes(values)), ...(groupSize !== undefined && { groupSize }) }), storage, groupSize),
    }),
    ...(can('op') && { run: async (op) => numbersOf('op', await client.request('op', opParams(op))) }),
    ...(can('roundtrip') && { roundtrip: async (file, format) => bytesOf('roundtrip', (await client.request('roundtrip', { file: pathOf(file), format })).bytes) }),
    ...(can('load') && can('logits') && {
      load: async ({ format, variant, open, files, beside }) => {
        await client.request('load', { format, variant, file: pathOf(open), files: files.map(pathOf), ...(beside.config && { config: pathOf(beside.config) }), ...(beside.params && { params: pathOf(beside.params) }) });
        const running: RunningModel = {
          logits: async (tokens, promptTokens) => numbersOf('logits', await client.request('logits', { tokens, promptTokens })),
          close: async () => {},
        };
        return running;
      },
    }),
    ...(can('tokenize') && { encode: async ({ file, kind }, text) => idsOf(await client.request('tokenize', { vocabulary: { file: pathOf(file), kind }, text })) }),
    ...(can('detokenize') && { decode: async ({ file, kind }, ids) => textOf(await client.request('detokenize', { vocabulary: { file: pathOf(file), kind }, ids })) }),
    close: () => client.close(),
  };
}

const blocksParams = ({ storage, bytes, scales, groupSize }: EncodedBlocks): Answer => ({ storage, bytes: base64(bytes), ...(scales && { scales: base64(f32Bytes(scales)), groupSize }) });
const matrixParams = ({ shape, values }: Matrix): Answer => ({ shape, f32: base64(f32Bytes(values)) });

function opParams({ op, attributes, rows, tokens, weight, bias }: OpInput): Answer {
  return {
    op,
    attributes,
    rows: Object.fromEntries(Object.entries(rows).map(([name, matrix]) => [name, matrixParams(matrix)])),
    ...(tokens && { tokens }),
    ...(weight && { weight: { shape: weight.shape, ...blocksParams(weight) } }),
    ...(bias && { bias: matrixParams(bias) }),
  };
}

function pathOf({ location, path }: CaseFile): string {
  if (location === undefined) throw new Unsupported(`${path} is in memory, and an outside program opens files`);
  return location;
}

function validateAnswer({ verdict, variant, diagnostics }: Answer): ValidateAnswer {
  if (verdict !== 'valid' && verdict !== 'warnings' && verdict !== 'invalid' && verdict !== 'accept' && verdict !== 'reject') throw malformed('validate', `the verdict ${JSON.stringify(verdict)}`);
  if (diagnostics !== undefined && !(Array.isArray(diagnostics) && diagnostics.every((one) => typeof Object(one).code === 'string' && typeof Object(one).severity === 'string'))) throw malformed('validate', 'diagnostics without code and severity');
  return { verdict, ...(typeof variant === 'string' && { variant }), ...(diagnostics && { diagnostics: diagnostics as ValidateAnswer['diagnostics'] }) };
}

/** f32: base64 of little-endian f32; values: numbers, or rows of numbers, in which null stands for what JSON has no number for. */
function numbersOf(method: string, { f32, values }: Answer): Float32Array {
  if (typeof f32 === 'string') return wholeF32(method, 'f32', f32);
  if (!Array.isArray(values)) throw malformed(method, 'neither f32 nor values');
  const flat: readonly unknown[] = values.flat();
  return Float32Array.from(flat, (value) => {
    if (value === null) return Number.NaN;
    if (typeof value !== 'number') throw malformed(method, `${JSON.stringify(value)} among its numbers`);
    return value;
  });
}

function wholeF32(method: string, name: string, text: string): Float32Array {
  const bytes = fromBase64(name, text);
  if (bytes.length % 4 !== 0) throw malformed(method, `${bytes.length} bytes, which are no whole f32`);
  return littleEndianF32(bytes);
}

function bytesOf(method: string, bytes: unknown): Uint8Array {
  if (typeof bytes !== 'string') throw malformed(method, 'no bytes');
  return fromBase64('bytes', bytes);
}

function encodedOf({ bytes, scales }: Answer, storage: string, groupSize: number | undefined): EncodedBlocks {
  const encoded = { storage, bytes: bytesOf('quantize', bytes), ...(groupSize !== undefined && { groupSize }) };
  return typeof scales === 'string' ? { ...encoded, scales: wholeF32('quantize', 'scales', scales) } : encoded;
}

function idsOf({ ids }: Answer): readonly number[] {
  if (!Array.isArray(ids) || !ids.every((id): id is number => Number.isSafeInteger(id))) throw malformed('tokenize', 'no list of ids');
  return ids;
}

function textOf({ text }: Answer): string {
  if (typeof text !== 'string') throw malformed('detokenize', 'no text');
  return text;
}

function f32Bytes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return bytes;
}

/** In pieces, because a call takes only so many arguments. */
function base64(bytes: Uint8Array): string {
  const pieces = Array.from({ length: Math.ceil(bytes.length / 8192) }, (_, i) => String.fromCharCode(...bytes.subarray(8192 * i, 8192 * (i + 1))));
  return btoa(pieces.join(''));
}

function fromBase64(name: string, text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    throw new ConformanceError('ADAPTER_GARBAGE', `${name} is not base64`);
  }
}

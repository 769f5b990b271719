/**
 * The JSON header: `__metadata__` and one entry a tensor. Clauses S-2 to S-5.4.
 * A fault of the JSON itself ends the reading; a fault of one tensor is noted and the next tensor is read, so that one
 * run shows all of them. Offsets in diagnostics are file offsets: the header stays where it lies in the array.
 */
import { type ByteSource, type DType, type TensorInfo } from '@weightspec/core';
import { safetensorsDiagnostic, type SafetensorsCode } from './codes.js';
import { memberBeyond } from './count-members.js';
import { bitsPerElement, safetensorsDtypes } from './dtypes.js';
import { Findings, quoted, tensorPointer } from './findings.js';
import { JsonError, JsonReader, type JsonFault } from './json-reader.js';
import { MAX_DIMENSIONS, MAX_DIMENSIONS_IN_ALL, MAX_MEMBERS, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_NAME_BYTES } from './limits.js';
import { firstInvalidUtf8 } from './utf8.js';

export const LENGTH_BYTES = 8;
export const METADATA_KEY = '__metadata__';

export type HeaderFindings = Findings<SafetensorsCode>;

export const headerFindings = (source: string): HeaderFindings => new Findings(source, safetensorsDiagnostic);

export interface MetadataEntry {
  readonly key: string;
  readonly value: string;
  /** [start, end) of key and value in the file. */
  readonly byteRange: readonly [number, number];
}

export interface Header {
  /** `__metadata__` in file order; undefined when it is absent or null. */
  readonly metadata: readonly MetadataEntry[] | undefined;
  /** In header order, with absolute offsets. Tensors with errors are left out. */
  readonly tensors: readonly TensorInfo[];
  /** Start and end of each tensor's `data_offsets` value in the file, two numbers a tensor. */
  readonly offsetTokens: readonly number[];
  /** Every entry was understood, so that offsets can be checked against each other. */
  readonly complete: boolean;
  /** No white space between the opening and the closing brace. */
  readonly compact: boolean;
}

const codeOfFault: Readonly<Record<JsonFault, SafetensorsCode>> = {
  syntax: 'SAFETENSORS_JSON_SYNTAX',
  depth: 'SAFETENSORS_JSON_DEPTH',
  'control-character': 'SAFETENSORS_JSON_CONTROL_CHARACTER',
  'lone-surrogate': 'SAFETENSORS_JSON_LONE_SURROGATE',
  'long-string': 'SAFETENSORS_STRING_TOO_LONG',
  trailing: 'SAFETENSORS_TRAILING_HEADER_BYTES',
};

/** Ends the reading of a header that is wrong in thousands of places, or beyond a limit that bounds memory; the findings say which. */
class EnoughFound extends Error {}

/** Reads the header in bytes [8, 8 + N) of `bytes`; undefined when it is no JSON object at all. */
export function readHeader(bytes: Uint8Array, source: ByteSource, findings: HeaderFindings): Header | undefined {
  const end = bytes.length;
  if (bytes[8] === 0xef && bytes[9] === 0xbb && bytes[10] === 0xbf) {
    findings.add('SAFETENSORS_BOM', { byteRange: [8, 11], message: 'the header starts with a byte order mark (EF BB BF)' });
    return undefined;
  }
  const invalid = firstInvalidUtf8(bytes, LENGTH_BYTES, end);
  if (invalid) {
    findings.add('SAFETENSORS_HEADER_NOT_UTF8', { byteRange: invalid, message: `byte 0x${bytes[invalid[0]]!.toString(16)} at ${invalid[0]} starts no UTF-8 character` });
    return undefined;
  }
  const beyond = memberBeyond(bytes, LENGTH_BYTES, 1, MAX_MEMBERS);
  if (beyond !== undefined) {
    findings.add('SAFETENSORS_TOO_MANY_TENSORS', { byteRange: [beyond, beyond + 1], message: `the header has more than ${MAX_MEMBERS} members; number ${MAX_MEMBERS + 1} begins at ${beyond}` });
    return undefined;
  }
  const json = new JsonReader(bytes, LENGTH_BYTES, end);
  try {
    return new HeaderReader(json, source, findings).read();
  } catch (error) {
    if (error instanceof EnoughFound) return undefined;
    if (!(error instanceof JsonError)) throw error;
    const empty = end === LENGTH_BYTES;
    findings.add(codeOfFault[error.fault], { byteRange: empty ? [0, LENGTH_BYTES] : error.byteRange, message: empty ? 'the header has no bytes; the least is "{}"' : error.message });
    return undefined;
  }
}

type Dimension = number | bigint;
type FieldName = 'dtype' | 'shape' | 'data_offsets';
const fieldNames: readonly FieldName[] = ['dtype', 'shape', 'data_offsets'];

/** One tensor while it is read; a field stays undefined when it is absent or faulty. Positions are file offsets. */
class Draft {
  name = '';
  keyStart = 0;
  dtype: DType | undefined;
  shape: Dimension[] | undefined;
  offsets: Dimension[] | undefined;
  dtypeSeen = false;
  shapeSeen = false;
  offsetsSeen = false;
  shapeStart = 0;
  shapeEnd = 0;
  offsetsStart = 0;
  offsetsEnd = 0;

  reset(name: string, keyStart: number): void {
    this.name = name;
    this.keyStart = keyStart;
    this.dtype = this.shape = this.offsets = undefined;
    this.dtypeSeen = this.shapeSeen = this.offsetsSeen = false;
  }
}

class HeaderReader {
  readonly #json: JsonReader;
  readonly #source: ByteSource;
  readonly #findings: HeaderFindings;
  readonly #tensors: TensorInfo[] = [];
  readonly #offsetTokens: number[] = [];
  readonly #names = new Set<string>();
  /** One for all tensors, as are the callbacks: a quarter of a million of each is what reading a large header would cost. */
  readonly #draft = new Draft();
  readonly #onMember = (key: string): void => this.#member(key);
  readonly #onField = (field: string): void => this.#readField(field);
  #metadata: MetadataEntry[] | undefined;
  #complete = true;
  #dimensions = 0;

  constructor(json: JsonReader, source: ByteSource, findings: HeaderFindings) {
    this.#json = json;
    this.#source = source;
    this.#findings = findings;
  }

  read(): Header | undefined {
    const json = this.#json;
    if (json.type() !== 'object') {
      const [type, start] = [json.type(), json.position];
      json.skip();
      this.#findings.add('SAFETENSORS_HEADER_NOT_OBJECT', { byteRange: [start, json.position], message: `the header is ${article(type)}, not an object` });
      return undefined;
    }
    if (json.whitespaceBytes > 0) this.#findings.add('SAFETENSORS_WHITESPACE_BEFORE', { byteRange: [LENGTH_BYTES, json.position], message: `${json.whitespaceBytes} bytes of white space stand before the "{" of the header` });
    const whitespaceBefore = json.whitespaceBytes;
    json.object(this.#onMember);
    const compact = json.whitespaceBytes === whitespaceBefore;
    this.#checkPadding(json.position);
    json.finish();
    return { metadata: this.#metadata, tensors: this.#tensors, offsetTokens: this.#offsetTokens, complete: this.#complete, compact };
  }

  #stopWhenEnough(): void {
    if (this.#findings.isEnough) throw new EnoughFound();
  }

  #checkPadding(start: number): void {
    const { bytes, end } = this.#json;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0x20) continue;
      if (byte === 0x0a || byte === 0x0d || byte === 0x09) this.#findings.add('SAFETENSORS_WHITESPACE_AFTER', { byteRange: [at, at + 1], message: `the padding of the header holds 0x${byte.toString(16).padStart(2, '0')} at ${at}` });
      return;
    }
  }

  #member(key: string): void {
    const json = this.#json;
    this.#stopWhenEnough();
    const { tokenStart } = json;
    if (this.#names.has(key)) {
      this.#findings.add('SAFETENSORS_DUPLICATE_KEY', { byteRange: json.tokenRange, pointer: tensorPointer(key), message: `the header has the key ${quoted(key)} twice` });
      this.#complete = false;
      return json.skip();
    }
    const nameBytes = json.tokenEnd - tokenStart - 2;
    if (nameBytes > MAX_NAME_BYTES) {
      this.#complete = false;
      this.#findings.add('SAFETENSORS_NAME_TOO_LONG', { byteRange: json.tokenRange, pointer: tensorPointer(key), message: `the name ${quoted(key)} has ${nameBytes} bytes; the limit is ${MAX_NAME_BYTES}` });
      return json.skip();
    }
    this.#names.add(key);
    if (key === METADATA_KEY) return this.#readMetadata();
    this.#draft.reset(key, tokenStart);
    this.#readTensor();
  }

  #readMetadata(): void {
    const json = this.#json;
    const type = json.type();
    if (type === 'null') {
      json.skip();
      return this.#findings.add('SAFETENSORS_METADATA_NULL', { byteRange: json.tokenRange, pointer: '/metadata', message: '__metadata__ is null' });
    }
    if (type !== 'object') {
      json.skip();
      return this.#findings.add('SAFETENSORS_METADATA_TYPE', { byteRange: json.tokenRange, pointer: '/metadata', message: `__metadata__ is ${article(type)}, not an object` });
    }
    const entries = new Map<string, MetadataEntry>();
    const start = json.position;
    const refuseBeyond = (what: string, limit: number): never => {
      this.#findings.add('SAFETENSORS_METADATA_TOO_LARGE', { byteRange: json.tokenRange, pointer: '/metadata', message: `__metadata__ has more than ${limit} ${what}` });
      throw new EnoughFound();
    };
    json.object((key) => {
      this.#stopWhenEnough();
      if (entries.size >= MAX_METADATA_ENTRIES) refuseBeyond('entries', MAX_METADATA_ENTRIES);
      const [keyStart, keyEnd] = json.tokenRange;
      const valueType = json.type();
      if (valueType !== 'string') {
        json.skip();
        return this.#findings.add('SAFETENSORS_METADATA_TYPE', { byteRange: json.tokenRange, pointer: '/metadata', message: `the metadata value of ${quoted(key)} is ${article(valueType)}, not a string` });
      }
      const value = json.string();
      if (json.position - start > MAX_METADATA_BYTES) refuseBeyond('bytes', MAX_METADATA_BYTES);
      if (entries.has(key)) return this.#findings.add('SAFETENSORS_DUPLICATE_KEY', { byteRange: [keyStart, keyEnd], pointer: '/metadata', message: `__metadata__ has the key ${quoted(key)} twice` });
      entries.set(key, { key, value, byteRange: [keyStart, json.tokenEnd] });
    });
    this.#metadata = [...entries.values()];
  }

  #readTensor(): void {
    const json = this.#json;
    const draft = this.#draft;
    const type = json.type();
    if (type === 'object') json.object(this.#onField);
    else if (type === 'array') this.#readTuple();
    else {
      json.skip();
      this.#fault('SAFETENSORS_TENSOR_INFO', json.tokenRange, `the header describes ${quoted(draft.name)} by ${article(type)}, not by an object`);
      return;
    }
    if (!draft.dtypeSeen || !draft.shapeSeen || !draft.offsetsSeen) {
      const missing = fieldNames.filter((field) => !wasSeen(draft, field));
      this.#fault('SAFETENSORS_MISSING_FIELD', [draft.keyStart, json.position], `${quoted(draft.name)} has no ${missing.join(' and no ')}`);
    } else if (draft.dtype && draft.shape && draft.offsets) {
      this.#finishTensor(draft.dtype, draft.shape, draft.offsets[0]!, draft.offsets[1]!);
    }
  }

  #readField(field: string): void {
    const json = this.#json;
    this.#stopWhenEnough();
    const draft = this.#draft;
    const { tokenStart } = json;
    if (field !== 'dtype' && field !== 'shape' && field !== 'data_offsets') {
      json.skip();
      this.#findings.add('SAFETENSORS_UNKNOWN_FIELD', { byteRange: [tokenStart, json.position], pointer: tensorPointer(draft.name), message: `${quoted(draft.name)} has a member ${quoted(field)}` });
      return;
    }
    if (wasSeen(draft, field)) {
      const keyRange = json.tokenRange;
      json.skip();
      this.#fault('SAFETENSORS_DUPLICATE_KEY', keyRange, `${quoted(draft.name)} has the member ${quoted(field)} twice`);
      return;
    }
    this.#readKnownField(field);
  }

  /** `["F32", [2], [0, 8]]`: serde takes a struct as the array of its fields. */
  #readTuple(): void {
    const json = this.#json;
    const { name } = this.#draft;
    const start = json.position;
    let count = 0;
    json.array((index) => {
      count = index + 1;
      const field = fieldNames[index];
      if (field) this.#readKnownField(field);
      else json.skip();
    });
    const byteRange = [start, json.position] as const;
    if (count > fieldNames.length) this.#fault('SAFETENSORS_TENSOR_INFO', byteRange, `${quoted(name)} is described by an array of ${count}`);
    else this.#findings.add('SAFETENSORS_TENSOR_INFO_FORM', { byteRange, pointer: tensorPointer(name), message: `${quoted(name)} is described by an array, not by an object` });
  }

  #readKnownField(field: FieldName): void {
    const json = this.#json;
    const draft = this.#draft;
    json.peek();
    const start = json.position;
    if (field === 'dtype') {
      draft.dtypeSeen = true;
      draft.dtype = this.#readDtype();
    } else if (field === 'shape') {
      draft.shapeSeen = true;
      draft.shapeStart = start;
      draft.shape = this.#readIntegers('shape', MAX_DIMENSIONS);
      draft.shapeEnd = json.position;
      this.#dimensions += draft.shape?.length ?? 0;
      if (this.#dimensions > MAX_DIMENSIONS_IN_ALL) {
        this.#fault('SAFETENSORS_TOO_MANY_DIMENSIONS', [draft.shapeStart, draft.shapeEnd], `the tensors up to ${quoted(draft.name)} have ${this.#dimensions} dimensions in all; the limit is ${MAX_DIMENSIONS_IN_ALL}`);
        throw new EnoughFound();
      }
    } else {
      draft.offsetsSeen = true;
      draft.offsetsStart = start;
      draft.offsets = this.#readIntegers('data_offsets', 2);
      draft.offsetsEnd = json.position;
    }
  }

  #readDtype(): DType | undefined {
    const json = this.#json;
    const { name } = this.#draft;
    const type = json.type();
    const start = json.position;
    let text: string | undefined;
    if (type === 'string') text = json.string();
    else if (type === 'object') text = this.#readDtypeObject();
    else json.skip();
    const byteRange = [start, json.position] as const;
    if (text === undefined) {
      this.#fault('SAFETENSORS_FIELD_TYPE', byteRange, `the dtype of ${quoted(name)} is ${article(type)}, not a string`);
      return undefined;
    }
    const dtype = safetensorsDtypes.get(text);
    if (!dtype) {
      const upper = text.toUpperCase();
      const hint = safetensorsDtypes.has(upper) ? `Write it in upper case: ${upper}.` : undefined;
      this.#findings.add('SAFETENSORS_UNKNOWN_DTYPE', { byteRange, pointer: tensorPointer(name), message: `${quoted(name)} has the dtype ${quoted(text)}`, ...(hint ? { hint } : {}) });
      this.#complete = false;
    } else if (type === 'object') {
      this.#findings.add('SAFETENSORS_TENSOR_INFO_FORM', { byteRange, pointer: tensorPointer(name), message: `the dtype of ${quoted(name)} is written as an object` });
    }
    return dtype;
  }

  /** `{"F32": null}`: serde takes a unit variant as an object. The name, or undefined for any other object. */
  #readDtypeObject(): string | undefined {
    const json = this.#json;
    let text: string | undefined;
    let members = 0;
    let isNull = true;
    json.object((key) => {
      text = key;
      members++;
      isNull &&= json.type() === 'null';
      json.skip();
    });
    return members === 1 && isNull ? text : undefined;
  }

  /** An array of unsigned integers; for offsets exactly two. Undefined, with a finding, for anything else. */
  #readIntegers(field: 'shape' | 'data_offsets', most: number): Dimension[] | undefined {
    const json = this.#json;
    const { name } = this.#draft;
    const type = json.type();
    const start = json.position;
    if (type !== 'array') {
      json.skip();
      this.#fault('SAFETENSORS_FIELD_TYPE', json.tokenRange, `${field} of ${quoted(name)} is ${article(type)}, not an array`);
      return undefined;
    }
    const values: Dimension[] = [];
    let faulty = false;
    let count = 0;
    json.array(() => {
      count++;
      this.#stopWhenEnough();
      const elementType = json.type();
      if (elementType !== 'number') {
        json.skip();
        faulty = true;
        this.#fault('SAFETENSORS_FIELD_TYPE', json.tokenRange, `${field} of ${quoted(name)} holds ${article(elementType)}, not an integer`);
        return;
      }
      const value = json.unsignedInteger();
      if (value === undefined) {
        faulty = true;
        this.#fault('SAFETENSORS_NOT_UNSIGNED', json.tokenRange, `${field} of ${quoted(name)} holds ${json.tokenText()}, which is not an unsigned 64-bit integer`);
      } else if (count <= most) values.push(value);
    });
    if (faulty) return undefined;
    const byteRange = [start, json.position] as const;
    if (field === 'data_offsets' && count !== 2) this.#fault('SAFETENSORS_FIELD_TYPE', byteRange, `data_offsets of ${quoted(name)} has ${count} elements, not 2`);
    else if (count > most) this.#fault('SAFETENSORS_TOO_MANY_DIMENSIONS', byteRange, `${quoted(name)} has ${count} dimensions; the limit is ${most}`);
    else return values;
    return undefined;
  }

  /** Checks offsets and size of one tensor (S-5.1 to S-5.4) and adds it to the directory. */
  #finishTensor(dtype: DType, shape: readonly Dimension[], begin: Dimension, end: Dimension): void {
    const { name, offsetsStart, offsetsEnd } = this.#draft;
    if (end < begin) return this.#offsetFault('SAFETENSORS_OFFSETS_REVERSED', `begins at ${begin} and ends at ${end}`);
    if (typeof begin === 'bigint' || typeof end === 'bigint' || end > Number.MAX_SAFE_INTEGER - this.#dataStart) return this.#offsetFault('SAFETENSORS_NOT_COUNTABLE', `ends at ${end}, beyond 2^53 − 1`);
    const bits = bitCount(shape, dtype);
    if (bits === undefined) return this.#shapeFault('SAFETENSORS_NOT_COUNTABLE', `is ${typeText(dtype, shape)}, whose size overflows 64 bits`);
    if (typeof bits === 'number' ? bits % 8 !== 0 : bits % 8n !== 0n) return this.#shapeFault('SAFETENSORS_NOT_WHOLE_BYTES', `is ${typeText(dtype, shape)}, whose ${bits} bits are not whole bytes`);
    const byteLength = typeof bits === 'number' ? bits / 8 : Number(bits / 8n);
    if (byteLength !== end - begin) return this.#offsetFault('SAFETENSORS_SIZE_MISMATCH', `has ${end - begin} bytes of data where ${typeText(dtype, shape)} takes ${byteLength}`);
    // A tensor with elements cannot have such a dimension: its size would not have matched.
    const large = byteLength === 0 && shape.some((dimension) => typeof dimension === 'bigint');
    if (large) this.#findings.add('SAFETENSORS_LARGE_DIMENSION', { byteRange: this.#shapeRange, pointer: tensorPointer(name), message: `the empty tensor ${quoted(name)} is ${typeText(dtype, shape)}, which doubles cannot hold exactly` });
    this.#tensors.push({ name, dtype, shape: large ? shape.map(Number) : (shape as readonly number[]), location: { source: this.#source, offset: this.#dataStart + begin, length: byteLength } });
    this.#offsetTokens.push(offsetsStart, offsetsEnd);
  }

  get #shapeRange(): readonly [number, number] {
    return [this.#draft.shapeStart, this.#draft.shapeEnd];
  }

  #shapeFault(code: SafetensorsCode, message: string): void {
    this.#fault(code, this.#shapeRange, `${quoted(this.#draft.name)} ${message}`);
  }

  #offsetFault(code: SafetensorsCode, message: string): void {
    this.#fault(code, [this.#draft.offsetsStart, this.#draft.offsetsEnd], `${quoted(this.#draft.name)} ${message}`);
  }

  get #dataStart(): number {
    return this.#json.end;
  }

  #fault(code: SafetensorsCode, byteRange: readonly [number, number], message: string): void {
    this.#complete = false;
    this.#findings.add(code, { byteRange, pointer: tensorPointer(this.#draft.name), message });
  }
}

function wasSeen(draft: Draft, field: FieldName): boolean {
  if (field === 'dtype') return draft.dtypeSeen;
  return field === 'shape' ? draft.shapeSeen : draft.offsetsSeen;
}

const typeText = (dtype: DType, shape: readonly Dimension[]): string => `${dtype.name} [${shape.slice(0, 16).join(', ')}${shape.length > 16 ? ', …' : ''}]`;

const article = (type: string): string => (type === 'object' || type === 'array' ? `an ${type}` : type === 'string' || type === 'number' ? `a ${type}` : type);

/**
 * Π(shape) · bits as u64 arithmetic has it, multiplied in the order of the dimensions: undefined when a partial product
 * overflows, even where a later dimension is 0.
 */
function bitCount(shape: readonly Dimension[], dtype: DType): number | bigint | undefined {
  const bits = bitsPerElement(dtype);
  let product = bits;
  for (const dimension of shape) product = typeof dimension === 'number' ? product * dimension : Infinity;
  // Partial products cannot have left the safe range when the whole is in it and not 0.
  if (product > 0 && product <= Number.MAX_SAFE_INTEGER) return product;
  let elements = 1n;
  for (const dimension of shape) {
    elements *= BigInt(dimension);
    if (elements >= 2n ** 64n) return undefined;
  }
  const exact = elements * BigInt(bits);
  return exact >= 2n ** 64n ? undefined : exact;
}

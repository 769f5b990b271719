/**
 * Names for the opcodes of pickles, each with its argument. Goes from opcode to opcode by their lengths; nothing is run, and what the
 * reader refuses is named all the same. Stops at a byte that no pickle has. Clause K-2.1; the table is that of torch_pickle.ksy.
 */
import type { ByteSource } from '@weightspec/core';
import { opcodes, type OpcodeArgument } from './layouts.js';
import { lastBefore, pagedReader, type Field, type Namer } from './record.js';

/** Pickles that follow one another. */
export interface PickleRun {
  readonly start: number;
  /** No pickle goes on behind it. */
  readonly end: number;
  /** What each of them is called, in order; what follows the last is none of ours. */
  readonly records: readonly string[];
  /** Whether a pickle's first opcode says which one it is. */
  readonly announced?: boolean;
}

interface Place {
  readonly offset: number;
  readonly pickle: number;
  /** Whether the pickle's first opcode stands here. */
  readonly begins: boolean;
}

/** Enough for an opcode, the length of its argument and as much of that as is shown; two lines have to end in it. */
const HEAD_BYTES = 1024;
const PAGE_BYTES = 1 << 16;
const SHOWN_CHARACTERS = 40;
const SHOWN_INTEGER_BYTES = 16;
const STOP = 0x2e;

export function pickleNamer(source: ByteSource, { start, end, records, announced = false }: PickleRun): Namer {
  const read = pagedReader(source);
  const places: Place[] = [{ offset: start, pickle: 0, begins: true }];
  return async (range) => {
    const fields: Field[] = [];
    const to = Math.min(Math.max(range[1], range[0] + 1), end);
    let { offset: at, pickle, begins } = lastBefore(places, range[0]) ?? places[0]!;
    while (at < to && pickle < records.length) {
      if (at - places.at(-1)!.offset >= PAGE_BYTES) places.push({ offset: at, pickle, begins });
      const page = await read(at, Math.min(PAGE_BYTES, end - at));
      const pageStart = at;
      const pageEnd = pageStart + page.length;
      const wholeUntil = pageEnd >= end ? pageEnd : pageEnd - HEAD_BYTES;
      while (at < to && pickle < records.length && at <= wholeUntil) {
        const opcode = opcodeAt(page.subarray(at - pageStart));
        const next = Math.min(at + opcode.byteLength, end);
        if (next > range[0]) fields.push({ name: opcode.name, record: records[pickle]!, ...(begins && announced ? { begins: records[pickle]! } : {}), byteRange: [at, next] });
        if (!opcode.isKnown) return fields;
        begins = page[at - pageStart] === STOP;
        if (begins) pickle += 1;
        at = next;
      }
    }
    return fields;
  };
}

interface Opcode {
  readonly name: string;
  readonly byteLength: number;
  readonly isKnown: boolean;
}

/** The opcode that `bytes` begin with: `BINUNICODE "tok_embeddings.weight"`. Its argument may go on behind them. */
function opcodeAt(bytes: Uint8Array): Opcode {
  const known = opcodes[bytes[0]!];
  if (!known) return { name: 'no opcode', byteLength: 1, isKnown: false };
  const [name, argument] = known;
  if (argument === undefined) return { name, byteLength: 1, isKnown: true };
  const { text, byteLength } = argumentAt(bytes.subarray(1), name, argument);
  // An argument that is cut off, or that has no end, takes what is left.
  return { name: text === '' ? name : `${name} ${text}`, byteLength: 1 + byteLength, isKnown: true };
}

function argumentAt(bytes: Uint8Array, name: string, argument: OpcodeArgument): { readonly text: string; readonly byteLength: number } {
  if (argument === 'line' || argument === 'two lines') return linesAt(bytes, argument === 'line' ? 1 : 2);
  const [type = '', counted] = argument.split(' ');
  const width = Number(type[1]);
  if (bytes.length < width) return { text: '', byteLength: bytes.length };
  const value = numberAt(bytes, type);
  if (counted === undefined) return { text: String(value), byteLength: width };
  if (value < 0 || !Number.isSafeInteger(Number(value))) return { text: `of ${value} bytes`, byteLength: width };
  const byteLength = Number(value);
  return { text: spelled(bytes.subarray(width, width + byteLength), byteLength, name), byteLength: width + byteLength };
}

/** Text in quotes, an integer in decimal; of other bytes their number. */
function spelled(bytes: Uint8Array, byteLength: number, name: string): string {
  if (/UNICODE|STRING/.test(name)) {
    const text = new TextDecoder().decode(bytes.subarray(0, 4 * SHOWN_CHARACTERS));
    return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS - 1)}…` : text);
  }
  const isInteger = name.startsWith('LONG') && byteLength <= Math.min(bytes.length, SHOWN_INTEGER_BYTES);
  if (!isInteger) return `of ${byteLength} bytes`;
  return String(BigInt.asIntN(8 * byteLength, bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)));
}

function linesAt(bytes: Uint8Array, count: number): { readonly text: string; readonly byteLength: number } {
  const lines: string[] = [];
  let at = 0;
  for (let line = 0; line < count; line += 1) {
    const end = bytes.indexOf(0x0a, at);
    lines.push(new TextDecoder('latin1').decode(bytes.subarray(at, end < 0 ? bytes.length : end)));
    at = end < 0 ? bytes.length : end + 1;
  }
  return { text: lines.join(' '), byteLength: at };
}

function numberAt(bytes: Uint8Array, type: string): number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'u1': return view.getUint8(0);
    case 'u2': return view.getUint16(0, true);
    case 'u4': return view.getUint32(0, true);
    case 's4': return view.getInt32(0, true);
    case 'u8': return view.getBigUint64(0, true);
    case 'f8be': return view.getFloat64(0, false);
    default: throw new RangeError(`no argument has the type ${type}`);
  }
}

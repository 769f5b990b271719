import type { ByteRange, ByteSource } from '@weightspec/core';
import type { Field, FieldMap } from '@weightspec/formats';
import { visible } from './escape.js';

const bytesPerRow = 16;
const maxRows = 3;

/** Where to read for a frame around `range`: the whole rows that it touches, at most three, inside the file. */
export function frameWindow([start, end]: ByteRange, fileSize: number): { readonly offset: number; readonly length: number } {
  const at = Math.max(0, Math.min(start, fileSize - 1));
  const offset = at - (at % bytesPerRow);
  const rows = Math.min(maxRows, Math.max(1, Math.ceil((end - offset) / bytesPerRow)));
  return { offset, length: Math.min(fileSize - offset, rows * bytesPerRow) };
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
const printable = (byte: number) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.');

/** Names of fields over their bytes, the bytes, marks under those that are meant, or words about what is not shown. */
export interface FrameLine {
  readonly kind: 'names' | 'bytes' | 'marks' | 'more';
  readonly text: string;
}

/** Bytes of a file, annotated. */
export interface Frame {
  readonly lines: readonly FrameLine[];
  /** The fields that the marked bytes belong to, those that the frame shows. */
  readonly marked: readonly Field[];
}

/** Where a byte of a row stands, in characters. Two blanks part the first eight from the rest. */
const columnOf = (index: number, offsetDigits: number): number => offsetDigits + 2 + 3 * index + (index >= 8 ? 1 : 0);

/** One row of up to 16 bytes, and a row of marks under those of them that lie in [start, end). */
function rowAndMarks(row: Uint8Array, offset: number, [start, end]: ByteRange, offsetDigits: number): FrameLine[] {
  const cells = Array.from(row, (byte, index) => ({ text: hex(byte, 2), marked: offset + index >= start && offset + index < end }));
  const gap = (index: number) => (index === 8 ? '  ' : index === 0 ? '' : ' ');
  const line = cells.map(({ text }, index) => gap(index) + text).join('').padEnd(48);
  const marks = cells.map(({ marked }, index) => gap(index) + (marked ? '^^' : '  ')).join('').trimEnd();
  const head = `${hex(offset, offsetDigits)}  `;
  const bytes: FrameLine = { kind: 'bytes', text: `${head}${line}  |${Array.from(row, printable).join('')}|` };
  return marks === '' ? [bytes] : [bytes, { kind: 'marks', text: `${' '.repeat(head.length)}${marks}` }];
}

/** More lines of names than this would hide the bytes; names that find no place are left out. */
const maxNameLines = 4;
const maxNameLength = 44;

interface Label {
  readonly column: number;
  readonly text: string;
  readonly isMarked: boolean;
}

function labelsOf(fields: readonly Field[], rowStart: number, rowEnd: number, isFirstRow: boolean, digits: number, [from, to]: ByteRange): Label[] {
  return fields.flatMap(({ name, begins, byteRange: [start, end] }) => {
    if (start >= rowEnd || end <= rowStart) return [];
    // A field that goes on from the row above is named there.
    if (start < rowStart && !isFirstRow) return [];
    const spelled = visible(begins === undefined ? name : `${begins}: ${name}`);
    const short = spelled.length > maxNameLength ? `${spelled.slice(0, maxNameLength - 1)}…` : spelled;
    return [{ column: columnOf(Math.max(start, rowStart) - rowStart, digits), text: start < rowStart ? `…${short}` : short, isMarked: start < to && end > from }];
  });
}

/** Names that crowd out a marked one are left out instead. */
function nameLines(labels: readonly Label[]): FrameLine[] {
  const { levels, leftOut } = placed(labels);
  const crowdedOut = leftOut.find(({ isMarked }) => isMarked);
  const next = crowdedOut && labels.find(({ column, isMarked }) => !isMarked && column > crowdedOut.column);
  if (next) return nameLines(labels.filter((label) => label !== next));
  return levels.toReversed().map((cells) => ({ kind: 'names', text: Array.from(cells, (character) => character ?? ' ').join('') }));
}

/** Each name begins over the first byte of its field; one that would run into the next stands higher, with a line down to its byte. */
function placed(labels: readonly Label[]): { readonly levels: readonly (readonly string[])[]; readonly leftOut: readonly Label[] } {
  const levels: string[][] = [];
  const leftOut: Label[] = [];
  const isFree = (level: number, from: number, to: number): boolean => {
    const cells = levels[level] ?? [];
    for (let column = from; column < to; column += 1) if ((cells[column] ?? ' ') !== ' ') return false;
    return true;
  };
  const put = (level: number, column: number, text: string): void => {
    const cells = (levels[level] ??= []);
    Array.from(text).forEach((character, index) => (cells[column + index] = character));
  };
  // From the right, so that whatever a line down has to pass is placed already.
  for (const label of labels.toReversed()) {
    const { column, text } = label;
    let level = 0;
    while (level < maxNameLines && !isFree(level, column, column + text.length + 1)) level += 1;
    if (level === maxNameLines) {
      leftOut.push(label);
      continue;
    }
    put(level, column, text);
    for (let below = 0; below < level; below += 1) put(below, column, '|');
  }
  return { levels, leftOut };
}

/**
 * Annotated hexdump: `bytes` lie at `offset` of a file of `fileSize` bytes; `fields` are named above them, and those of
 * `range` are marked below. Says in words when the range goes on after the last row. No range leaves its file.
 */
export function hexFrame(bytes: Uint8Array, offset: number, range: ByteRange, fileSize: number, fields: readonly Field[] = []): Frame {
  const [start, end] = range;
  const digits = Math.max(8, fileSize.toString(16).length);
  const lines: FrameLine[] = [];
  for (let at = 0; at < bytes.length; at += bytesPerRow) {
    const row = bytes.subarray(at, at + bytesPerRow);
    lines.push(...nameLines(labelsOf(fields, offset + at, offset + at + row.length, at === 0, digits, range)), ...rowAndMarks(row, offset + at, range, digits));
  }
  const shownEnd = offset + bytes.length;
  if (end > shownEnd) lines.push({ kind: 'more', text: `${' '.repeat(digits)}  … and ${end - shownEnd} more bytes, up to ${end}` });
  return { lines, marked: fields.filter((field) => field.byteRange[0] < end && field.byteRange[1] > start) };
}

/** Reads what a frame needs from `source`. Undefined for an empty file. */
export async function readFrame(source: ByteSource, range: ByteRange, fields?: FieldMap): Promise<Frame | undefined> {
  if (source.size === 0) return undefined;
  const { offset, length } = frameWindow(range, source.size);
  return hexFrame(await source.read(offset, length), offset, range, source.size, await fields?.at([offset, offset + length]));
}

/** The fields in words: `dim`, `crc of local header of archive/data/0`; of many, the first and the last of each record. */
export function fieldNames(fields: readonly Field[]): string {
  const records = new Map<string | undefined, string[]>();
  for (const { name, record } of fields) records.set(record, [...(records.get(record) ?? []), name]);
  const parts = [...records].map(([record, names]) => {
    const listed = names.length > 5 ? `${names[0]} to ${names.at(-1)}` : names.join(', ');
    return record === undefined ? listed : `${listed} of ${record}`;
  });
  return parts.map(visible).join(', ');
}

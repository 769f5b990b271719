import type { ByteRange, ByteSource } from '@weightspec/core';

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

/** One row of up to 16 bytes, and a row of marks under those of them that lie in [start, end). */
function rowAndMarks(row: Uint8Array, offset: number, [start, end]: ByteRange, offsetDigits: number): string[] {
  const cells = Array.from(row, (byte, index) => ({ text: hex(byte, 2), marked: offset + index >= start && offset + index < end }));
  const gap = (index: number) => (index === 8 ? '  ' : index === 0 ? '' : ' ');
  const line = cells.map(({ text }, index) => gap(index) + text).join('').padEnd(48);
  const marks = cells.map(({ marked }, index) => gap(index) + (marked ? '^^' : '  ')).join('').trimEnd();
  const head = `${hex(offset, offsetDigits)}  `;
  const dump = `${head}${line}  |${Array.from(row, printable).join('')}|`;
  return marks === '' ? [dump] : [dump, `${' '.repeat(head.length)}${marks}`];
}

/**
 * Annotated hexdump: `bytes` lie at `offset` of a file of `fileSize` bytes, and those of `range` are marked below.
 * Says in words when the range goes on after the last row. No range leaves its file.
 */
export function hexFrame(bytes: Uint8Array, offset: number, range: ByteRange, fileSize: number): readonly string[] {
  const [, end] = range;
  const digits = Math.max(8, fileSize.toString(16).length);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += bytesPerRow) lines.push(...rowAndMarks(bytes.subarray(at, at + bytesPerRow), offset + at, range, digits));
  const shownEnd = offset + bytes.length;
  if (end > shownEnd) lines.push(`${' '.repeat(digits)}  … and ${end - shownEnd} more bytes, up to ${end}`);
  return lines;
}

/** Reads what a frame needs from `source`. Undefined for an empty file. */
export async function readFrame(source: ByteSource, range: ByteRange): Promise<readonly string[] | undefined> {
  if (source.size === 0) return undefined;
  const { offset, length } = frameWindow(range, source.size);
  return hexFrame(await source.read(offset, length), offset, range, source.size);
}

/**
 * tiktoken rank files: `qwen.tiktoken`, Llama 3's `tokenizer.model`. Text, one token a line: base64 of its bytes, a space,
 * its rank in decimal. The rank is both the id and the merge priority, lowest first.
 * Source: openai/tiktoken tiktoken/load.py load_tiktoken_bpe, QwenLM/Qwen tokenization_qwen.py _load_tiktoken_bpe.
 */
import type { ByteSource, Diagnostic, Finding } from '@weightspec/core';
import { tiktokenDiagnostic, type tiktokenCodes } from './codes.js';

/** The largest vocabularies in use have 200,000 tokens in 4 MB. 64 MB of short tokens took 600 MB of memory and twelve seconds. */
const MAX_FILE_BYTES = 16 * 2 ** 20;
const MAX_LINE_BYTES = 2 ** 16;
/** A wrong file is wrong in every line. */
const MAX_DIAGNOSTICS = 20;
const NEWLINE = 0x0a;

export interface TiktokenRanks {
  /** Base64 of each token's bytes, by rank; ranks are 0 … tokens.length − 1. */
  readonly tokens: readonly string[];
}

export interface TiktokenRanksResult {
  /** Absent when a diagnostic is an error. */
  readonly ranks?: TiktokenRanks;
  readonly diagnostics: readonly Diagnostic[];
}

/** Whether `head`, the start of a file, reads like the first line of a rank file. */
export function looksLikeTiktokenRanks(head: Uint8Array): boolean {
  return /^[A-Za-z0-9+/]+={0,2} \d+\r?\n/.test(binaryString(head.subarray(0, 256)));
}

/** Reads a rank file. Bad bytes become diagnostics with the byte range of their line; only I/O faults throw. */
export async function readTiktokenRanks(source: ByteSource): Promise<TiktokenRanksResult> {
  if (source.size > MAX_FILE_BYTES) {
    const message = `${source.size} bytes; a vocabulary of more than ${MAX_FILE_BYTES} is not read`;
    return { diagnostics: [tiktokenDiagnostic('TIKTOKEN_TOO_LARGE', source.name, { message, byteRange: [MAX_FILE_BYTES, source.size] })] };
  }
  return parseTiktokenRanks(await source.read(0, source.size), source.name);
}

/** The same for bytes in memory. `name` is for messages. Blank lines and a CR before the line's end are let pass. */
export function parseTiktokenRanks(bytes: Uint8Array, name: string): TiktokenRanksResult {
  const diagnostics: Diagnostic[] = [];
  const report = (code: keyof typeof tiktokenCodes, finding: Finding): void => {
    if (diagnostics.length < MAX_DIAGNOSTICS) diagnostics.push(tiktokenDiagnostic(code, name, finding));
  };
  const tokens: string[] = [];
  /** Line of each token, to name the first of a pair. */
  const lineOf = new Map<string, number>();
  const bytesMissing = new Set(Array.from({ length: 256 }, (_, byte) => byte));

  for (const { text, number, byteRange } of linesOf(bytes)) {
    if (diagnostics.length >= MAX_DIAGNOSTICS) break;
    if (text === '') continue;
    const [, token, digits] = /^(\S+)[ \t]+(\d{1,15})$/.exec(text) ?? [];
    if (token === undefined || digits === undefined) {
      report('TIKTOKEN_LINE', { byteRange, message: `line ${number} is ${JSON.stringify(text.slice(0, 40))}, not a base64 token and a rank` });
      continue;
    }
    if (!isBase64(token)) {
      report('TIKTOKEN_BASE64', { byteRange, message: `line ${number}: ${JSON.stringify(token.slice(0, 40))} is not base64 of at least one byte` });
      continue;
    }
    const rank = Number(digits);
    if (rank !== tokens.length) report('TIKTOKEN_RANK', { byteRange, message: `line ${number} has rank ${rank} where ${tokens.length} should follow` });
    const earlier = lineOf.get(token);
    if (earlier !== undefined) report('TIKTOKEN_DUPLICATE', { byteRange, message: `line ${number} has the same token as line ${earlier}` });
    lineOf.set(token, number);
    tokens.push(token);
    if (token.endsWith('==') && token.length === 4) bytesMissing.delete(atob(token).charCodeAt(0));
  }
  if (diagnostics.length > 0) return { diagnostics };
  const whole = [0, bytes.length] as const;
  if (tokens.length === 0) report('TIKTOKEN_EMPTY', { byteRange: whole, message: `there is no line in ${bytes.length} bytes` });
  else if (bytesMissing.size > 0) {
    const first = [...bytesMissing][0]!.toString(16).padStart(2, '0');
    report('TIKTOKEN_BYTES', { byteRange: whole, message: `${bytesMissing.size} of the 256 bytes have no token of their own, the first being 0x${first}` });
  }
  return diagnostics.length > 0 ? { diagnostics } : { ranks: { tokens }, diagnostics };
}

interface Line {
  /** One char a byte, without its end. */
  readonly text: string;
  /** From 1. */
  readonly number: number;
  /** Without the newline. */
  readonly byteRange: readonly [number, number];
}

/** A line longer than MAX_LINE_BYTES is given as its start, which no token fits. */
function* linesOf(bytes: Uint8Array): Generator<Line> {
  let start = 0;
  for (let number = 1; start < bytes.length; number += 1) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    const text = binaryString(bytes.subarray(start, Math.min(end, start + MAX_LINE_BYTES)));
    yield { text: text.endsWith('\r') ? text.slice(0, -1) : text, number, byteRange: [start, end] };
    start = end + 1;
  }
}

/** Whole groups of four with the unused bits zero: what an encoder writes, so that equal tokens have equal spellings. */
function isBase64(text: string): boolean {
  return text.length > 0 && text.length < MAX_LINE_BYTES && /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/.test(text);
}

const latin1 = new TextDecoder('latin1');
/** One char a byte for ASCII; bytes above it come out as some other character, which no rule lets pass. */
function binaryString(bytes: Uint8Array): string {
  return latin1.decode(bytes);
}

/**
 * tokenizer.bin of llama2.c, generations 1 to 5. None has a magic number; the framing that fits the whole file tells them apart.
 * Little-endian. Source: tokenizer.py and export_tokenizer.py at the commits in specs/llama2c/README.md. Clauses T-1, T-2.
 */
import { dtype, type ByteSink, type ByteSource, type Checkpoint, type Detection, type Diagnostic, type Format, type ReadResult, type ValidateResult } from '@weightspec/core';
import { tokenizerCodes, tokenizerDiagnostic } from './codes.js';

export const MAX_TOKENS = 524_288;
export const MAX_PIECE_BYTES = 65_535;
/** Vocabulary files are small; anything above this is something else. */
const MAX_FILE_BYTES = 32 << 20;
const FIRST_BYTE_TOKEN = 3;

export type TokenizerGeneration = 'gen1' | 'gen2' | 'gen3' | 'gen4' | 'gen5';

export interface TokenizerBin {
  readonly generation: TokenizerGeneration;
  /** Bytes of each piece, by id. */
  readonly pieces: readonly Uint8Array[];
  /** Absent in gen1 and gen2. */
  readonly scores?: Float32Array;
  /** As stored; gen4 and gen5 only. */
  readonly maxTokenLength?: number;
}

interface Parsed extends TokenizerBin {
  /** Absolute offset of each record, plus the end. */
  readonly offsets: readonly number[];
  readonly problem?: { readonly code: keyof typeof tokenizerCodes; readonly message: string; readonly byteRange: readonly [number, number] };
}

type Framing = 'gen1' | 'gen2' | 'gen3' | 'gen45';
const framings: readonly Framing[] = ['gen45', 'gen3', 'gen2', 'gen1'];

/** Field offsets of one record: where `len` and `score` stand, and how long the fixed part is. */
const records: Readonly<Record<Exclude<Framing, 'gen1'>, { readonly start: number; readonly fixed: number; readonly len: number; readonly score?: number }>> = {
  gen2: { start: 0, fixed: 4, len: 0 },
  gen3: { start: 0, fixed: 8, len: 0, score: 4 },
  gen45: { start: 4, fixed: 8, len: 4, score: 0 },
};

function parseRecords(bytes: Uint8Array, framing: Exclude<Framing, 'gen1'>): Parsed {
  const { start, fixed, len, score } = records[framing];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces: Uint8Array[] = [];
  const scores: number[] = [];
  const offsets: number[] = [];
  let position = Math.min(start, bytes.length);
  const finish = (problem?: Parsed['problem']): Parsed => ({
    generation: framing === 'gen45' ? byteTokenGeneration(pieces) : framing,
    pieces,
    ...(score === undefined ? {} : { scores: Float32Array.from(scores) }),
    ...(framing === 'gen45' && bytes.length >= 4 ? { maxTokenLength: view.getUint32(0, true) } : {}),
    offsets: [...offsets, position],
    ...(problem ? { problem } : {}),
  });
  while (position < bytes.length) {
    const id = pieces.length;
    if (id === MAX_TOKENS) return finish({ code: 'LLAMA2C_TOKENIZER_LIMIT', message: `more than ${MAX_TOKENS} tokens`, byteRange: [position, bytes.length] });
    if (position + fixed > bytes.length) return finish({ code: 'LLAMA2C_TOKENIZER_TRUNCATED', message: `the record of token ${id} is cut after ${bytes.length - position} of ${fixed} bytes`, byteRange: [position, bytes.length] });
    const length = view.getUint32(position + len, true);
    const lenRange = [position + len, position + len + 4] as const;
    if (length > MAX_PIECE_BYTES) return finish({ code: 'LLAMA2C_TOKENIZER_LIMIT', message: `token ${id} claims ${length} bytes; the limit is ${MAX_PIECE_BYTES}`, byteRange: lenRange });
    if (position + fixed + length > bytes.length) return finish({ code: 'LLAMA2C_TOKENIZER_TRUNCATED', message: `token ${id} claims ${length} bytes, and ${bytes.length - position - fixed} are left`, byteRange: lenRange });
    offsets.push(position);
    pieces.push(bytes.subarray(position + fixed, position + fixed + length));
    if (score !== undefined) scores.push(view.getFloat32(position + score, true));
    position += fixed + length;
  }
  return finish(pieces.length === 0 ? { code: 'LLAMA2C_TOKENIZER_EMPTY', message: 'the file holds no token', byteRange: [0, bytes.length] } : undefined);
}

function parseGen1(bytes: Uint8Array): Parsed {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const failed = (code: keyof typeof tokenizerCodes, message: string, byteRange: readonly [number, number], pieces: readonly Uint8Array[] = []): Parsed => ({ generation: 'gen1', pieces, offsets: [0], problem: { code, message, byteRange } });
  if (bytes.length < 4) return failed('LLAMA2C_TOKENIZER_TRUNCATED', `the file has ${bytes.length} bytes; the count alone takes 4`, [0, bytes.length]);
  const count = view.getUint32(0, true);
  if (count < 2) return failed('LLAMA2C_TOKENIZER_EMPTY', `the offset table has ${count} entries`, [0, 4]);
  if (count > MAX_TOKENS + 1) return failed('LLAMA2C_TOKENIZER_LIMIT', `the offset table claims ${count} entries`, [0, 4]);
  const blob = 4 + 4 * count;
  if (blob > bytes.length) return failed('LLAMA2C_TOKENIZER_TRUNCATED', `the offset table takes ${blob} bytes, and the file has ${bytes.length}`, [0, bytes.length]);
  const pieces: Uint8Array[] = [];
  const offsets: number[] = [];
  const at = (i: number) => view.getUint32(4 + 4 * i, true);
  for (let i = 0; i < count; i++) {
    const range = [4 + 4 * i, 8 + 4 * i] as const;
    const previous = i === 0 ? 0 : at(i - 1);
    if ((i === 0 && at(0) !== 0) || at(i) < previous) return failed('LLAMA2C_TOKENIZER_OFFSETS', `offset ${i} is ${at(i)}, after ${previous}`, range, pieces);
    // Where the last offset fits, the blob is all there and this offset is the one at fault.
    const beyond = blob + at(count - 1) > bytes.length ? 'LLAMA2C_TOKENIZER_TRUNCATED' : 'LLAMA2C_TOKENIZER_OFFSETS';
    if (blob + at(i) > bytes.length) return failed(beyond, `offset ${i} is ${at(i)}, and the blob has ${bytes.length - blob} bytes`, range, pieces);
    if (at(i) - previous > MAX_PIECE_BYTES) return failed('LLAMA2C_TOKENIZER_LIMIT', `token ${i - 1} has ${at(i) - previous} bytes; the limit is ${MAX_PIECE_BYTES}`, range, pieces);
    offsets.push(blob + at(i));
    if (i > 0) pieces.push(bytes.subarray(blob + previous, blob + at(i)));
  }
  const end = blob + at(count - 1);
  if (end !== bytes.length) return failed('LLAMA2C_TOKENIZER_TRUNCATED', `${bytes.length - end} bytes follow the last piece`, [end, bytes.length], pieces);
  return { generation: 'gen1', pieces, offsets };
}

/** How many of the first 64 offsets were looked at, if nearly all of them increase by at most a piece; else 0. Text, weights and zero padding read as offsets do not. */
function gen1Evidence(bytes: Uint8Array): number {
  if (bytes.length < 4) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seen = Math.min(view.getUint32(0, true), Math.floor((bytes.length - 4) / 4), 64);
  if (seen < 8) return 0;
  const offsets = Array.from({ length: seen }, (_, i) => view.getUint32(4 + 4 * i, true));
  const orderly = offsets.filter((offset, i) => i > 0 && offset > offsets[i - 1]! && offset - offsets[i - 1]! <= MAX_PIECE_BYTES).length;
  return orderly >= 0.9 * (seen - 1) ? seen : 0;
}

const text = new TextDecoder('utf-8', { fatal: true });
const isUtf8 = (bytes: Uint8Array): boolean => {
  try {
    text.decode(bytes);
    return true;
  } catch {
    return false;
  }
};
const equals = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
const encoder = new TextEncoder();
const hexByteToken = (byte: number) => encoder.encode(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const charByteToken = (byte: number) => encoder.encode(String.fromCodePoint(byte));

/** gen4 wrote byte tokens as chr(b); id 4 is byte 1 in both, and no other piece looks like it. */
const byteTokenGeneration = (pieces: readonly Uint8Array[]): 'gen4' | 'gen5' =>
  equals(pieces[FIRST_BYTE_TOKEN], charByteToken(0)) && equals(pieces[FIRST_BYTE_TOKEN + 1], charByteToken(1)) ? 'gen4' : 'gen5';

/** How much of the file a framing explains: bytes of well-formed records whose pieces are text. */
function explained({ pieces, offsets }: Parsed): number {
  const firstOdd = pieces.findIndex((piece) => !isUtf8(piece));
  return firstOdd < 0 ? offsets.at(-1)! : offsets[firstOdd]!;
}

/** The framing that fits the whole file, newest first; else the one that gets furthest, with its problem. */
function parse(bytes: Uint8Array): Parsed {
  const readings = framings.map((framing) => (framing === 'gen1' ? parseGen1(bytes) : parseRecords(bytes, framing)));
  const fitting = readings.filter((reading) => !reading.problem && reading.pieces.length > 0);
  // A damaged offset table says nothing of how far it got; what it looks like does.
  if (fitting.length === 0 && gen1Evidence(bytes) > 0) return readings.at(-1)!;
  const pool = fitting.length > 0 ? fitting : readings;
  return pool.reduce((best, reading) => (explained(reading) > explained(best) ? reading : best));
}

/** Text pieces in well-formed records that start as SentencePiece vocabularies do. */
function detect(head: Uint8Array, _name: string, size: number): Detection | undefined {
  for (const framing of framings) {
    if (framing === 'gen1') {
      const seen = gen1Evidence(head);
      if (seen > 0) return { confidence: seen === 64 ? 'likely' : 'possible', evidence: 'a count and increasing offsets, as in a gen1 tokenizer.bin' };
      continue;
    }
    const reading = parseRecords(head, framing);
    const whole = !reading.problem && head.length === size;
    // The last record of a partial head may be cut: that is no evidence against it.
    const good = reading.pieces.length;
    if (good === 0 || !reading.pieces.slice(0, 64).every((piece) => piece.length > 0 && isUtf8(piece))) continue;
    const specials = equals(reading.pieces[1], encoder.encode('\n<s>\n')) || equals(reading.pieces[0], encoder.encode('<unk>'));
    const reachedEnd = good >= 8 && (whole || (reading.problem !== undefined && reading.problem.byteRange[1] >= head.length - MAX_PIECE_BYTES));
    if (specials) return { confidence: 'likely', evidence: `well-formed ${framing === 'gen45' ? 'gen4/gen5' : framing} token records that start with <unk> or <s>` };
    // A few bytes of another format can be two or three records by chance.
    if (whole && good >= 16) return { confidence: 'likely', evidence: `${good} well-formed ${framing === 'gen45' ? 'gen4/gen5' : framing} token records to the end of the file` };
    if (reachedEnd) return { confidence: 'possible', evidence: `${good} well-formed token records` };
  }
  return undefined;
}

function contentDiagnostics(tokenizer: Parsed, source: string): Diagnostic[] {
  const { pieces, scores, maxTokenLength, generation, offsets } = tokenizer;
  const found: Diagnostic[] = [];
  const longest = pieces.reduce((max, piece) => Math.max(max, piece.length), 0);
  if (maxTokenLength !== undefined && maxTokenLength !== longest) {
    const code = maxTokenLength < longest ? 'LLAMA2C_TOKENIZER_MAX_LENGTH_SMALL' : 'LLAMA2C_TOKENIZER_MAX_LENGTH_LARGE';
    found.push(tokenizerDiagnostic(code, source, { byteRange: [0, 4], pointer: '/metadata/max_token_length', message: `max_token_length is ${maxTokenLength}; the longest piece has ${longest} bytes` }));
  }
  const badScore = scores?.findIndex((score) => !Number.isFinite(score)) ?? -1;
  if (badScore >= 0) {
    const start = offsets[badScore]! + (generation === 'gen3' ? 4 : 0);
    found.push(tokenizerDiagnostic('LLAMA2C_TOKENIZER_SCORE', source, { byteRange: [start, start + 4], message: `the score of token ${badScore} is ${scores![badScore]}` }));
  }
  const notText = pieces.findIndex((piece) => !isUtf8(piece));
  if (notText >= 0) found.push(tokenizerDiagnostic('LLAMA2C_TOKENIZER_UTF8', source, { byteRange: [offsets[notText]!, offsets[notText + 1]!], message: `the piece of token ${notText} is not valid UTF-8` }));
  const byteToken = generation === 'gen5' ? hexByteToken : charByteToken;
  const wrong = Array.from({ length: 256 }, (_, byte) => byte).find((byte) => !equals(pieces[FIRST_BYTE_TOKEN + byte], byteToken(byte)));
  if (wrong !== undefined) {
    const id = FIRST_BYTE_TOKEN + wrong;
    const byteRange = id < pieces.length ? ([offsets[id]!, offsets[id + 1]!] as const) : undefined;
    found.push(tokenizerDiagnostic('LLAMA2C_TOKENIZER_BYTE_TOKENS', source, { byteRange, message: `token ${id} ${byteRange ? 'is not' : 'is missing; it should be'} the byte token of 0x${wrong.toString(16).padStart(2, '0')}` }));
  }
  if (generation !== 'gen5') {
    found.push(tokenizerDiagnostic('LLAMA2C_TOKENIZER_OLD_GENERATION', source, { byteRange: [0, Math.min(offsets.at(-1)!, 16)], message: `this is a ${generation} tokenizer.bin${scores ? '' : ', without scores: it can decode, but not encode'}` }));
  }
  return found;
}

async function readParsed(source: ByteSource): Promise<{ parsed?: Parsed; diagnostics: Diagnostic[] }> {
  if (source.size > MAX_FILE_BYTES) {
    return { diagnostics: [tokenizerDiagnostic('LLAMA2C_TOKENIZER_LIMIT', source.name, { byteRange: [MAX_FILE_BYTES, source.size], message: `${source.size} bytes; a tokenizer.bin of more than ${MAX_FILE_BYTES} is not read` })] };
  }
  const parsed = parse(await source.read(0, source.size));
  if (parsed.problem) {
    const { code, ...finding } = parsed.problem;
    return { parsed, diagnostics: [tokenizerDiagnostic(code, source.name, finding)] };
  }
  return { parsed, diagnostics: contentDiagnostics(parsed, source.name) };
}

async function read(source: ByteSource): Promise<ReadResult> {
  const { parsed, diagnostics } = await readParsed(source);
  if (!parsed || parsed.problem) return { variant: parsed?.generation, diagnostics };
  const { generation, pieces, scores, maxTokenLength } = parsed;
  const checkpoint: Checkpoint = {
    format: 'llama2c-tokenizer',
    variant: generation,
    metadata: { vocab_size: pieces.length, ...(maxTokenLength === undefined ? {} : { max_token_length: maxTokenLength }), has_scores: scores !== undefined },
    // The vocabulary as one opaque run of bytes: there are no tensors in it.
    tensors: [{ name: 'vocabulary', dtype: dtype('U8'), shape: [source.size], location: { source, offset: 0, length: source.size } }],
  };
  return { checkpoint, variant: generation, diagnostics };
}

/** Reads any generation. Throws nothing for bad bytes: `tokenizer` is absent when the records cannot be told apart. */
export async function readTokenizerBin(source: ByteSource): Promise<{ tokenizer?: TokenizerBin; diagnostics: readonly Diagnostic[] }> {
  const { parsed, diagnostics } = await readParsed(source);
  if (!parsed || parsed.problem) return { diagnostics };
  const { offsets: _offsets, problem: _problem, ...tokenizer } = parsed;
  return { tokenizer, diagnostics };
}

/** Writes `tokenizer` in its generation. max_token_length is written as given, or as the longest piece's length. */
export async function writeTokenizerBin(tokenizer: TokenizerBin, sink: ByteSink): Promise<void> {
  const { generation, pieces, scores, maxTokenLength } = tokenizer;
  if (generation === 'gen1') {
    const table = new DataView(new ArrayBuffer(8 + 4 * pieces.length));
    table.setUint32(0, pieces.length + 1, true);
    let offset = 0;
    pieces.forEach((piece, i) => table.setUint32(8 + 4 * i, (offset += piece.length), true));
    await sink.write(new Uint8Array(table.buffer));
    for (const piece of pieces) await sink.write(piece);
    return;
  }
  const { fixed, len, score } = records[generation === 'gen4' || generation === 'gen5' ? 'gen45' : generation];
  if (score !== undefined && scores?.length !== pieces.length) throw new RangeError(`${generation} stores a score for each of ${pieces.length} pieces; ${scores?.length ?? 'no'} scores given`);
  const headerBytes = generation === 'gen4' || generation === 'gen5' ? 4 : 0;
  const out = new Uint8Array(headerBytes + pieces.reduce((sum, piece) => sum + fixed + piece.length, 0));
  const view = new DataView(out.buffer);
  if (headerBytes > 0) view.setUint32(0, maxTokenLength ?? pieces.reduce((max, piece) => Math.max(max, piece.length), 0), true);
  let position = headerBytes;
  pieces.forEach((piece, id) => {
    view.setUint32(position + len, piece.length, true);
    if (score !== undefined) view.setFloat32(position + score, scores![id]!, true);
    out.set(piece, position + fixed);
    position += fixed + piece.length;
  });
  await sink.write(out);
}

export const llama2cTokenizer: Format = {
  id: 'llama2c-tokenizer',
  title: 'llama2.c tokenizer.bin',
  variants: ['gen1', 'gen2', 'gen3', 'gen4', 'gen5'],
  extensions: ['.bin'],
  codes: tokenizerCodes,
  detectBytes: 65_536,
  detect,
  read,
  validate: (checkpoint): Promise<ValidateResult> =>
    Promise.resolve({ diagnostics: [], checked: [`framing and text of ${Number(checkpoint.metadata.vocab_size)} tokens`], notChecked: ['whether the vocabulary is the one the model was trained with'] }),
  async write(checkpoint, sink) {
    const { tokenizer, diagnostics } = await readTokenizerBin(checkpoint.tensors[0]!.location.source);
    if (!tokenizer) throw new RangeError(diagnostics.map((d) => d.message).join('; '));
    await writeTokenizerBin(tokenizer, sink);
  },
};

/**
 * SentencePiece BPE by score, as llama2.c's run.c does it.
 * Source: karpathy/llama2.c run.c@350e04fe, encode() and decode().
 * Caveats: run.c ends a text at its first NUL byte, here NUL is a byte like any other; where run.c reads outside its
 * vocabulary (no piece for the leading space, no byte tokens) this throws. Of several ids with equal bytes the lowest is taken
 * (run.c's binary search takes any).
 */
import { mergeByScore } from './merge-by-score.js';
import { decodeText } from './text-stream.js';
import { TokenizerError, type Tokenizer } from './tokenizer.js';

/** Ids 0, 1 and 2 are <unk>, BOS and EOS; the 256 byte tokens follow. */
const FIRST_BYTE_ID = 3;

export interface ScoreBpeOptions {
  /** Bytes of each token's text, by id. */
  readonly pieces: readonly Uint8Array[];
  /** Merge priority of each token, by id. Absent in the two oldest generations of tokenizer.bin: then only decoding works. */
  readonly scores?: Float32Array;
  /**
   * How ids 3 to 258 spell the byte b: `hex` as the text `<0xB5>` (files since August 2023), `utf8` as the character U+00B5
   * (older files). Default hex.
   */
  readonly byteTokens?: 'hex' | 'utf8';
  /** Default 1. */
  readonly bosId?: number;
  /** Default 2. */
  readonly eosId?: number;
}

/** One char code a byte: a string that compares and concatenates as the bytes do. */
function binaryString(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}

function bytesOf(binary: string): Uint8Array {
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

/** Byte that the piece stands for, or undefined for ordinary text. */
function byteValue(piece: string, id: number, style: 'hex' | 'utf8'): number | undefined {
  if (style === 'hex') {
    const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
    return hex === undefined ? undefined : Number.parseInt(hex, 16);
  }
  const byte = id - FIRST_BYTE_ID;
  return byte >= 0 && byte < 256 && piece === binaryString(new TextEncoder().encode(String.fromCharCode(byte))) ? byte : undefined;
}

/** Throws RangeError when there are not as many scores as pieces. */
export function createScoreBpeTokenizer(options: ScoreBpeOptions): Tokenizer {
  const { scores, byteTokens = 'hex', bosId = 1, eosId = 2 } = options;
  const pieces = options.pieces.map(binaryString);
  if (scores && scores.length !== pieces.length) throw new RangeError(`${scores.length} scores for ${pieces.length} pieces`);

  const byteOfId = new Map<number, number>();
  const idOfPiece = new Map<string, number>();
  pieces.forEach((piece, id) => {
    const byte = byteValue(piece, id, byteTokens);
    if (byte !== undefined) byteOfId.set(id, byte);
    // A utf8 byte token spells an ordinary character as well; that character's own piece must win.
    const hidden = byteTokens === 'utf8' && byte !== undefined;
    if (!hidden && !idOfPiece.has(piece)) idOfPiece.set(piece, id);
  });

  const byteFallback = (binary: string): number[] =>
    Array.from(binary, (char) => {
      const byte = char.charCodeAt(0);
      const id = byte + FIRST_BYTE_ID;
      if (byteOfId.get(id) !== byte) {
        const hex = byte.toString(16).toUpperCase().padStart(2, '0');
        throw new TokenizerError('TOKENIZER_NO_BYTE_TOKEN', `the vocabulary has neither the character nor, at id ${id}, a token for byte 0x${hex}`);
      }
      return id;
    });

  function idsOfCharacter(character: string): number[] {
    const binary = binaryString(new TextEncoder().encode(character));
    const id = idOfPiece.get(binary);
    return id === undefined ? byteFallback(binary) : [id];
  }

  function encode(text: string, { bos = false, eos = false }: { bos?: boolean; eos?: boolean } = {}): number[] {
    if (!scores) throw new TokenizerError('TOKENIZER_NO_SCORES', 'this vocabulary has no scores, so it can decode but not encode; use a tokenizer.bin of August 2023 or later');
    const ids = bos ? [bosId] : [];
    if (text !== '') ids.push(...idsOfCharacter(' '));
    for (const character of text) ids.push(...idsOfCharacter(character));
    const merged = mergeByScore(ids, pieces, idOfPiece, scores);
    return eos ? [...merged, eosId] : merged;
  }

  function decodeToken(previous: number | undefined, id: number): Uint8Array {
    const piece = pieces[id];
    if (piece === undefined) throw new RangeError(`token ${id} is outside a vocabulary of ${pieces.length}`);
    const byte = byteOfId.get(id);
    if (byte !== undefined) return Uint8Array.of(byte);
    // encode() puts one space before a text; after BOS it goes away again.
    return bytesOf(previous === bosId && piece.startsWith(' ') ? piece.slice(1) : piece);
  }

  const tokenizer: Tokenizer = {
    vocabSize: pieces.length,
    bosId,
    eosId,
    encode,
    decodeToken,
    decode: (ids) => decodeText(tokenizer, ids),
  };
  return tokenizer;
}

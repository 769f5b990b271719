/**
 * Byte-level BPE by rank, as OpenAI's tiktoken does it, for Llama 3 and Qwen.
 * A text is cut at control tokens, then by a regular expression into pieces; a piece that is a token is its id, any other is
 * merged from its bytes, lowest rank first. Merging is js-tiktoken's; cutting is done here, because its `\s` is JavaScript's.
 */
import type { Tiktoken } from 'js-tiktoken/lite';
import { mergeByScore } from './merge-by-score.js';
import { decodeText } from './text-stream.js';
import type { TiktokenRanks } from './tiktoken-ranks.js';
import type { EncodeOptions, Tokenizer } from './tokenizer.js';

/**
 * js-tiktoken scans every pair before each merge and joins numbers to strings: 0.06 ms for 8 bytes, 2 ms for 128, 51 ms for 512,
 * so that 100 kB without a space would take half an hour. Longer pieces are merged on a heap, with the same result.
 */
const LONGEST_LIBRARY_PIECE_BYTES = 128;

export interface TiktokenOptions {
  readonly ranks: TiktokenRanks;
  /** Source of a JavaScript regular expression for the flags `ug`, whose matches cover every text. */
  readonly pattern: string;
  /** Spelling → id; ids start where the ranks end. */
  readonly controlTokens: ReadonlyMap<string, number>;
  /** Normalization of every text before all else. Default: none. */
  readonly normalization?: 'NFC';
  readonly bosId?: number;
  readonly eosId?: number;
  /** At least all tokens. Ids above them, which models have to fill up a matrix, decode to nothing. Default: none of those. */
  readonly vocabSize?: number;
}

/** Throws RangeError when ids of control tokens overlap with ranks or go past `vocabSize`. Imports js-tiktoken on the way. */
export async function createTiktokenTokenizer(options: TiktokenOptions): Promise<Tokenizer> {
  const { ranks, controlTokens, normalization, bosId, eosId } = options;
  const spellings = new Map(Array.from(controlTokens, ([spelling, id]) => [id, spelling]));
  const tokenCount = Math.max(ranks.tokens.length - 1, ...controlTokens.values()) + 1;
  const vocabSize = options.vocabSize ?? tokenCount;
  const misplaced = [...controlTokens].find(([, id]) => !Number.isSafeInteger(id) || id < ranks.tokens.length);
  if (misplaced) throw new RangeError(`control token ${misplaced[0]} has the id ${misplaced[1]}, among the ${ranks.tokens.length} ranks`);
  if (vocabSize < tokenCount) throw new RangeError(`${tokenCount} tokens do not fit a vocabulary of ${vocabSize}`);

  const encodePiece = await pieceEncoder(ranks);
  const pattern = new RegExp(options.pattern, 'ug');
  const controls = controlTokens.size === 0 ? undefined : new RegExp([...controlTokens.keys()].map(escapeRegExp).join('|'), 'g');

  function encodeText(text: string, ids: number[]): void {
    // A prompt repeats its words; the map lives as long as this call.
    const known = new Map<string, readonly number[]>();
    for (const [piece] of text.matchAll(pattern)) {
      let found = known.get(piece);
      if (!found) known.set(piece, (found = encodePiece(piece)));
      for (const id of found) ids.push(id);
    }
  }

  function encode(given: string, { bos = false, eos = false, control = false }: EncodeOptions = {}): number[] {
    const text = normalization ? given.normalize(normalization) : given;
    const ids = bos && bosId !== undefined ? [bosId] : [];
    let done = 0;
    for (const match of control && controls ? text.matchAll(controls) : []) {
      encodeText(text.slice(done, match.index), ids);
      ids.push(controlTokens.get(match[0])!);
      done = match.index + match[0].length;
    }
    encodeText(text.slice(done), ids);
    if (eos && eosId !== undefined) ids.push(eosId);
    return ids;
  }

  function decodeToken(_previous: number | undefined, id: number): Uint8Array {
    if (!Number.isSafeInteger(id) || id < 0 || id >= vocabSize) throw new RangeError(`token ${id} is outside a vocabulary of ${vocabSize}`);
    const token = ranks.tokens[id];
    return token === undefined ? new TextEncoder().encode(spellings.get(id) ?? '') : bytesOfBase64(token);
  }

  const tokenizer: Tokenizer = {
    vocabSize,
    bosId,
    eosId,
    controlId: (spelling) => controlTokens.get(spelling),
    encode,
    decodeToken,
    decode: (ids) => decodeText(tokenizer, ids),
  };
  return tokenizer;
}

/** Ids of one piece of text. The library's table takes a second to fill and is made when a piece first needs it. */
async function pieceEncoder(ranks: TiktokenRanks): Promise<(piece: string) => readonly number[]> {
  const { Tiktoken: Library } = await import('js-tiktoken/lite');
  let library: Tiktoken | undefined;
  let merge: ((bytes: Uint8Array) => readonly number[]) | undefined;
  return (piece) => {
    const bytes = new TextEncoder().encode(piece);
    if (bytes.length > LONGEST_LIBRARY_PIECE_BYTES) return (merge ??= heapMerger(ranks))(bytes);
    // No pattern and no control tokens: the text is one piece.
    library ??= new Library({ pat_str: '[^]+', special_tokens: {}, bpe_ranks: `! 0 ${ranks.tokens.join(' ')}` });
    return library.encode(piece, [], []);
  };
}

/** The merge of score BPE: the lowest rank is the highest score. */
function heapMerger({ tokens }: TiktokenRanks): (bytes: Uint8Array) => readonly number[] {
  const pieces = tokens.map((token) => atob(token));
  const idOfPiece = new Map(pieces.map((piece, id) => [piece, id]));
  const scores = Float64Array.from(pieces, (_, rank) => -rank);
  return (bytes) => mergeByScore(Array.from(bytes, (byte) => idOfPiece.get(String.fromCharCode(byte))!), pieces, idOfPiece, scores);
}

function bytesOfBase64(token: string): Uint8Array {
  return Uint8Array.from(atob(token), (char) => char.charCodeAt(0));
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$*+?.()|[\]{}]/g, String.raw`\$&`);
}

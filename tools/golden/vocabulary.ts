/**
 * A small vocabulary in the manner of Llama's SentencePiece model, grown until run.c's encoder turns each word of a
 * text into one token, and that encoder and decoder.
 * Source: karpathy/llama2.c run.c, encode() and decode(). Order of ids: <unk>, BOS, EOS, 256 byte tokens, merged
 * pieces (earlier merge = higher score), single characters.
 */
import type { Piece } from './llama2c-files.js';

export const BOS = 1;
const FIRST_BYTE_TOKEN = 3;
const specials: readonly Piece[] = ['<unk>', '\n<s>\n', '\n</s>\n'].map((text) => ({ text, score: 0 }));
const byteTokens: readonly Piece[] = Array.from({ length: 256 }, (_, byte) => ({ text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, score: 0 }));

/** The words with their leading spaces, and the punctuation, that a text is made of. */
export const wordsOf = (text: string): string[] => ` ${text}`.match(/ ?[A-Za-z]+|[^A-Za-z ]/g) ?? [];

function assemble(merged: readonly string[], characters: readonly string[]): Piece[] {
  return [...specials, ...byteTokens, ...[...merged, ...characters].map((text, rank) => ({ text, score: 0 - rank }))];
}

/** Joins the neighbours whose joined text has the best score, the leftmost of equals, until none is in the vocabulary. */
function merge(symbols: readonly string[], scores: ReadonlyMap<string, number>): string[] {
  const joined = [...symbols];
  for (;;) {
    let best = -1;
    let bestScore = -Infinity;
    for (let i = 0; i + 1 < joined.length; i++) {
      const score = scores.get(`${joined[i]}${joined[i + 1]}`) ?? -Infinity;
      if (score > bestScore) [best, bestScore] = [i, score];
    }
    if (best < 0) return joined;
    joined.splice(best, 2, `${joined[best]}${joined[best + 1]}`);
  }
}

const scoresOf = (pieces: readonly Piece[]): Map<string, number> => new Map(pieces.map(({ text, score }) => [text, score]));

/** The most frequent pair of neighbours, joined; of equals, the first in code unit order. */
function mostFrequentPair(words: readonly (readonly string[])[]): string | undefined {
  const counts = new Map<string, number>();
  for (const symbols of words) {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair = `${symbols[i]}${symbols[i + 1]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
  }
  let best: string | undefined;
  for (const [pair, count] of counts) {
    const most = best === undefined ? 0 : (counts.get(best) ?? 0);
    if (count > most || (count === most && best !== undefined && pair < best)) best = pair;
  }
  return best;
}

/** Byte-pair merges over the words of `text`, until each word is one piece. */
export function growVocabulary(text: string): Piece[] {
  const words = wordsOf(text);
  const characters = [...new Set(words.flatMap((word) => Array.from(word)))].toSorted();
  const merged: string[] = [];
  for (;;) {
    const pieces = assemble(merged, characters);
    const scores = scoresOf(pieces);
    const pair = mostFrequentPair(words.map((word) => merge(Array.from(word), scores)));
    if (pair === undefined) return pieces;
    merged.push(pair);
  }
}

/** BOS and the tokens of `text`, as run.c's encode(text, bos = 1, eos = 0). */
export function encode(pieces: readonly Piece[], text: string): number[] {
  if (text === '') return [BOS];
  const ids = new Map(pieces.map((piece, id) => [piece.text, id]));
  const known = Array.from(` ${text}`).flatMap((character) => (ids.has(character) ? [character] : [...new TextEncoder().encode(character)].map((byte) => byteTokens[byte]!.text)));
  return [BOS, ...merge(known, scoresOf(pieces)).map((symbol) => ids.get(symbol)!)];
}

/** What run.c prints for `tokens`, which start with BOS: a space right after BOS is dropped; ends before the next BOS. */
export function decode(pieces: readonly Piece[], tokens: readonly number[]): string {
  const end = tokens.indexOf(BOS, 1);
  const bytes = tokens.slice(1, end < 0 ? undefined : end).flatMap((id, i) => {
    if (id >= FIRST_BYTE_TOKEN && id < FIRST_BYTE_TOKEN + 256) return [id - FIRST_BYTE_TOKEN];
    const text = pieces[id]?.text ?? '';
    return [...new TextEncoder().encode(i === 0 && text.startsWith(' ') ? text.slice(1) : text)];
  });
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

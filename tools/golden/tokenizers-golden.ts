/**
 * fixtures/golden/tokenizers: texts and their ids for the reciting model's tokenizer.bin, and for a small rank file read as Qwen's and
 * as Llama 3's. The pieces into which those two cut a text are written down by hand from their published patterns; merging them by
 * rank is a dozen lines here. Sources: karpathy/llama2.c run.c encode and decode; QwenLM/Qwen tokenization_qwen.py; meta-llama/llama3 tokenizer.py.
 */
import { jsonFile, withManifest, type GoldenFiles } from './golden-files.js';
import { tokenizerFile, type Piece } from './llama2c-files.js';
import { decode, encode } from './vocabulary.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Merges in the order of their ranks, from 256 on; bytes come first. */
const merges = ['he', 'll', 'hell', 'hello', ' w', 'or', ' wor', 'ld', ' world', 'in', 'ing', ' t', ' th', ' the', '  ', '\n\n', '12', '123', '<|', '|>', 'im', 'end', '\'t', 'do', 'don', 'é'];

/** Tokens as strings of bytes, one character a byte. */
const asBytes = (text: string): string => String.fromCharCode(...utf8(text));
const ranks: ReadonlyMap<string, number> = new Map([...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)), ...merges.map(asBytes)].map((token, rank) => [token, rank]));

/** A piece that is a token is its id; of any other the neighbours whose joined bytes have the lowest rank, the leftmost of equals, are joined until none is a token. */
function mergeByRank(piece: string): number[] {
  const whole = ranks.get(asBytes(piece));
  if (whole !== undefined) return [whole];
  let parts = Array.from(asBytes(piece));
  for (;;) {
    const joined = parts.slice(1).map((part, i) => ranks.get(`${parts[i]}${part}`) ?? Infinity);
    const best = Math.min(...joined);
    if (best === Infinity) return parts.map((part) => ranks.get(part)!);
    const at = joined.indexOf(best);
    parts = [...parts.slice(0, at), `${parts[at]}${parts[at + 1]}`, ...parts.slice(at + 2)];
  }
}

interface Cut {
  readonly purpose: string;
  readonly text: string;
  /** The pieces of both patterns, or of each. */
  readonly pieces?: readonly string[];
  readonly qwen?: readonly string[];
  readonly llama3?: readonly string[];
}
const cuts: readonly Cut[] = [
  { purpose: 'words with their leading space', text: 'hello world', pieces: ['hello', ' world'] },
  { purpose: 'an English contraction is a piece', text: "don't", pieces: ['don', "'t"] },
  { purpose: 'contractions in any letter case', text: "DON'T", pieces: ['DON', "'T"] },
  { purpose: 'digits: one by one, or up to three', text: '12345', qwen: ['1', '2', '3', '4', '5'], llama3: ['123', '45'] },
  { purpose: 'digits do not take the space before them', text: 'a 12', qwen: ['a', ' ', '1', '2'], llama3: ['a', ' ', '12'] },
  { purpose: 'of several spaces the last belongs to the word', text: 'a   the', pieces: ['a', '  ', ' the'] },
  { purpose: 'spaces at the end stay together', text: 'hello  ', pieces: ['hello', '  '] },
  { purpose: 'line ends take the spaces before them', text: 'in  \n\n the', pieces: ['in', '  \n\n', ' the'] },
  { purpose: 'signs take the line end after them, and a piece that is a token is its id even where no merges lead to it', text: 'end.\nend', pieces: ['end', '.\n', 'end'] },
  { purpose: 'a sign before letters belongs to them', text: '(hello)', pieces: ['(hello', ')'] },
  { purpose: 'control tokens that are spelled in a text are text', text: '<|im_end|>', pieces: ['<|', 'im', '_end', '|>'] },
  { purpose: 'bytes of characters that are no tokens', text: '日 🙂', pieces: ['日', ' 🙂'] },
  { purpose: 'the no-break space is white space, U+FEFF is not', text: 'a\u00a0\ufeffb', pieces: ['a', '\u00a0', '\ufeffb'] },
  { purpose: 'U+0085 is white space', text: 'a\u0085\u0085b', pieces: ['a', '\u0085', '\u0085b'] },
  { purpose: 'Qwen composes (NFC), Llama 3 does not', text: 'e\u0301', qwen: ['é'], llama3: ['e', '\u0301'] },
  { purpose: 'an empty text', text: '', pieces: [] },
];

export function tokenizersGolden(pieces: readonly Piece[]): GoldenFiles {
  const texts: readonly (readonly [string, string])[] = [
    ['words that are tokens', 'Swap any two'],
    ['words that are not', 'tensors swap places'],
    ['bytes of characters outside the vocabulary', 'é 🙂'],
    ['a leading space is a second one', ' and'],
    ['several spaces', 'a  file'],
    ['an empty text is BOS alone', ''],
  ];
  const scores = texts.map(([purpose, text]) => ({ purpose, text, ids: encode(pieces, text) }));
  const byRank = (scheme: 'qwen' | 'llama3') => cuts.map((cut) => ({ purpose: cut.purpose, text: cut.text, ids: (cut[scheme] ?? cut.pieces ?? []).flatMap(mergeByRank) }));
  const rankFile = Array.from(ranks, ([token, rank]) => `${Buffer.from(token, 'latin1').toString('base64')} ${rank}\n`).join('');
  return withManifest('tokenizers', {
    'tokenizer.bin': tokenizerFile(pieces),
    'ranks.tiktoken': utf8(rankFile),
    'cases.json': jsonFile({
      vocabularies: [
        { id: 'llama2c', file: 'tokenizer.bin', kind: 'llama2c', clause: 'specs/llama2c#T-1.5', bos: 'put first', cases: scores, decoding: scores.filter(({ text }) => text !== '').map(({ purpose, ids }) => ({ purpose, ids, text: decode(pieces, ids) })) },
        { id: 'qwen', file: 'ranks.tiktoken', kind: 'qwen', cases: byRank('qwen') },
        { id: 'llama3', file: 'ranks.tiktoken', kind: 'llama3', cases: byRank('llama3') },
      ],
    }),
  }, {
    title: 'Texts and their ids',
    tolerance: { derivation: 'none: ids are equal or wrong' },
  });
}

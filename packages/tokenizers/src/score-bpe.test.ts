import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySource } from '@weightspec/io';
import { readTokenizerBin, type TokenizerBin } from '@weightspec/llama2c';
import { sharedData } from '@weightspec/oracles';
import { createByteStream, createScoreBpeTokenizer, createTextStream, TokenizerError, type Tokenizer } from './index.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const hexByte = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

/** <unk>, BOS, EOS, 256 byte tokens, then `extra` pieces with their scores. */
function vocabulary(extra: readonly (readonly [piece: string, score: number])[], spell: (byte: number) => string = hexByte) {
  const names = ['<unk>', '\n<s>\n', '\n</s>\n', ...Array.from({ length: 256 }, (_, byte) => spell(byte)), ...extra.map(([piece]) => piece)];
  return { pieces: names.map(utf8), scores: Float32Array.from([...Array.from({ length: 259 }, () => 0), ...extra.map(([, score]) => score)]) };
}

async function readFrom(path: string): Promise<TokenizerBin> {
  const { tokenizer, diagnostics } = await readTokenizerBin(memorySource(readFileSync(path), path));
  if (!tokenizer) throw new Error(JSON.stringify(diagnostics));
  return tokenizer;
}

describe('score BPE encode', () => {
  const tokenizer = createScoreBpeTokenizer(vocabulary([[' ', -1], ['a', -1], ['b', -1], ['ab', -2], [' a', -3], ['aa', -2]]));
  const id = (piece: string): number => [' ', 'a', 'b', 'ab', ' a', 'aa'].indexOf(piece) + 259;

  it('puts a space before a text, and none before an empty one', () => {
    expect(tokenizer.encode('', { bos: true })).toEqual([1]);
    expect(tokenizer.encode('', { bos: true, eos: true })).toEqual([1, 2]);
    expect(tokenizer.encode('b')).toEqual([id(' '), id('b')]);
  });
  it('merges the best-scored pair first, not the leftmost', () => {
    expect(tokenizer.encode('ab')).toEqual([id(' '), id('ab')]);
  });
  it('merges the leftmost of equally scored pairs', () => {
    expect(tokenizer.encode('aaa')).toEqual([id(' '), id('aa'), id('a')]);
    expect(tokenizer.encode('aab')).toEqual([id(' '), id('aa'), id('b')]);
  });
  it('falls back to byte + 3 for characters without a piece, NUL included', () => {
    expect(tokenizer.encode('é')).toEqual([id(' '), 0xc3 + 3, 0xa9 + 3]);
    expect(tokenizer.encode('\0')).toEqual([id(' '), 3]);
  });
  it('refuses a character that has neither a piece nor byte tokens (TOKENIZER_NO_BYTE_TOKEN)', () => {
    const small = createScoreBpeTokenizer({ pieces: ['<unk>', '<s>', '</s>', ' ', 'a'].map(utf8), scores: new Float32Array(5) });
    expect(small.encode('a')).toEqual([3, 4]);
    expect(() => small.encode('b')).toThrow(/^TOKENIZER_NO_BYTE_TOKEN/);
  });
  it('refuses to encode without scores, and still decodes (TOKENIZER_NO_SCORES)', () => {
    const { pieces } = vocabulary([['hi', 0]]);
    const old = createScoreBpeTokenizer({ pieces });
    expect(() => old.encode('hi')).toThrow(TokenizerError);
    expect(() => old.encode('hi')).toThrow(/^TOKENIZER_NO_SCORES/);
    expect(old.decode([259])).toBe('hi');
  });
  it('never makes a piece scored -1e10, where run.c starts its search, and makes one just above', () => {
    const lowest = Math.fround(-1e10);
    const above = lowest + 1024; // the next f32
    expect(Math.fround(above)).toBe(above);
    const encoded = (score: number) => createScoreBpeTokenizer(vocabulary([[' ', -1], ['a', -1], ['b', -1], ['ab', score]])).encode('ab');
    expect(encoded(lowest)).toEqual([259, 260, 261]);
    expect(encoded(above)).toEqual([259, 262]);
  });
  it('throws a RangeError when scores and pieces differ in number', () => {
    expect(() => createScoreBpeTokenizer({ pieces: [utf8('a')], scores: new Float32Array(2) })).toThrow(RangeError);
  });
  it('takes the character, not the byte token, where old files spell both alike', () => {
    const old = createScoreBpeTokenizer({ ...vocabulary([[' ', -1], ['A', -1]], (byte) => String.fromCharCode(byte)), byteTokens: 'utf8' });
    expect(old.encode('A')).toEqual([259, 260]);
    expect(old.encode('é')).toEqual([259, 0xc3 + 3, 0xa9 + 3]);
  });

  it('gives the ids of a scan over all pairs before each merge, for any vocabulary and text', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é'), minLength: 1, maxLength: 4 });
    const scored = fc.tuple(letters, fc.constantFrom(-3, -2, -1, 0, -2e10, Number.NaN));
    fc.assert(
      fc.property(fc.array(scored, { maxLength: 30 }), fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', ' '), maxLength: 40 }), (extra, prompt) => {
        const vocab = vocabulary([[' ', -1], ...extra]);
        expect(createScoreBpeTokenizer(vocab).encode(prompt, { bos: true })).toEqual(scanEncode(vocab.pieces.map(text), vocab.scores, prompt));
      }),
      { numRuns: 400 },
    );
  });
});

/** The textbook algorithm: look at every pair, merge the first best one, start again. */
function scanEncode(pieces: readonly string[], scores: Float32Array, prompt: string): number[] {
  const ids = [1];
  for (const character of prompt === '' ? '' : ` ${prompt}`) {
    const whole = pieces.indexOf(character);
    ids.push(...(whole >= 0 ? [whole] : Array.from(utf8(character), (byte) => byte + 3)));
  }
  for (;;) {
    let best = { score: -1e10, at: -1, id: -1 };
    ids.slice(1).forEach((right, at) => {
      const id = pieces.indexOf(`${pieces[ids[at] ?? 0]}${pieces[right]}`);
      const score = scores[id] ?? Number.NaN;
      if (score > best.score) best = { score, at, id };
    });
    if (best.at < 0) return ids;
    ids.splice(best.at, 2, best.id);
  }
}

describe('score BPE decode', () => {
  const tokenizer = createScoreBpeTokenizer(vocabulary([[' a', 0], ['é', 0], ['\u001b[2J', 0]]));

  it('drops one leading space after BOS only', () => {
    expect(text(tokenizer.decodeToken(1, 259))).toBe('a');
    expect(text(tokenizer.decodeToken(259, 259))).toBe(' a');
    expect(tokenizer.decode([1, 259, 259, 2])).toBe('a a');
  });
  it('gives the byte of a byte token', () => {
    expect(tokenizer.decodeToken(1, 0xf0 + 3)).toEqual(Uint8Array.of(0xf0));
    expect(tokenizer.decodeToken(1, 3)).toEqual(Uint8Array.of(0));
  });
  it('gives the byte of the older spelling too', () => {
    const old = createScoreBpeTokenizer({ ...vocabulary([], (byte) => String.fromCharCode(byte)), byteTokens: 'utf8' });
    expect(old.decodeToken(1, 0xf0 + 3)).toEqual(Uint8Array.of(0xf0));
    expect(old.decode(Array.from(utf8('🙂'), (byte) => byte + 3))).toBe('🙂');
  });
  it('throws a RangeError for an id outside the vocabulary', () => {
    expect(() => tokenizer.decodeToken(1, 262)).toThrow(RangeError);
    expect(() => tokenizer.decodeToken(1, -1)).toThrow(RangeError);
  });

  const streamed = (ids: readonly number[], filter?: 'all' | 'printable' | 'run.c'): string[] => {
    const stream = createTextStream(tokenizer, { previous: 1, filter });
    return [...ids.map((id) => stream.push(id)), stream.end()];
  };
  it('holds a character back until its last byte has come', () => {
    expect(streamed(Array.from(utf8('🙂'), (byte) => byte + 3))).toEqual(['', '', '', '🙂', '']);
    expect(streamed([0xf0 + 3, 0x9f + 3])).toEqual(['', '', '\ufffd']);
  });
  it('gives bytes that are no UTF-8 as they are to a byte stream, and as U+FFFD to a text', () => {
    const ids = [259, 0xff + 3, 0xc3 + 3, 259, 1, 2];
    const stream = createByteStream(tokenizer, { previous: 1 });
    expect(ids.flatMap((id) => [...stream.push(id)])).toEqual([0x61, 0xff, 0xc3, 0x20, 0x61]);
    expect(streamed(ids).join('')).toBe('a\ufffd\ufffd a');
  });
  it('passes everything, or no control characters, or what run.c prints', () => {
    const ids = [259, 7 + 3, 10 + 3, 261, 0xc3 + 3, 0xa9 + 3, 260];
    expect(streamed(ids).join('')).toBe('a\u0007\n\u001b[2Jéé');
    expect(streamed(ids, 'printable').join('')).toBe('a\n[2Jéé');
    expect(streamed(ids, 'run.c').join('')).toBe('a\n\u001b[2Jé');
  });
});

describe('real vocabularies', () => {
  const tok512 = sharedData('llama2c/tok512.bin');
  const tok32k = sharedData('llama2c/tokenizer.bin');
  const gen4 = sharedData('llama2c/tokenizer.gen4_20230728.bin');
  const gen3 = sharedData('llama2c/tokenizer.gen3_scores.bin');

  it.skipIf(!tok512)('encodes as run.c does with tok512.bin', async () => {
    const tokenizer = createScoreBpeTokenizer(await readFrom(tok512!));
    expect(tokenizer.vocabSize).toBe(512);
    expect(tokenizer.encode('Once upon a time', { bos: true })).toEqual([1, 403, 407, 261, 378]);
    expect(tokenizer.encode('🙂', { bos: true })).toEqual([1, 410, 243, 162, 156, 133]);
    expect(tokenizer.encode(' leading', { bos: true })).toEqual([1, 410, 278, 411, 380, 299]);
  });
  it.skipIf(!tok32k)('encodes as run.c does with the 32,000 pieces of Llama 2', async () => {
    const tokenizer = createScoreBpeTokenizer(await readFrom(tok32k!));
    expect(tokenizer.encode('Once upon a time', { bos: true })).toEqual([1, 9038, 2501, 263, 931]);
  });
  it.skipIf(!tok512 || !tok32k)('gives back every text it encoded', async () => {
    const tokenizers = [createScoreBpeTokenizer(await readFrom(tok512!)), createScoreBpeTokenizer(await readFrom(tok32k!))];
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.constantFrom(...tokenizers), (prompt, tokenizer: Tokenizer) => {
        expect(tokenizer.decode(tokenizer.encode(prompt, { bos: true, eos: true }))).toBe(prompt);
      }),
      { numRuns: 200 },
    );
  });
  it.skipIf(!tok32k || !gen4 || !gen3)('older generations of the same vocabulary give the same ids and text', async () => {
    const now = createScoreBpeTokenizer(await readFrom(tok32k!));
    const story = 'Lily’s mom said: "Don\'t worry, 42 🙂"\n';
    for (const older of [await readFrom(gen4!), await readFrom(gen3!)]) {
      const tokenizer = createScoreBpeTokenizer({ ...older, byteTokens: 'utf8' });
      expect(tokenizer.encode(story, { bos: true })).toEqual(now.encode(story, { bos: true }));
      expect(tokenizer.decode(now.encode(story, { bos: true }))).toBe(story);
    }
  });
  it.skipIf(!tok512)('encodes 100,000 characters without scanning all pairs for each merge', async () => {
    const tokenizer = createScoreBpeTokenizer(await readFrom(tok512!));
    const long = 'Once upon a time '.repeat(6000);
    expect(tokenizer.decode([1, ...tokenizer.encode(long)])).toBe(long);
  });
});

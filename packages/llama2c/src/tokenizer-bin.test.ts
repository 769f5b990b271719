import { readFileSync } from 'node:fs';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { llama2cTokenizer, readTokenizerBin, writeTokenizerBin, type TokenizerBin, type TokenizerGeneration } from './index.js';

const real: readonly (readonly [string, TokenizerGeneration, number])[] = [
  ['tok512.bin', 'gen5', 512], ['tokenizer.bin', 'gen5', 32000], ['tokenizer.gen3_scores.bin', 'gen3', 32000], ['tokenizer.gen4_20230728.bin', 'gen4', 32000],
];
const bytesOf = (tokenizer: TokenizerBin) => {
  const sink = memorySink();
  return writeTokenizerBin(tokenizer, sink).then(() => sink.bytes());
};
const encode = (text: string) => new TextEncoder().encode(text);
const specials = [encode('<unk>'), encode('\n<s>\n'), encode('\n</s>\n')];
const hexTokens = Array.from({ length: 256 }, (_, byte) => encode(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`));
const charTokens = Array.from({ length: 256 }, (_, byte) => encode(String.fromCodePoint(byte)));

describe.each(real)('%s', (file, generation, vocabSize) => {
  const path = sharedData(`llama2c/${file}`);
  it.skipIf(!path)(`is ${generation} with ${vocabSize} tokens and round-trips byte for byte`, async () => {
    const bytes = readFileSync(path!);
    expect(llama2cTokenizer.detect(bytes.subarray(0, 65_536), file, bytes.length)?.confidence).toBe('likely');
    const { tokenizer, diagnostics } = await readTokenizerBin(memorySource(bytes, file));
    expect(diagnostics.filter((d) => d.severity !== 'info')).toEqual([]);
    expect([tokenizer!.generation, tokenizer!.pieces.length]).toEqual([generation, vocabSize]);
    expect(Buffer.compare(await bytesOf(tokenizer!), bytes)).toBe(0);
  });
});

describe('every generation', () => {
  const words = fc.uniqueArray(fc.string({ minLength: 2, maxLength: 8, unit: fc.constantFrom('a', 'b', 'c', 'd', ' ', 'é', 'ß') }), { minLength: 1, maxLength: 40 });
  it.each(['gen1', 'gen2', 'gen3', 'gen4', 'gen5'] as const)('%s: what is written is read back, recognised and equal', async (generation) => {
    await fc.assert(
      fc.asyncProperty(words, fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 40, maxLength: 40 }), async (texts, scoreValues) => {
        const pieces = [...specials, ...(generation === 'gen5' ? hexTokens : charTokens), ...texts.map(encode)];
        const scores = generation === 'gen1' || generation === 'gen2' ? undefined : Float32Array.from(pieces, (_, i) => (i < 259 ? 0 : scoreValues[i % 40]!));
        const bytes = await bytesOf({ generation, pieces, scores });
        const { tokenizer, diagnostics } = await readTokenizerBin(memorySource(bytes));
        expect(diagnostics.filter((d) => d.severity !== 'info')).toEqual([]);
        expect(tokenizer!.generation).toBe(generation);
        expect(tokenizer!.pieces.map((piece) => [...piece])).toEqual(pieces.map((piece) => [...piece]));
        expect(tokenizer!.scores && [...tokenizer!.scores]).toEqual(scores && [...scores]);
        expect(Buffer.compare(await bytesOf(tokenizer!), bytes)).toBe(0);
      }),
      { numRuns: 25 },
    );
  });
  it.each([['gen1', 0], ['gen2', 4], ['gen3', 8], ['gen4', 8], ['gen5', 8]] as const)('%s cut inside a record or its table is an error with a byte range', async (generation, fixedBytes) => {
    const pieces = [...specials, ...(generation === 'gen5' ? hexTokens : charTokens), encode(' the'), encode('nd')];
    const bytes = await bytesOf({ generation, pieces, scores: new Float32Array(pieces.length) });
    // Records carry no end mark: a cut between two of them leaves a shorter, well-formed vocabulary.
    const boundaries = generation === 'gen1' ? [] : [bytes.length - fixedBytes - 2, bytes.length - 2 * fixedBytes - 6];
    for (let length = bytes.length - 1; length > bytes.length - 2 * fixedBytes - 7; length--) {
      const { tokenizer, diagnostics } = await readTokenizerBin(memorySource(bytes.subarray(0, length)));
      expect(tokenizer !== undefined, `${length} of ${bytes.length}`).toBe(boundaries.includes(length));
      const ends = diagnostics.filter((d) => d.severity === 'error').map((d) => d.byteRange![1]);
      expect(ends.length).toBe(tokenizer ? 0 : 1);
      expect(ends.every((end) => end <= length)).toBe(true);
    }
  });
  it.each([['<0x00>', '\u0001', 'gen5'], ['\0', '<0x01>', 'gen5'], ['\0', '\u0001', 'gen4']] as const)('is told by the spellings of bytes 0 and 1 together: %j and %j are %s', async (zero, one, generation) => {
    const pieces = [...specials, encode(zero), encode(one), ...hexTokens.slice(2)];
    const bytes = await bytesOf({ generation: 'gen5', pieces, scores: new Float32Array(pieces.length) });
    expect((await readTokenizerBin(memorySource(bytes))).tokenizer?.generation).toBe(generation);
  });
  it('a max_token_length below the longest piece is an error, above it a warning', async () => {
    const pieces = [...specials, ...hexTokens];
    const scores = new Float32Array(pieces.length);
    const codes = async (maxTokenLength: number) => (await readTokenizerBin(memorySource(await bytesOf({ generation: 'gen5', pieces, scores, maxTokenLength })))).diagnostics.map((d) => `${d.severity} ${d.code}`);
    expect(await codes(5)).toEqual(['error LLAMA2C_TOKENIZER_MAX_LENGTH_SMALL']);
    expect(await codes(6)).toEqual([]);
    expect(await codes(7)).toEqual(['warning LLAMA2C_TOKENIZER_MAX_LENGTH_LARGE']);
  });
});

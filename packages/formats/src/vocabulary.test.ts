import { readFileSync } from 'node:fs';
import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { readVocabulary, vocabularyNames } from './vocabulary.js';

const recite = (name: string) => memorySource(readFileSync(new URL(`../../../fixtures/golden/recite/${name}`, import.meta.url)), name);
const ranks = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}\n`).join('');
const rankFile = (text: string) => memorySource(new TextEncoder().encode(text), 'qwen.tiktoken');

describe('vocabularies beside weights', () => {
  it('reads a tokenizer.bin, which fits a model of exactly its size', async () => {
    const { vocabulary } = await readVocabulary(recite('tokenizer.bin'), 'llama');
    const size = 411;
    expect(vocabulary!.tokenCount).toBe(size);
    expect([size - 1, size, size + 1].map((vocabSize) => vocabulary!.fits(vocabSize))).toEqual([false, true, false]);
    const tokenizer = await vocabulary!.tokenizer(size);
    expect(tokenizer.decode(tokenizer.encode('a'))).toContain('a');
  });

  it('puts the control tokens of the model’s family behind ranks: 208 for Qwen, 256 for Llama 3', async () => {
    const qwen = await readVocabulary(rankFile(ranks), 'qwen1');
    const llama = await readVocabulary(rankFile(ranks), 'llama');
    expect([qwen.vocabulary?.tokenCount, llama.vocabulary?.tokenCount]).toEqual([464, 512]);
  });

  it('lets a rank file have up to 1023 rows more, and none fewer', async () => {
    const { vocabulary } = await readVocabulary(rankFile(ranks), 'qwen1');
    expect([463, 464, 464 + 1023, 464 + 1024].map((vocabSize) => vocabulary!.fits(vocabSize))).toEqual([false, true, true, false]);
  });

  it('names the format of a file that is no vocabulary', async () => {
    expect(await readVocabulary(recite('model.bin'), 'llama')).toEqual({ otherFormat: 'llama2c', diagnostics: [] });
  });

  it('reports a damaged rank file (TIKTOKEN_RANK)', async () => {
    const { vocabulary, diagnostics } = await readVocabulary(rankFile(ranks.replace(' 7\n', ' 8\n')), 'qwen1');
    expect(vocabulary).toBeUndefined();
    expect(diagnostics.map(({ code }) => code)).toContain('TIKTOKEN_RANK');
  });

  it('knows the usual names of each family', () => {
    expect(vocabularyNames({ architecture: 'llama', vocabSize: 512 })).toEqual(['tok512.bin', 'tokenizer.bin', 'tokenizer.model']);
    expect(vocabularyNames({ architecture: 'qwen1', vocabSize: 512 })).toEqual(['qwen.tiktoken']);
  });
});

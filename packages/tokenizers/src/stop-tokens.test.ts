import { describe, expect, it } from 'vitest';
import { createLlama3Tokenizer, createQwenTokenizer, parseTiktokenRanks, stopTokensFor } from './index.js';

describe('ids that end a text', () => {
  const file = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}\n`).join('');
  const ranks = parseTiktokenRanks(new TextEncoder().encode(file), 'bytes.tiktoken').ranks!;

  it('are the model’s own where it has any', async () => {
    expect(stopTokensFor({ stopTokens: [7] }, await createLlama3Tokenizer(ranks))).toEqual([7]);
    expect(stopTokensFor({ stopTokens: [7] }, undefined)).toEqual([7]);
  });
  it('are end_of_text and eot_id of Llama 3’s vocabulary, endoftext of Qwen’s, where only weights and params.json are there', async () => {
    // 256 ranks; Llama 3 has end_of_text 1 and eot_id 9 places after them.
    expect(stopTokensFor({ stopTokens: [] }, await createLlama3Tokenizer(ranks))).toEqual([257, 265]);
    expect(stopTokensFor({ stopTokens: [] }, await createQwenTokenizer(ranks))).toEqual([256]);
    expect(stopTokensFor({ stopTokens: [] }, undefined)).toEqual([]);
  });
});

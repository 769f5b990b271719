/** Llama 3's tokenizer.model. Source: meta-llama/llama3 llama/tokenizer.py. */
import { preTokenizerPattern } from './pre-tokenizer.js';
import { createTiktokenTokenizer } from './tiktoken.js';
import type { TiktokenRanks } from './tiktoken-ranks.js';
import type { Tokenizer } from './tokenizer.js';

const RESERVED_COUNT = 251;

/** The 256 control tokens that follow `rankCount` ranks (128000 in the published file). */
export function llama3ControlTokens(rankCount: number): ReadonlyMap<string, number> {
  const reserved = Array.from({ length: RESERVED_COUNT }, (_, i) => `<|reserved_special_token_${i}|>`);
  const spellings = [
    '<|begin_of_text|>', '<|end_of_text|>', ...reserved.slice(0, 4),
    '<|start_header_id|>', '<|end_header_id|>', reserved[4]!, '<|eot_id|>', ...reserved.slice(5),
  ];
  return new Map(spellings.map((spelling, i) => [spelling, rankCount + i]));
}

/** `vocabSize`: rows of the model's embedding, if there are more than tokens. */
export function createLlama3Tokenizer(ranks: TiktokenRanks, { vocabSize }: { readonly vocabSize?: number } = {}): Promise<Tokenizer> {
  const controlTokens = llama3ControlTokens(ranks.tokens.length);
  return createTiktokenTokenizer({
    ranks, controlTokens, vocabSize,
    pattern: preTokenizerPattern(3),
    bosId: controlTokens.get('<|begin_of_text|>'),
    eosId: controlTokens.get('<|end_of_text|>'),
  });
}

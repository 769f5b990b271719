/**
 * Qwen's vocabulary (qwen.tiktoken) and its chat format, ChatML. Source: QwenLM/Qwen tokenization_qwen.py, qwen_generation_utils.py
 * make_context. Caveat: qwen.cpp gives other ids for runs of white space (its regular expressions have no lookahead) and
 * does not normalize.
 */
import { preTokenizerPattern } from './pre-tokenizer.js';
import { createTiktokenTokenizer } from './tiktoken.js';
import type { TiktokenRanks } from './tiktoken-ranks.js';
import type { Tokenizer } from './tokenizer.js';

const EXTRA_COUNT = 205;

/** The 208 control tokens that follow `rankCount` ranks (151643 in the published file). */
export function qwenControlTokens(rankCount: number): ReadonlyMap<string, number> {
  const extras = Array.from({ length: EXTRA_COUNT }, (_, i) => `<|extra_${i}|>`);
  return new Map(['<|endoftext|>', '<|im_start|>', '<|im_end|>', ...extras].map((spelling, i) => [spelling, rankCount + i]));
}

export interface QwenTokenizerOptions {
  /** Rows of the model's embedding, if there are more than tokens: 151936 or 152064 in the published models. */
  readonly vocabSize?: number;
  /** NFC, as Qwen's own tokenizer does, or none, as tiktoken alone and qwen.cpp. Default NFC. */
  readonly normalization?: 'NFC' | 'none';
}

export function createQwenTokenizer(ranks: TiktokenRanks, { vocabSize, normalization = 'NFC' }: QwenTokenizerOptions = {}): Promise<Tokenizer> {
  const controlTokens = qwenControlTokens(ranks.tokens.length);
  return createTiktokenTokenizer({
    ranks, controlTokens, vocabSize,
    pattern: preTokenizerPattern(1),
    normalization: normalization === 'NFC' ? normalization : undefined,
    eosId: controlTokens.get('<|endoftext|>'),
  });
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

const DEFAULT_SYSTEM: ChatMessage = { role: 'system', content: 'You are a helpful assistant.' };

/**
 * Ids that ask a ChatML model for the assistant's next message. Puts Qwen's system message first unless `messages` brings one.
 * Role, newline and content are encoded apart, and control tokens spelled in a content stay text: no message can forge another.
 * Throws RangeError when the vocabulary has no <|im_start|> and <|im_end|>.
 */
export function chatMlPrompt(tokenizer: Tokenizer, messages: readonly ChatMessage[]): number[] {
  const [start, end] = ['<|im_start|>', '<|im_end|>'].map((spelling) => tokenizer.controlId?.(spelling));
  if (start === undefined || end === undefined) throw new RangeError('this vocabulary has no <|im_start|> and <|im_end|>');
  const newline = tokenizer.encode('\n');
  const all = messages[0]?.role === 'system' ? messages : [DEFAULT_SYSTEM, ...messages];
  const turns = all.map(({ role, content }) => [start, ...tokenizer.encode(role), ...newline, ...tokenizer.encode(content), end, ...newline]);
  return [...turns.flat(), start, ...tokenizer.encode('assistant'), ...newline];
}

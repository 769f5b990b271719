/** Vocabularies that lie beside weights, whatever file they are in: llama2.c's tokenizer.bin and tiktoken's ranks, which do not say whose control tokens follow. */
import type { ByteSource, Diagnostic } from '@weightspec/core';
import { llama2cTokenizer, readTokenizerBin } from '@weightspec/llama2c';
import type { DecoderConfig } from '@weightspec/models';
import { createLlama3Tokenizer, createQwenTokenizer, createScoreBpeTokenizer, llama3ControlTokens, looksLikeTiktokenRanks, qwenControlTokens, readTiktokenRanks, type Tokenizer } from '@weightspec/tokenizers';
import { open } from './open.js';

/** Embeddings are filled up to round sizes: Qwen's 151851 tokens have 151936 or 152064 rows. More is another vocabulary. */
const MOST_UNUSED_ROWS = 1024;

/** How many tokens there are, and the tokenizer for a model of `vocabSize`. */
export interface Vocabulary {
  readonly tokenCount: number;
  fits(vocabSize: number): boolean;
  tokenizer(vocabSize: number): Promise<Tokenizer>;
}

export interface VocabularyResult {
  /** Absent when a diagnostic is an error, or the file is of another format. */
  readonly vocabulary?: Vocabulary;
  /** Id of the format that the file is, where that is no vocabulary. */
  readonly otherFormat?: string;
  readonly diagnostics: readonly Diagnostic[];
}

/** Usual names of a model's vocabulary, best first. */
export function vocabularyNames({ architecture, vocabSize }: Pick<DecoderConfig, 'architecture' | 'vocabSize'>): readonly string[] {
  return architecture === 'llama' ? [`tok${vocabSize}.bin`, 'tokenizer.bin', 'tokenizer.model'] : ['qwen.tiktoken'];
}

/** Reads a vocabulary for a model of `architecture`. Bad bytes become diagnostics; only I/O faults throw. */
export async function readVocabulary(source: ByteSource, architecture: DecoderConfig['architecture']): Promise<VocabularyResult> {
  const head = await source.read(0, Math.min(source.size, 256));
  return looksLikeTiktokenRanks(head) ? tiktokenVocabulary(source, architecture) : llama2cVocabulary(source);
}

const hasErrors = (diagnostics: readonly Diagnostic[]): boolean => diagnostics.some(({ severity }) => severity === 'error');

async function tiktokenVocabulary(source: ByteSource, architecture: DecoderConfig['architecture']): Promise<VocabularyResult> {
  const { ranks, diagnostics } = await readTiktokenRanks(source);
  if (!ranks || hasErrors(diagnostics)) return { diagnostics };
  const [controlTokens, create] = architecture === 'llama' ? [llama3ControlTokens, createLlama3Tokenizer] : [qwenControlTokens, createQwenTokenizer];
  const tokenCount = ranks.tokens.length + controlTokens(ranks.tokens.length).size;
  const vocabulary: Vocabulary = {
    tokenCount,
    fits: (vocabSize) => tokenCount <= vocabSize && vocabSize - tokenCount < MOST_UNUSED_ROWS,
    tokenizer: (vocabSize) => create(ranks, { vocabSize }),
  };
  return { vocabulary, diagnostics };
}

async function llama2cVocabulary(source: ByteSource): Promise<VocabularyResult> {
  const { format } = await open(source);
  if (format && format.id !== llama2cTokenizer.id) return { otherFormat: format.id, diagnostics: [] };
  const { tokenizer, diagnostics } = await readTokenizerBin(source);
  if (!tokenizer || hasErrors(diagnostics)) return { diagnostics };
  const { pieces, scores, generation } = tokenizer;
  const vocabulary: Vocabulary = {
    tokenCount: pieces.length,
    fits: (vocabSize) => pieces.length === vocabSize,
    tokenizer: async () => createScoreBpeTokenizer({ pieces, scores, byteTokens: generation === 'gen5' ? 'hex' : 'utf8' }),
  };
  return { vocabulary, diagnostics };
}

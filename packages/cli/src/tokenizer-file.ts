import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DiagnosticError, type ByteSource, type Diagnostic } from '@weightspec/core';
import type { LoadedModel } from '@weightspec/engine';
import { open } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import { readTokenizerBin } from '@weightspec/llama2c';
import type { DecoderConfig } from '@weightspec/models';
import { createLlama3Tokenizer, createQwenTokenizer, createScoreBpeTokenizer, llama3ControlTokens, looksLikeTiktokenRanks, qwenControlTokens, readTiktokenRanks, type Tokenizer } from '@weightspec/tokenizers';
import { CliError } from './codes.js';
import type { Terminal } from './terminal.js';

/** Embeddings are filled up to round sizes: Qwen's 151851 tokens have 151936 or 152064 rows. More is another vocabulary. */
const MOST_UNUSED_ROWS = 1024;

/** A vocabulary in a file: how many tokens it has, and the tokenizer for a model of `vocabSize`. */
interface Vocabulary {
  readonly tokenCount: number;
  fits(vocabSize: number): boolean;
  tokenizer(vocabSize: number): Promise<Tokenizer>;
}

/** Reads a vocabulary. Throws DiagnosticError for a damaged one, CliError for another kind of file, IoError. */
async function readVocabulary(path: string, architecture: DecoderConfig['architecture']): Promise<Vocabulary> {
  const source = await openSource(path);
  try {
    const head = await source.read(0, Math.min(source.size, 256));
    return looksLikeTiktokenRanks(head) ? await tiktokenVocabulary(source, architecture) : await llama2cVocabulary(source);
  } finally {
    await source.close();
  }
}

/** A rank file does not say whose control tokens follow it; the model does. */
async function tiktokenVocabulary(source: ByteSource, architecture: DecoderConfig['architecture']): Promise<Vocabulary> {
  const { ranks, diagnostics } = await readTiktokenRanks(source);
  const found = presentOrThrow(ranks, diagnostics);
  const [controlTokens, create] = architecture === 'llama' ? [llama3ControlTokens, createLlama3Tokenizer] : [qwenControlTokens, createQwenTokenizer];
  const tokenCount = found.tokens.length + controlTokens(found.tokens.length).size;
  return {
    tokenCount,
    fits: (vocabSize) => tokenCount <= vocabSize && vocabSize - tokenCount < MOST_UNUSED_ROWS,
    tokenizer: (vocabSize) => create(found, { vocabSize }),
  };
}

async function llama2cVocabulary(source: ByteSource): Promise<Vocabulary> {
  const { format } = await open(source);
  if (format && format.id !== 'llama2c-tokenizer') throw new CliError('CLI_BAD_TOKENIZER', `${source.name} is not a tokenizer: it is a file of the format ${format.id}`);
  const { tokenizer, diagnostics } = await readTokenizerBin(source);
  const { pieces, scores, generation } = presentOrThrow(tokenizer, diagnostics);
  return {
    tokenCount: pieces.length,
    fits: (vocabSize) => pieces.length === vocabSize,
    tokenizer: () => Promise.resolve(createScoreBpeTokenizer({ pieces, scores, byteTokens: generation === 'gen5' ? 'hex' : 'utf8' })),
  };
}

function presentOrThrow<T>(found: T | undefined, diagnostics: readonly Diagnostic[]): T {
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (found === undefined || errors.length > 0) throw new DiagnosticError(errors);
  return found;
}

const isThere = (path: string) => access(path).then(() => true, () => false);

/** Usual names of a model's vocabulary, best first. */
function usualNames({ config }: LoadedModel): readonly string[] {
  return config.architecture === 'llama' ? [`tok${config.vocabSize}.bin`, 'tokenizer.bin', 'tokenizer.model'] : ['qwen.tiktoken'];
}

/**
 * The tokenizer for `model`, which lies at `path`: `named`, or the first with a usual name beside the model that fits.
 * Throws CliError: CLI_TOKENIZER_MISMATCH when there are only others, CLI_NO_TOKENIZER when there is none.
 */
export async function tokenizerFor(path: string, model: LoadedModel, named: string | undefined, { stderr }: Terminal): Promise<Tokenizer> {
  const { architecture, vocabSize } = model.config;
  const mismatch = (file: string, { tokenCount }: Vocabulary) =>
    new CliError('CLI_TOKENIZER_MISMATCH', `${file} has ${tokenCount} tokens, and the model ${path} has a vocabulary of ${vocabSize}`);
  if (named !== undefined) {
    const vocabulary = await readVocabulary(named, architecture);
    if (!vocabulary.fits(vocabSize)) throw mismatch(named, vocabulary);
    return vocabulary.tokenizer(vocabSize);
  }

  const names = usualNames(model);
  let unfit: CliError | undefined;
  for (const file of names.map((name) => join(dirname(path), name))) {
    if (!(await isThere(file))) continue;
    const vocabulary = await readVocabulary(file, architecture);
    if (vocabulary.fits(vocabSize)) {
      stderr.write(`tokenizer: ${file}\n`);
      return vocabulary.tokenizer(vocabSize);
    }
    unfit = mismatch(file, vocabulary);
  }
  throw unfit ?? new CliError('CLI_NO_TOKENIZER', `there is no ${names.join(', ')} beside ${path}`);
}

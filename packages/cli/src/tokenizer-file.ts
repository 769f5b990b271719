import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DiagnosticError } from '@weightspec/core';
import { open } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import { readTokenizerBin } from '@weightspec/llama2c';
import { createScoreBpeTokenizer, type Tokenizer } from '@weightspec/tokenizers';
import { CliError } from './codes.js';
import type { Terminal } from './terminal.js';

/** Reads a tokenizer.bin. Throws DiagnosticError for a damaged one, CliError for another kind of file, IoError. */
export async function readTokenizer(path: string): Promise<Tokenizer> {
  const source = await openSource(path);
  try {
    const { format } = await open(source);
    if (format && format.id !== 'llama2c-tokenizer') throw new CliError('CLI_BAD_TOKENIZER', `${path} is not a tokenizer: it is a file of the format ${format.id}`);
    const { tokenizer, diagnostics } = await readTokenizerBin(source);
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!tokenizer || errors.length > 0) throw new DiagnosticError(errors);
    const { pieces, scores, generation } = tokenizer;
    return createScoreBpeTokenizer({ pieces, scores, byteTokens: generation === 'gen5' ? 'hex' : 'utf8' });
  } finally {
    await source.close();
  }
}

const isThere = (path: string) => access(path).then(() => true, () => false);

/**
 * The tokenizer for a model of `vocabSize`: `named`, or the first beside the model that fits (tok<vocabSize>.bin,
 * tokenizer.bin). Throws CliError: CLI_TOKENIZER_MISMATCH when there are only others, CLI_NO_TOKENIZER when there is none.
 */
export async function tokenizerFor(model: string, vocabSize: number, named: string | undefined, { stderr }: Terminal): Promise<Tokenizer> {
  const mismatch = (path: string, tokenizer: Tokenizer) =>
    new CliError('CLI_TOKENIZER_MISMATCH', `${path} has ${tokenizer.vocabSize} tokens, and the model ${model} has a vocabulary of ${vocabSize}`);
  if (named !== undefined) {
    const tokenizer = await readTokenizer(named);
    if (tokenizer.vocabSize !== vocabSize) throw mismatch(named, tokenizer);
    return tokenizer;
  }

  const names = [`tok${vocabSize}.bin`, 'tokenizer.bin'];
  let unfit: CliError | undefined;
  for (const path of names.map((name) => join(dirname(model), name))) {
    if (!(await isThere(path))) continue;
    const tokenizer = await readTokenizer(path);
    if (tokenizer.vocabSize === vocabSize) {
      stderr.write(`tokenizer: ${path}\n`);
      return tokenizer;
    }
    unfit = mismatch(path, tokenizer);
  }
  throw unfit ?? new CliError('CLI_NO_TOKENIZER', `there is neither ${names.join(' nor ')} beside ${model}`);
}

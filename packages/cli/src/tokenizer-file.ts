import { access, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DiagnosticError } from '@weightspec/core';
import type { LoadedModel } from '@weightspec/engine';
import { readVocabulary, vocabularyNames, type Vocabulary } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import type { DecoderConfig } from '@weightspec/models';
import type { Tokenizer } from '@weightspec/tokenizers';
import { CliError } from './codes.js';
import type { Terminal } from './terminal.js';

/** Reads a vocabulary. Throws DiagnosticError for a damaged one, CliError for another kind of file, IoError. */
async function vocabularyAt(path: string, architecture: DecoderConfig['architecture']): Promise<Vocabulary> {
  const source = await openSource(path);
  try {
    const { vocabulary, otherFormat, diagnostics } = await readVocabulary(source, architecture);
    if (otherFormat !== undefined) throw new CliError('CLI_BAD_TOKENIZER', `${source.name} is not a tokenizer: it is a file of the format ${otherFormat}`);
    if (!vocabulary) throw new DiagnosticError(diagnostics.filter(({ severity }) => severity === 'error'));
    return vocabulary;
  } finally {
    await source.close();
  }
}

const isThere = (path: string) => access(path).then(() => true, () => false);
const isFolder = (path: string) => stat(path).then((entry) => entry.isDirectory(), () => false);

/**
 * The tokenizer for `model`, which lies at `path`: `named`, or the first with a usual name beside the model, or in the folder that
 * is the model, that fits.
 * Throws CliError: CLI_TOKENIZER_MISMATCH when there are only others, CLI_NO_TOKENIZER when there is none.
 */
export async function tokenizerFor(path: string, model: LoadedModel, named: string | undefined, { stderr }: Terminal): Promise<Tokenizer> {
  const { architecture, vocabSize } = model.config;
  const mismatch = (file: string, { tokenCount }: Vocabulary) =>
    new CliError('CLI_TOKENIZER_MISMATCH', `${file} has ${tokenCount} tokens, and the model ${path} has a vocabulary of ${vocabSize}`);
  if (named !== undefined) {
    const vocabulary = await vocabularyAt(named, architecture);
    if (!vocabulary.fits(vocabSize)) throw mismatch(named, vocabulary);
    return vocabulary.tokenizer(vocabSize);
  }

  const names = vocabularyNames(model.config);
  let unfit: CliError | undefined;
  const folder = (await isFolder(path)) ? path : dirname(path);
  for (const file of names.map((name) => join(folder, name))) {
    if (!(await isThere(file))) continue;
    const vocabulary = await vocabularyAt(file, architecture);
    if (vocabulary.fits(vocabSize)) {
      stderr.write(`tokenizer: ${file}\n`);
      return vocabulary.tokenizer(vocabSize);
    }
    unfit = mismatch(file, vocabulary);
  }
  throw unfit ?? new CliError('CLI_NO_TOKENIZER', `there is no ${names.join(', ')} beside ${path}`);
}

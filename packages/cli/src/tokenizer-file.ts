import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DiagnosticError, type ByteSource } from '@weightspec/core';
import type { LoadedModel } from '@weightspec/engine';
import { fileAddress, readVocabulary, vocabularyNames, type Vocabulary } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import type { DecoderConfig } from '@weightspec/models';
import type { Tokenizer } from '@weightspec/tokenizers';
import { CliError } from './codes.js';
import { isUrl, resolverBeside } from './folders.js';
import type { Terminal } from './terminal.js';

/** Reads a vocabulary. Throws DiagnosticError for a damaged one, CliError for another kind of file, IoError. */
async function vocabularyIn(source: ByteSource, architecture: DecoderConfig['architecture']): Promise<Vocabulary> {
  try {
    const { vocabulary, otherFormat, diagnostics } = await readVocabulary(source, architecture);
    if (otherFormat !== undefined) throw new CliError('CLI_BAD_TOKENIZER', `${source.name} is not a tokenizer: it is a file of the format ${otherFormat}`);
    if (!vocabulary) throw new DiagnosticError(diagnostics.filter(({ severity }) => severity === 'error'));
    return vocabulary;
  } finally {
    await source.close?.();
  }
}

const isFolder = (path: string) => stat(path).then((entry) => entry.isDirectory(), () => false);

/**
 * The tokenizer for `model`, which lies at `path`, a path or URL: `named`, or the first with a usual name beside the model, or in the folder that
 * is the model, that fits.
 * Throws CliError: CLI_TOKENIZER_MISMATCH when there are only others, CLI_NO_TOKENIZER when there is none.
 */
export async function tokenizerFor(path: string, model: LoadedModel, named: string | undefined, { stderr }: Terminal): Promise<Tokenizer> {
  const { architecture, vocabSize } = model.config;
  const mismatch = (file: string, { tokenCount }: Vocabulary) =>
    new CliError('CLI_TOKENIZER_MISMATCH', `${file} has ${tokenCount} tokens, and the model ${path} has a vocabulary of ${vocabSize}`);
  if (named !== undefined) {
    const vocabulary = await vocabularyIn(await openSource(isUrl(named) ? fileAddress(named) : named), architecture);
    if (!vocabulary.fits(vocabSize)) throw mismatch(named, vocabulary);
    return vocabulary.tokenizer(vocabSize);
  }

  const names = vocabularyNames(model.config);
  let unfit: CliError | undefined;
  // Of a folder that is the model, any name in it.
  const { resolve, closeAll } = resolverBeside((await isFolder(path)) ? join(path, 'model') : path);
  try {
    for (const name of names) {
      const source = await resolve(name);
      if (!source) continue;
      const vocabulary = await vocabularyIn(source, architecture);
      if (vocabulary.fits(vocabSize)) {
        stderr.write(`tokenizer: ${source.name}\n`);
        return await vocabulary.tokenizer(vocabSize);
      }
      unfit = mismatch(source.name, vocabulary);
    }
  } finally {
    await closeAll();
  }
  throw unfit ?? new CliError('CLI_NO_TOKENIZER', `there is no ${names.join(', ')} beside ${path}`);
}

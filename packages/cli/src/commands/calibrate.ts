import { readChunks } from '@weightspec/core';
import { openSource } from '@weightspec/io/node';
import { calibrate, writeStatistics } from '@weightspec/smoothquant';
import type { Tokenizer } from '@weightspec/tokenizers';
import type { BackendChoice } from '../backends.js';
import { CliError } from '../codes.js';
import { assertTokens, withModel, type ReadyModel } from '../loading.js';
import { progressBar } from '../progress.js';
import { visible } from '../report/escape.js';
import { counted } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';
import { tokenizerFor } from '../tokenizer-file.js';
import { writeWholeFile } from '../whole-file.js';

export interface CalibrateCommandOptions extends BackendChoice {
  /** A text file. */
  readonly text?: string;
  /** Sequences of ids, in the place of a text. */
  readonly tokens?: readonly (readonly number[])[];
  readonly tokenizer?: string;
  readonly out: string;
  /** Sequences at most. */
  readonly samples: number;
  /** Tokens of a sequence at most; default LMDeploy's 2048, or as many as the model has positions for. */
  readonly seqLen?: number;
}

/** As LMDeploy's calib_seqlen. */
const SEQUENCE_TOKENS = 2048;
/** A text is encoded in pieces of about so many characters, cut at line ends: merging takes longer than linear time. */
const PIECE_CHARACTERS = 4096;

/** Runs the model over a text and writes the largest magnitude of every linear layer's input channels, as LMDeploy's inputs_stats.pth. */
export async function calibrateModel(target: string, options: CalibrateCommandOptions, terminal: Terminal): Promise<number> {
  if (options.text === undefined && options.tokens === undefined) {
    terminal.stderr.write('error: give a text with --text FILE, or ids with --tokens 1,2,3\n');
    return EXIT.trouble;
  }
  return withModel(target, { ...options, exact: true }, terminal, async (ready) => {
    const sequences = options.tokens ?? (await sequencesOf(ready, options, terminal));
    for (const tokens of sequences) assertTokens(tokens, ready.model);
    const bar = progressBar('tokens', terminal);
    const statistics = await calibrate(ready.model, sequences, { progress: bar.progress }).finally(() => bar.stop());
    await writeWholeFile(options.out, (sink) => writeStatistics(statistics, sink), [ready.path]);
    const tokenCount = sequences.reduce((sum, { length }) => sum + length, 0);
    terminal.stderr.write(`${counted(statistics.size, 'layer')} over ${counted(tokenCount, 'token')} in ${counted(sequences.length, 'sequence')} to ${visible(options.out)} (${ready.model.backendId})\n`);
    return EXIT.ok;
  });
}

/** The text cut into sequences. Throws CliError (CLI_EMPTY_PROMPT) for a text without tokens. */
async function sequencesOf({ path, model }: ReadyModel, { text, tokenizer: named, samples, seqLen }: CalibrateCommandOptions, terminal: Terminal): Promise<number[][]> {
  const tokenizer = await tokenizerFor(path, model, named, terminal);
  const length = Math.min(seqLen ?? SEQUENCE_TOKENS, model.contextLength);
  const tokens = await encodeFile(text!, tokenizer, samples * length);
  if (tokens.length === 0) throw new CliError('CLI_EMPTY_PROMPT', `${text} has no text to calibrate with`);
  return Array.from({ length: Math.ceil(tokens.length / length) }, (_, i) => tokens.slice(i * length, (i + 1) * length));
}

/** The first `count` tokens of a text file, of which no more is read than they take. */
async function encodeFile(path: string, tokenizer: Tokenizer, count: number): Promise<number[]> {
  const source = await openSource(path);
  const tokens: number[] = [];
  let pending = '';
  const encode = (piece: string): void => {
    if (piece === '') return;
    for (const id of tokenizer.encode(piece, { bos: tokens.length === 0 })) tokens.push(id);
  };
  try {
    const decoder = new TextDecoder();
    for await (const chunk of readChunks(source, 0, source.size, 2 ** 16)) {
      pending += decoder.decode(chunk, { stream: true });
      while (pending.length >= PIECE_CHARACTERS && tokens.length < count) {
        const lineEnd = pending.lastIndexOf('\n', PIECE_CHARACTERS - 1);
        const end = lineEnd < 0 ? PIECE_CHARACTERS : lineEnd + 1;
        encode(pending.slice(0, end));
        pending = pending.slice(end);
      }
      if (tokens.length >= count) break;
    }
    if (tokens.length < count) encode(pending + decoder.decode());
    return tokens.slice(0, count);
  } finally {
    await source.close();
  }
}

import { randomInt } from 'node:crypto';
import { createSampler, generate, type GenerateEnd, type LoadedModel } from '@weightspec/engine';
import { chatMlPrompt, createByteStream, createTextStream, stopTokensFor, type Tokenizer } from '@weightspec/tokenizers';
import type { BackendChoice } from '../backends.js';
import { CliError } from '../codes.js';
import { assertTokens, withModel, type ReadyModel } from '../loading.js';
import { placementLines } from '../placement.js';
import { EXIT, type Terminal } from '../terminal.js';
import { tokenizerFor } from '../tokenizer-file.js';

export interface RunCommandOptions extends BackendChoice {
  readonly prompt?: string;
  readonly tokens?: readonly number[];
  readonly printIds?: boolean;
  /** The prompt is one message of a chat. */
  readonly chat?: boolean;
  /** New tokens at most. */
  readonly count: number;
  readonly temperature: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly seed?: bigint;
  readonly tokenizer?: string;
  /** Say what computes each op. */
  readonly verbose?: boolean;
}

/** Streams what the model makes of the prompt, prompt included as run.c prints it, but for a chat. Text alone on stdout. */
export async function run(target: string, options: RunCommandOptions, terminal: Terminal): Promise<number> {
  if (options.prompt === undefined && options.tokens === undefined) {
    terminal.stderr.write('error: give a prompt with -p TEXT, or ids with --tokens 1,2,3\n');
    return EXIT.trouble;
  }
  await withModel(target, options, terminal, (ready) => generateAndPrint(ready, options, terminal));
  return EXIT.ok;
}

async function generateAndPrint({ path, model }: ReadyModel, options: RunCommandOptions, terminal: Terminal): Promise<void> {
  const tokenizer = options.tokens && options.printIds ? undefined : await tokenizerFor(path, model, options.tokenizer, terminal);
  const promptTokens = options.tokens ?? (tokenizer ? encodePrompt(tokenizer, options) : []);
  assertTokens(promptTokens, model);
  if (options.verbose) for (const line of placementLines(model)) terminal.stderr.write(`${line}\n`);

  const stopTokens = stopTokensFor(model, tokenizer);
  const onlyAnswer = options.chat === true && !options.printIds;
  const writer = options.printIds || !tokenizer ? idWriter(terminal) : textWriter(tokenizer, terminal, onlyAnswer ? promptTokens.at(-1) : undefined);
  for (const id of onlyAnswer ? [] : promptTokens) writer.push(id);
  const sampler = createSampler({ ...options, seed: seedFor(options, terminal) });
  const speed = stopwatch(promptTokens.length);
  const tokens = generate(model, { promptTokens, maxNewTokens: options.count, sampler, stopTokens });
  const reason = await print(tokens, writer, () => speed.lap());
  if (reason === 'context') terminal.stderr.write(`stopped: the context of ${model.contextLength} positions is full\n`);
  terminal.stderr.write(`${speed.report(model)}\n`);
}

/** Why there are no more. A line is ended where an error stops it, too, so that the error stands on one of its own. */
async function print(tokens: ReturnType<typeof generate>, writer: TokenWriter, printed: () => void): Promise<GenerateEnd['reason']> {
  try {
    let step = await tokens.next();
    for (; !step.done; step = await tokens.next()) {
      writer.push(step.value.id);
      printed();
    }
    return step.value.reason;
  } finally {
    writer.end();
  }
}

/** Control tokens that whoever wrote the prompt spells out count as such, but not in a message of a chat, whose turns are not theirs to set. */
function encodePrompt(tokenizer: Tokenizer, { prompt = '', chat }: RunCommandOptions): readonly number[] {
  if (!chat) {
    const ids = tokenizer.encode(prompt, { bos: true, control: true });
    if (ids.length === 0) throw new CliError('CLI_EMPTY_PROMPT', 'the prompt is empty, and this vocabulary has no BOS to start a text with');
    return ids;
  }
  if (tokenizer.controlId?.('<|im_start|>') === undefined) throw new CliError('CLI_NO_CHAT', 'this model’s vocabulary has no <|im_start|> and <|im_end|>, so that its chat format is not known');
  return chatMlPrompt(tokenizer, [{ role: 'user', content: prompt }]);
}

/** A sampled text can be had again only with its seed, so a seed that was not given is printed. */
function seedFor({ seed, temperature }: RunCommandOptions, { stderr }: Terminal): bigint | undefined {
  if (seed !== undefined || temperature === 0) return seed;
  const chosen = BigInt(randomInt(1, 2 ** 48 - 1));
  stderr.write(`seed: ${chosen}\n`);
  return chosen;
}

interface TokenWriter {
  push(id: number): void;
  end(): void;
}

/** `previous`: the id before the first that is pushed. */
function textWriter(tokenizer: Tokenizer, { stdout }: Terminal, previous: number | undefined): TokenWriter {
  // A vocabulary comes out of a file: on a terminal its control characters are left out, into a file goes every byte.
  if (!stdout.isTTY) {
    const raw = createByteStream(tokenizer, { previous });
    return { push: (id) => void stdout.write(raw.push(id)), end: () => void stdout.write('\n') };
  }
  const stream = createTextStream(tokenizer, { previous, filter: 'printable' });
  return {
    push(id) {
      const text = stream.push(id);
      if (text !== '') stdout.write(text);
    },
    end: () => stdout.write(`${stream.end()}\n`),
  };
}

/** Ids with commas between them, as --tokens takes them. */
function idWriter({ stdout }: Terminal): TokenWriter {
  let separator = '';
  return {
    push(id) {
      stdout.write(`${separator}${id}`);
      separator = ',';
    },
    end: () => stdout.write('\n'),
  };
}

/** Counts the time to the first token, which reads the prompt, apart from the others. */
function stopwatch(promptLength: number) {
  const started = performance.now();
  let first = started;
  let last = started;
  let count = 0;
  return {
    lap() {
      last = performance.now();
      if (count === 0) first = last;
      count += 1;
    },
    report({ backendId }: LoadedModel): string {
      const decoding = (last - first) / 1000;
      const rate = count > 1 && decoding > 0 ? `, ${((count - 1) / decoding).toFixed(1)} tokens/s` : '';
      return `${promptLength} prompt tokens, first token after ${((first - started) / 1000).toFixed(2)} s; ${count} new tokens${rate} (${backendId})`;
    },
  };
}

import type { CodeEntry, CodeTable } from '@weightspec/core';
import type { EngineError } from '@weightspec/engine';
import type { BackendError } from '@weightspec/kernels';
import type { ModelError } from '@weightspec/models';
import type { TokenizerError } from '@weightspec/tokenizers';

/** What a command cannot do, as opposed to what is wrong with a file. Exit code 2. Clauses: docs/cli.md. */
const entry = (clause: string, summary: string, rationale: string, hint: string): CodeEntry => ({ severity: 'error', summary, clause: `docs/cli#${clause}`, rationale, hint });

export const cliCodes = {
  CLI_NO_MODEL: entry('finding-a-model', 'No model in this folder', 'A command that reads one model must not guess in a folder without any.', 'Name the weight file itself.'),
  CLI_SEVERAL_MODELS: entry('finding-a-model', 'Several models in this folder', 'Taking the first by name would silently show or run another model than the one meant.', 'Name one of the files.'),
  CLI_NO_TOKENIZER: entry('tokenizers', 'No tokenizer for this model', 'The vocabulary is in a second file, and text needs it.', 'Name it with --tokenizer FILE, or give ids with --tokens and --print-ids.'),
  CLI_BAD_TOKENIZER: entry('tokenizers', 'The file given as tokenizer is something else', 'Ids read with a wrong vocabulary give other text, not an error.', 'Name a tokenizer.bin, qwen.tiktoken or Llama 3’s tokenizer.model; `weightspec validate` says what a file is.'),
  CLI_TOKENIZER_MISMATCH: entry('tokenizers', 'Tokenizer and model have vocabularies of different size', 'Ids of one vocabulary mean other words, or nothing, in another; run.c prints garbage or reads outside its table.', 'Use the tokenizer that the model was trained with.'),
  CLI_BAD_TOKEN: entry('run', 'A token id outside the vocabulary', 'An embedding row that does not exist cannot be read.', 'Ids go from 0 to the vocabulary size less one.'),
  CLI_TOO_LONG: entry('run', 'More tokens than the model has positions for', 'Positions past the trained length have no meaning, and run.c reads outside its cache.', 'Shorten the prompt.'),
  CLI_EMPTY_PROMPT: entry('run', 'An empty prompt for a model that has no BOS', 'A model computes what follows a token; without one there is nothing to start from.', 'Give a text with -p, or ids with --tokens.'),
  CLI_NO_CHAT: entry('run', 'No chat format is known for this vocabulary', 'A chat in another model’s format gives fluent nonsense.', 'Spell the format out in the prompt, without --chat.'),
  CLI_BAD_CONFIG: entry('run', 'The config.json or params.json beside the model cannot be read', 'Its numbers decide what is computed; guessed ones give fluent nonsense.', 'Download it again, from where the weights are.'),
  CLI_BAD_TRACE: entry('logits', 'The file given to compare with holds no activations of this model', 'A comparison of nothing would look like agreement.', 'Names are those of docs/cli.md; all tokens of --tokens must be in it, and the rows of one prompt only.'),
  CLI_BAD_GOLDEN: entry('logits', 'The folder given as golden has nothing for this model', 'A comparison with another model’s numbers would blame a sound file.', 'Name a folder like those of fixtures/golden: expected.json, manifest.json and the files that they name.'),
  CLI_NEEDS_FOLDER: entry('convert', 'Several files for a destination that names one', 'Shards and their index belong together in a folder of their own.', 'Name a folder, or a larger --shard-size.'),
  CLI_NO_PAGE: entry('web', 'The page is not built', 'A server with nothing to serve would answer every address with 404.', 'Run `npm run build`, or install the package again.'),
  CLI_PORT_TAKEN: entry('web', 'Another program has this port', 'Serving on another port than the one asked for would leave the address asked for to that other program.', 'Name another one with --port, or none.'),
  CLI_NOTHING_TO_REPAIR: entry('repair', 'The file has nothing to repair', 'A copy under another name would look like something that was mended.', 'Use the file as it is.'),
  CLI_NOT_REPAIRABLE: entry('repair', 'What is wrong with the file cannot be mended without guessing', 'Bytes that are missing, or numbers that contradict each other, have no one right value; a guessed one makes a file that looks sound.', 'Do what the findings say: fetch or export the file again.'),
  CLI_REPAIR_ELSEWHERE: entry('repair', 'A repaired index would lie away from its shards', 'Loaders look for the shards beside the index.', 'Name a destination in the folder of the index.'),
  CLI_UNKNOWN_CODE: entry('explain', 'No such code', 'Codes are permanent, so a code that is not in the table was never given out by this version.', '`weightspec codes` lists all of them.'),
} as const satisfies CodeTable;

/** What the packages below cannot do with a sound file; their errors carry the code and no advice. */
type RunnerCode = ModelError['code'] | BackendError['code'] | EngineError['code'] | TokenizerError['code'];

const ours = 'This is a fault of Weightspec, not of the file: please report it.';
export const runnerCodes = {
  MODEL_UNKNOWN_FORMAT: entry('run', 'No architecture is known for this format', 'Tensors say what is stored, not what to compute.', 'Run a file of a format that carries its configuration.'),
  MODEL_CONFIG: entry('run', 'The configuration lacks something that the architecture needs', 'A guessed dimension or constant gives fluent nonsense.', 'Export the model again with its whole configuration.'),
  MODEL_WEIGHTS: entry('run', 'Tensors are missing, or have another shape than the configuration says', 'Filling in zeros or reshaping would run another model.', 'Compare the tensors (`weightspec inspect`) with the configuration.'),
  PROGRAM_INVALID: entry('backends', 'The list of operations contradicts itself', 'Buffers of other widths than an op reads would be read past their end.', ours),
  OP_UNSUPPORTED: entry('backends', 'The backend lacks an operation for these weights', 'Leaving an operation out gives other text, not an error.', 'Use --backend auto or reference.'),
  WEIGHT_MISSING: entry('backends', 'An operation names a weight that was not handed over', 'There is nothing to compute with.', ours),
  WEIGHT_INVALID: entry('backends', 'A weight does not fit its operation', 'Bytes of another length or shape would be read past their end.', 'Run `weightspec validate --deep` on the file.'),
  STORAGE_UNSUPPORTED: entry('backends', 'The backend cannot read this element type', 'Bytes read as another type are noise.', 'Use --backend auto or reference.'),
  BACKEND_UNAVAILABLE: entry('backends', 'The backend asked for cannot start here', 'Falling back silently would measure or prove another backend than the one asked for.', 'Do what the message names, or use --backend auto.'),
  BACKEND_FAILED: entry('backends', 'The backend stopped while it ran', 'A file that was cut short while mapped, a device that was lost or memory that ran out leaves nothing to go on with.', 'Run the command again, or use --backend reference.'),
  LOGITS_NOT_FINITE: entry('run', 'The model computes numbers that are not finite', 'NaN has no likeliest token; any id that came out would look like an answer.', 'Run `weightspec validate --deep` on the file: it names the damaged weights.'),
  TOKENIZER_NO_SCORES: entry('tokenizers', 'This vocabulary has no scores, so it can decode but not encode', 'Without merge priorities a text has many spellings in tokens, and the model knows one.', 'Use a tokenizer.bin of August 2023 or later, or give ids with --tokens.'),
  TOKENIZER_NO_BYTE_TOKEN: entry('tokenizers', 'A character of the text is not in the vocabulary, and neither are its bytes', 'run.c reads outside its vocabulary here.', 'Leave the character out, or use the whole vocabulary.'),
} as const satisfies Record<RunnerCode, CodeEntry>;

export type CliCode = keyof typeof cliCodes;

/** A command cannot go on: exit code 2, no stack trace. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly hint: string;
  constructor(
    readonly code: CliCode,
    message: string,
    hint?: string,
  ) {
    super(message);
    this.hint = hint ?? cliCodes[code].hint;
  }
}

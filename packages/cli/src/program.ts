import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { reportFault } from './faults.js';
import { EXIT, wantsColor, type Terminal } from './terminal.js';
import { version } from './version.js';

/** An option's value as a whole number from `least` up. */
function wholeNumber(least: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`Expected a whole number from ${least} up.`);
    return value;
  };
}

function numberBetween(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most)) throw new InvalidArgumentError(`Expected a number from ${least} to ${most}.`);
    return value;
  };
}

/** Unsigned 64-bit and not 0, which the samplers' generator never gets away from. */
function seedValue(text: string): bigint {
  if (!/^\d+$/.test(text) || BigInt(text) === 0n || BigInt(text) >= 2n ** 64n) throw new InvalidArgumentError('Expected a whole number from 1 to 2^64 - 1.');
  return BigInt(text);
}

function tokenIds(text: string): readonly number[] {
  const parse = wholeNumber(0);
  return text.split(',').map((part) => parse(part.trim()));
}

/** An option that may be given several times. */
const moreTokenIds = (text: string, before: readonly (readonly number[])[] | undefined): readonly (readonly number[])[] => [...(before ?? []), tokenIds(text)];

/** A report's file; its ending is its format. */
function moreReportFiles(path: string, before: readonly string[] | undefined): readonly string[] {
  if (!/\.(json|sarif|html|xml|txt)$/i.test(path)) throw new InvalidArgumentError('Expected a name that ends in .json, .sarif, .html, .xml or .txt.');
  return [...(before ?? []), path];
}

/** Bytes: 500000, 500kB, 5GB. Powers of ten, as transformers reads them. */
function byteCount(text: string): number {
  const found = /^(\d+(?:\.\d+)?)\s*(k|M|G|T)?B?$/i.exec(text.trim());
  const power = ['', 'k', 'm', 'g', 't'].indexOf((found?.[2] ?? '').toLowerCase());
  const value = Math.floor(Number(found?.[1]) * 1000 ** power);
  if (!found || !Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Expected a number of bytes, such as 500MB or 5GB.');
  return value;
}

/** `2/5`: the second of five parts. */
function shardOf(text: string): { readonly index: number; readonly count: number } {
  const [index = 0, count = 0] = /^\d+\/\d+$/.test(text) ? text.split('/').map(Number) : [];
  if (index < 1 || index > count) throw new InvalidArgumentError('Expected a part of a whole, such as 1/4.');
  return { index, count };
}

/** Four ids, in the order of qwen.cpp's header. */
function qwenTokenIds(text: string): { readonly eos: number; readonly pad: number; readonly imStart: number; readonly imEnd: number } {
  const [eos, pad, imStart, imEnd, ...more] = tokenIds(text);
  if (eos === undefined || pad === undefined || imStart === undefined || imEnd === undefined || more.length > 0) throw new InvalidArgumentError('Expected four ids: eos,pad,im_start,im_end.');
  return { eos, pad, imStart, imEnd };
}

const downloadOption = () => new Option('--download', 'store the whole file where a server sends no ranges');

const backendOption = () => new Option('--backend <name>', 'what computes').choices(['auto', 'reference', 'wasm', 'native', 'webgpu']).default('auto');

const footer = `
Exit codes: 0 no errors, 1 errors found in a file, 2 wrong usage or I/O trouble.
Examples:
  weightspec validate model.bin --deep
  weightspec inspect https://example.org/model.bin
  weightspec run model.bin -p "Once upon a time" -t 0.8
  weightspec convert model.bin model-int8.bin --to llama2c-v2
  weightspec compare model-f16.bin model-q4_0.bin --html report.html
  weightspec explain LLAMA2C_BAD_MAGIC`;

/** Parses `argv`, loads the one command that it names, and returns its exit code. */
export async function runProgram(argv: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.ok;
  /** Commander parses; the command's module is imported only when it is the one. */
  const action = <A extends readonly unknown[]>(run: (...args: A) => Promise<number>) => async (...args: A) => {
    exitCode = await run(...args);
  };

  const program = new Command('weightspec')
    .description('Says what is wrong with an LLM weight file, where, and what to do; reads it and runs it.')
    .version(version())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.stdout.columns ?? 100,
      getErrHelpWidth: () => terminal.stderr.columns ?? 100,
      getOutHasColors: () => wantsColor(terminal.stdout, terminal.env),
      getErrHasColors: () => wantsColor(terminal.stderr, terminal.env),
    })
    .showSuggestionAfterError()
    .showHelpAfterError('(--help says what there is)')
    .addHelpText('after', footer);

  program
    .command('validate')
    .description('check files, folders or URLs; exit 1 when something is wrong')
    .argument('<target...>', 'files, folders, patterns such as models/**/*.bin, http(s) URLs, or - for standard input')
    .addOption(new Option('--format <format>', 'how to report').choices(['text', 'json', 'sarif', 'html', 'junit']).default('text'))
    .addOption(new Option('--report <file>', 'write a report too, by its ending: .json, .sarif, .html, .xml (JUnit), .txt; may be given several times').argParser(moreReportFiles))
    .option('--strict', 'count warnings as errors')
    .option('--quiet', 'text: print only errors; no progress')
    .option('--max-errors <n>', 'exit 1 only when there are more errors than this', wholeNumber(0), 0)
    .option('--max-warnings <n>', 'exit 1 when there are more warnings than this', wholeNumber(0))
    .option('--deep', 'read every tensor byte once')
    .option('--jobs <n>', 'files at once, in threads; the order of the output stays', wholeNumber(1), 1)
    .addOption(downloadOption())
    .option('--original <model>', 'what LMDeploy’s int8 export was made of, to compare every weight with')
    .action(action(async (targets: readonly string[], options) => (await import('./commands/validate.js')).validate(targets, options, terminal)));

  program
    .command('repair')
    .description('write a copy with what can be mended without guessing, and say what changed')
    .argument('<source>', 'a file, an .index.json beside its shards, an http(s) URL, or - for standard input')
    .argument('<destination>', 'the new file; never the source')
    .addOption(downloadOption())
    .action(action(async (source: string, destination: string, options) => (await import('./commands/repair.js')).repair(source, destination, options, terminal)));

  program
    .command('inspect')
    .description('print metadata and tensors; reads no tensor data')
    .argument('<target>', 'a file, a folder with one model, an http(s) URL, or - for standard input')
    .option('--json', 'print JSON')
    .addOption(downloadOption())
    .action(action(async (target: string, options) => (await import('./commands/inspect.js')).inspect(target, options, terminal)));

  program
    .command('run')
    .description('generate text: the text on stdout, speed on stderr')
    .argument('<model>', 'a model file, a folder with one, or an http(s) URL')
    .addOption(new Option('-p, --prompt <text>', 'what to go on from; may be empty').conflicts('tokens'))
    .option('-n, --count <n>', 'new tokens', wholeNumber(0), 256)
    .option('-t, --temperature <t>', '0 always takes the likeliest token', numberBetween(0, 1000), 0)
    .option('--top-p <p>', 'sample from the likeliest tokens that hold this probability', numberBetween(0, 1))
    .option('--top-k <k>', 'sample from the k likeliest tokens', wholeNumber(1))
    .option('-s, --seed <n>', 'of the sampler; chosen and printed when left out', seedValue)
    .option('--tokenizer <file>', 'vocabulary; looked for beside the model when left out')
    .option('--tokens <ids>', 'prompt as ids with commas, instead of -p', tokenIds)
    .option('--print-ids', 'print ids instead of text')
    .addOption(new Option('--chat', 'the prompt is a message to a chat model; prints its answer').conflicts('tokens'))
    .addOption(backendOption())
    .option('--threads <n>', 'for backends that have threads', wholeNumber(1))
    .option('--no-repack', 'native: use every weight where it lies in its file')
    .option('--verbose', 'say on stderr what computes each operation')
    .action(action(async (model: string, options) => (await import('./commands/run.js')).run(model, options, terminal)));

  program
    .command('logits')
    .description('write the logits after a sequence of tokens, as little-endian f32')
    .argument('<model>', 'a model file, a folder with one, or an http(s) URL')
    .option('--tokens <ids>', 'ids with commas', tokenIds)
    .option('--out <file>', 'where the rows go')
    .option('--all', 'one row a token, not only the last')
    .option('--golden <folder>', 'prompts to run, and the logits and ids that they must give')
    .option('--trace [file]', 'activations to compare with, or those of --golden; names the first that departs')
    .option('--trace-bound <b>', 'how far they may be off, relative to 1 and to themselves', numberBetween(0, 1), 1e-4)
    .addOption(new Option('--trace-order <order>', 'whose order q and k have in that file, if not the model’s').choices(['meta', 'hf']))
    .addOption(backendOption())
    .option('--threads <n>', 'for backends that have threads', wholeNumber(1))
    .action(action(async (model: string, options) => (await import('./commands/logits.js')).writeLogits(model, options, terminal)));

  program
    .command('convert')
    .description('write a model in another format; says first what would be lost')
    .argument('<source>', 'a model file, an index, a folder with one or with shards, or an http(s) URL')
    .argument('<destination>', 'a file, or a folder for weights and configuration')
    .addOption(new Option('--to <format>', 'what to write').choices(['llama2c-v0', 'llama2c-v1-int8', 'llama2c-v1-fp32', 'llama2c-v2', 'ggml-qwen', 'safetensors', 'torch']).makeOptionMandatory())
    .addOption(new Option('--dtype <type>', 'of the weights, where the format leaves a choice').choices(['f32', 'f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0']))
    .addOption(new Option('--rounding <whose>', 'of ggml-qwen blocks').choices(['ggml', 'torch']))
    .option('--group-size <n>', 'weights per scale in llama2.c int8 files', wholeNumber(1))
    .addOption(new Option('--compat <whose>', 'upstream: groups as export.py makes them, across rows').choices(['upstream']))
    .option('--max-seq-len <n>', 'positions, where the source states none (2048) or others are wanted', wholeNumber(1))
    .option('--shard-size <bytes>', 'most bytes of one safetensors or torch file, e.g. 5GB', byteCount)
    .addOption(new Option('--names <scheme>', 'tensor names of safetensors and torch files').choices(['meta', 'hf', 'qwen1']))
    .option('--token-ids <ids>', 'eos,pad,im_start,im_end of ggml-qwen', qwenTokenIds)
    .option('--no-migration-scales', 'leave those of a SmoothQuant export out, for loaders that stack q, k and v')
    .option('--allow-loss', 'write even what the format cannot hold entirely')
    .action(action(async (source: string, destination: string, options) => (await import('./commands/convert.js')).convert(source, destination, options, terminal)));

  program
    .command('compare')
    .description('say how far two models are apart, across formats and names, and why; exit 1 when they are different')
    .argument('<a>', 'a model, as convert takes it')
    .argument('<b>', 'another')
    .option('--json', 'print JSON')
    .option('--html <file>', 'write a page with a chart of the error by layer; a name in .svg gets the chart alone')
    .action(action(async (a: string, b: string, options) => (await import('./commands/compare.js')).compareModels(a, b, options, terminal)));

  program
    .command('smoothquant')
    .description('write LMDeploy’s int8 export of a model, from its activation statistics')
    .argument('<original>', 'a model, as convert takes it')
    .argument('<statistics>', 'inputs_stats.pth, or a safetensors file with the layers’ absmax')
    .argument('<destination>', 'a folder, or a file for the weights alone')
    .option('--alpha <a>', 'how much of the difficulty goes into the weights', numberBetween(0, 1), 0.5)
    .addOption(new Option('--to <format>', 'what to write').choices(['torch', 'safetensors']).default('torch'))
    .option('--shard-size <bytes>', 'most bytes of one file, e.g. 5GB', byteCount)
    .option('--no-migration-scales', 'leave them out, for loaders that stack q, k and v')
    .action(action(async (original: string, statistics: string, destination: string, options) => (await import('./commands/smoothquant.js')).smoothquant(original, statistics, destination, options, terminal)));

  program
    .command('calibrate')
    .description('run a model over a text and write its activation statistics')
    .argument('<model>', 'a model file, a folder with one, or an http(s) URL')
    .requiredOption('--out <file>', 'where the statistics go, e.g. inputs_stats.pth')
    .option('--text <file>', 'what to run the model over')
    .addOption(new Option('--tokens <ids>', 'a sequence as ids, instead of a text; may be given several times').argParser(moreTokenIds).conflicts('text'))
    .option('--tokenizer <file>', 'vocabulary; looked for beside the model when left out')
    .option('--samples <n>', 'sequences at most', wholeNumber(1), 128)
    .option('--seq-len <n>', 'tokens of a sequence at most; default 2048 or the model’s positions', wholeNumber(1))
    .addOption(backendOption())
    .option('--threads <n>', 'for backends that have threads', wholeNumber(1))
    .action(action(async (model: string, options) => (await import('./commands/calibrate.js')).calibrateModel(model, options, terminal)));

  program
    .command('web')
    .description('serve the page that validates, shows and runs files in a browser, to this machine only')
    .option('--port <n>', 'default 8741, or any that is free when that is taken', wholeNumber(0))
    .action(action(async (options) => (await import('./commands/web.js')).web(options, terminal)));

  program
    .command('conform')
    .description('run the conformance suite on this program or, with --adapter, on any other; exit 1 when a case fails')
    .argument('[suite...]', 'formats, codecs, ops, models, tokenizers, roundtrip, a case’s name, or a pattern with *')
    .option('--adapter <command>', 'test the program that this command starts, which speaks docs/conformance.md’s protocol')
    .option('--timeout <seconds>', 'for each answer of an adapter', wholeNumber(1), 60)
    .addOption(backendOption())
    .option('--threads <n>', 'for backends that have threads', wholeNumber(1))
    .option('--shard <i/n>', 'run part i of n', shardOf)
    .option('--expectations <file>', 'known failures, as JSON')
    .option('--json', 'print the report as JSON')
    .option('--junit <file>', 'write the report as JUnit XML too')
    .option('--list', 'print the names of the cases, and run none')
    .action(action(async (patterns: readonly string[], options) => (await import('./commands/conform.js')).conform(patterns, options, terminal)));

  program
    .command('explain')
    .description('say what a diagnostic code means and what to do')
    .argument('<code>')
    .action(action(async (code: string) => (await import('./commands/explain.js')).explain(code, terminal)));

  program
    .command('formats')
    .description('list the formats and their variants')
    .option('--json', 'print JSON')
    .action(action(async (options) => (await import('./commands/formats.js')).listFormats(options, terminal)));

  program
    .command('codes')
    .description('list every diagnostic code')
    .option('--json', 'print JSON')
    .action(action(async (options) => (await import('./commands/codes.js')).listCodes(options, terminal)));

  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has printed its own message. Its errors exit with 1, which here means a bad file.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.trouble;
    return reportFault(error, terminal);
  }
}

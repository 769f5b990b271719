import { mkdir, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { planConversion, runConversion, type ConversionFile, type ConversionOutputs, type ConversionPlan, type ConvertInput, type ConvertOptions, type QwenTokenIds, type Target } from '@weightspec/convert';
import { DiagnosticError, dtype, elementCount } from '@weightspec/core';
import { formats } from '@weightspec/formats';
import { atomicFileSet } from '@weightspec/io/node';
import { openConversionInput } from '../conversion-input.js';
import { CliError } from '../codes.js';
import { encoderPool } from '../encoder-pool.js';
import { diagnosticLine } from '../faults.js';
import { untilInterrupted } from '../interruption.js';
import { progressBar } from '../progress.js';
import { visible } from '../report/escape.js';
import { humanBytes } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';

export interface ConvertCommandOptions {
  readonly to: Target;
  readonly dtype?: string;
  readonly rounding?: 'ggml' | 'torch';
  readonly groupSize?: number;
  readonly compat?: 'upstream';
  readonly maxSeqLen?: number;
  /** Bytes. */
  readonly shardSize?: number;
  readonly names?: 'meta' | 'hf' | 'qwen1';
  readonly tokenIds?: QwenTokenIds;
  readonly allowLoss?: boolean;
  /** False leaves those of a SmoothQuant export out. */
  readonly migrationScales: boolean;
}

/** Says what would be lost, then writes all files or none. */
export async function convert(sourceTarget: string, destination: string, options: ConvertCommandOptions, terminal: Terminal): Promise<number> {
  const source = await openConversionInput(sourceTarget);
  const pool = wantsPool(options.to, source.input) ? encoderPool() : undefined;
  try {
    const plan = await planConversion(source.input, options.to, { ...planOptions(options), encoder: pool });
    const errors = plan.diagnostics.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) throw new DiagnosticError(errors);
    for (const diagnostic of plan.diagnostics) terminal.stderr.write(diagnosticLine(diagnostic));
    await writePlan(plan, source.paths, destination, terminal);
    return EXIT.ok;
  } finally {
    await pool?.close();
    await source.close();
  }
}

/** Writes all files of a plan or none, and prints their names and sizes. `protect`: files that must not be overwritten. */
export async function writePlan(plan: ConversionPlan, protect: readonly string[], destination: string, terminal: Terminal): Promise<void> {
  const outputs = await outputsFor(plan, destination, terminal);
  await writeAll(outputs, protect, destination, terminal);
  for (const { path, file } of outputs.files) terminal.stdout.write(`${visible(path)}  ${humanBytes((await stat(path)).size)}  ${file.kind}\n`);
}

/** Of the largest tensor: threads take some 100 MB together, which only a model with large tensors may (twice the largest and 100 MB), and pay only there. */
const POOL_ELEMENTS = 1 << 24;

function wantsPool(to: Target, { checkpoint }: ConvertInput): boolean {
  const encodes = to === 'ggml-qwen' || to === 'llama2c-v2' || to === 'llama2c-v1-int8';
  return encodes && checkpoint.tensors.some(({ shape }) => elementCount(shape) >= POOL_ELEMENTS);
}

const planOptions = ({ dtype: type, rounding, groupSize, compat, maxSeqLen, shardSize: shardBytes, names, tokenIds, allowLoss, migrationScales }: ConvertCommandOptions): ConvertOptions => (
  { dtype: type === undefined ? undefined : dtype(type), rounding, groupSize, compat, maxSeqLen, shardBytes, names, tokenIds, allowLoss, migrationScales }
);

interface Outputs {
  readonly plan: ConversionPlan;
  /** The folder that has to be there. */
  readonly folder: string;
  readonly files: readonly { readonly file: ConversionFile; readonly path: string }[];
}

/**
 * Where the files go: a destination that names a file takes the weights alone, any other is a folder for all of them.
 * Throws CliError (CLI_NEEDS_FOLDER) when there are several files of weights for the one that is named.
 */
async function outputsFor(plan: ConversionPlan, destination: string, { stderr }: Terminal): Promise<Outputs> {
  const endings = new Set(formats.flatMap(({ extensions }) => extensions));
  const existing = await stat(destination).catch(() => undefined);
  const isFile = !/[/\\]$/.test(destination) && !existing?.isDirectory() && (endings.has(extname(destination).toLowerCase()) || existing !== undefined || plan.files.length === 1);
  if (!isFile) return { plan, folder: destination, files: plan.files.map((file) => ({ file, path: join(destination, file.name) })) };
  const weights = plan.files.filter(({ kind }) => kind === 'weights');
  const [only] = weights;
  if (!only || weights.length > 1) throw new CliError('CLI_NEEDS_FOLDER', `${destination} names a file, and the result is ${plan.files.length} files`);
  const configuration = plan.files.find(({ kind }) => kind === 'config');
  if (configuration) stderr.write(`${configuration.name} is not written: ${visible(destination)} names a file. Name a folder to have both.\n`);
  return { plan: { ...plan, files: [only] }, folder: dirname(destination), files: [{ file: only, path: destination }] };
}

async function writeAll({ plan, folder, files }: Outputs, protect: readonly string[], destination: string, terminal: Terminal): Promise<void> {
  const paths = new Map(files.map(({ file, path }) => [file, path]));
  const bar = progressBar(basename(destination), terminal);
  // The parent of a named file has to be there already: a misspelt path must not make folders.
  const made = files.some(({ path }) => path === destination) ? undefined : await mkdir(folder, { recursive: true });
  let done = false;
  const set = atomicFileSet({ protect });
  const outputs: ConversionOutputs = { open: (file) => set.open(paths.get(file)!), commit: () => set.commit(), abort: () => set.abort() };
  /** A process that was interrupted ends when this is over, so that it tidies up here. */
  const work = async (signal: AbortSignal): Promise<void> => {
    try {
      await runConversion(plan, outputs, { progress: bar.progress, signal });
      done = true;
    } finally {
      bar.stop();
      if (!done) {
        if (made !== undefined) await removeEmpty(folder, made);
        terminal.stderr.write('nothing was written\n');
      }
    }
  };
  await untilInterrupted(work);
}

/** The folders from `folder` up to `first`, which were made for the output. One that others have begun to use stays. */
async function removeEmpty(folder: string, first: string): Promise<void> {
  for (let path = resolve(folder); path.startsWith(resolve(first)); path = dirname(path)) await rmdir(path).catch(() => undefined);
}

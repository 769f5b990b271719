import { codecOf } from '@weightspec/codecs';
import { DiagnosticError, readTensor } from '@weightspec/core';
import { compareTrace, describeDeparture, EngineError, logits, type TraceComparison } from '@weightspec/engine';
import { open } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import type { BackendChoice } from '../backends.js';
import { CliError } from '../codes.js';
import { readGoldenFolder, type GoldenFolder } from '../golden-folder.js';
import { assertTokens, withModel, type ReadyModel } from '../loading.js';
import { visible } from '../report/escape.js';
import { counted } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';
import { writeWholeFile } from '../whole-file.js';

export interface LogitsCommandOptions extends BackendChoice {
  readonly tokens?: readonly number[];
  readonly out?: string;
  readonly all?: boolean;
  /** Folder with prompts and what they must give. */
  readonly golden?: string;
  /** File with activations to compare with; true: those of the golden. */
  readonly trace?: string | true;
  readonly traceBound?: number;
  readonly traceOrder?: 'meta' | 'hf';
}

/** Writes logits to `out`, compares them with a golden's, compares activations with those of `trace`, or all of it. Exit code 1 when one departs. */
export async function writeLogits(target: string, options: LogitsCommandOptions, terminal: Terminal): Promise<number> {
  const { tokens, out, golden, trace } = options;
  const wrong = misuse(options);
  if (wrong !== undefined) {
    terminal.stderr.write(`error: ${wrong}\n`);
    return EXIT.trouble;
  }
  return withModel(target, { ...options, exact: true }, terminal, async (ready) => {
    const { model } = ready;
    if (tokens) assertTokens(tokens, model);
    if (tokens && out !== undefined) await writeRows(ready, tokens, options, out, terminal);
    const found = golden === undefined ? undefined : await readGoldenFolder(golden, ready.path);
    const departs = found !== undefined && !(await agrees(ready, found, terminal));
    const traced = await tracedBy(ready, options, found, terminal);
    if (departs && trace === undefined && found?.trace) terminal.stdout.write('add --trace to find the first operation that departs\n');
    return departs || traced === 'departs' ? EXIT.invalid : EXIT.ok;
  });
}

/** What is missing in a command line, or contradicts itself. */
function misuse({ tokens, out, golden, trace }: LogitsCommandOptions): string | undefined {
  if (out === undefined && trace === undefined && golden === undefined) return 'say where the rows go with --out FILE, or what to compare with by --trace FILE or --golden FOLDER';
  if (tokens === undefined && (out !== undefined || typeof trace === 'string')) return 'say what to run with --tokens IDS';
  if (trace === true && golden === undefined) return 'name the file of activations after --trace, or the folder that has one with --golden';
  return undefined;
}

/** Compares activations, where that was asked for: of `tokens` with those in a file, or of a golden's prompt with the golden's. */
async function tracedBy(ready: ReadyModel, options: LogitsCommandOptions, golden: GoldenFolder | undefined, terminal: Terminal): Promise<'agrees' | 'departs' | undefined> {
  const { tokens = [], trace } = options;
  if (typeof trace === 'string') return traceAgainst(ready, tokens, options, trace, terminal);
  if (trace === undefined || !golden) return undefined;
  if (!golden.trace) throw new CliError('CLI_BAD_GOLDEN', `${options.golden} has no activations for ${ready.path}`);
  // Goldens of Llamas are in Meta's order, whichever file holds the model.
  const traceOrder = options.traceOrder ?? (ready.model.config.architecture === 'llama' ? 'meta' : 'hf');
  return traceAgainst(ready, golden.trace.tokens, { ...options, traceOrder }, golden.trace.path, terminal);
}

/** Whether every prompt of a golden gives its logits and greedy ids; prints the worst difference of each. */
async function agrees({ model, backend, checkpoint }: ReadyModel, golden: GoldenFolder, { stdout }: Terminal): Promise<boolean> {
  const { vocabSize } = model.program;
  if (vocabSize !== golden.vocabSize) throw new CliError('CLI_BAD_GOLDEN', `the golden has a vocabulary of ${golden.vocabSize}, and the model one of ${vocabSize}`);
  const storages = [...checkpoint.tensors.map(({ dtype }) => dtype.name), ...(checkpoint.packed ?? []).map(({ scheme }) => scheme)];
  const rounds = storages.some((storage) => backend.activationBlock?.(storage) !== undefined);
  const allowed = golden.tolerance + (rounds ? golden.int8Tolerance : 0);
  let all = true;
  for (const [index, { tokens, greedyIds, logits: expected }] of golden.prompts.entries()) {
    assertTokens(tokens, model);
    const rows = await logits(model, [...tokens, ...greedyIds.slice(0, -1)], { all: true });
    const worst = expected?.reduce((most, value, i) => Math.max(most, Math.abs(value - (rows[i] ?? Number.NaN))), 0) ?? 0;
    const ids = greedyIds.map((_, step) => likeliest(rows.subarray((tokens.length - 1 + step) * vocabSize, (tokens.length + step) * vocabSize)));
    const wrong = greedyIds.findIndex((id, step) => ids[step] !== id);
    const near = worst <= allowed;
    // Where logits are known, they decide: two that are nearly equal may change places.
    const fits = near && (expected !== undefined || wrong < 0);
    all &&= fits;
    const about = expected ? `${counted(expected.length / vocabSize, 'row')} of logits ${near ? 'within' : 'off by up to'} ${near ? allowed : worst}` : '';
    const greedy = wrong < 0 ? `${counted(ids.length, 'greedy id')} equal` : `greedy id ${wrong} is ${ids[wrong]}, not ${greedyIds[wrong]}`;
    stdout.write(`prompt ${index}: ${fits ? '' : 'DEPARTS, '}${[about, greedy].filter(Boolean).join(', ')}\n`);
  }
  return all;
}

const likeliest = (row: Float32Array): number => row.reduce((best, value, id) => (value > row[best]! ? id : best), 0);

/**
 * Writes one row of vocabSize little-endian f32 (or, with --all, one a token) to `out`, all or nothing. Throws EngineError
 * (LOGITS_NOT_FINITE), as generating does, before anything is written.
 */
async function writeRows({ path, model }: ReadyModel, tokens: readonly number[], { all }: LogitsCommandOptions, out: string, { stderr }: Terminal): Promise<void> {
  const rows = await logits(model, tokens, { all });
  const { vocabSize } = model.program;
  const bad = rows.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new EngineError('LOGITS_NOT_FINITE', `row ${Math.floor(bad / vocabSize)} has ${rows[bad]} for token ${bad % vocabSize}: the weights are damaged, or the model overflows f32`);
  await writeWholeFile(out, littleEndian(rows), [path]);
  stderr.write(`${counted(rows.length / vocabSize, 'row')} of ${vocabSize} f32 to ${visible(out)} (${model.backendId})\n`);
}

/** Prints whether the activations agree with those in `file`, or which is the first that does not. */
async function traceAgainst({ model }: ReadyModel, tokens: readonly number[], { traceBound: bound, traceOrder: ropeOrder }: LogitsCommandOptions, file: string, { stdout }: Terminal): Promise<'agrees' | 'departs'> {
  const golden = await readActivations(file);
  let comparison: TraceComparison;
  try {
    comparison = await compareTrace(model, tokens, golden, { bound, ropeOrder });
  } catch (error) {
    if (error instanceof RangeError) throw new CliError('CLI_BAD_TRACE', `${file}: ${error.message}`);
    throw error;
  }
  const { compared, departure } = comparison;
  stdout.write(departure ? `${describeDeparture(departure)}\n` : `${counted(compared.length, 'activation')} agree, ${compared[0]} to ${compared.at(-1)}\n`);
  return departure ? 'departs' : 'agrees';
}

/** Every tensor of a file as f32. Throws DiagnosticError for a damaged file, CliError for one that holds no floats. */
async function readActivations(path: string): Promise<Map<string, Float32Array>> {
  const source = await openSource(path);
  try {
    const { checkpoint, diagnostics } = await open(source);
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!checkpoint || errors.length > 0) throw new DiagnosticError(errors);
    const activations = new Map<string, Float32Array>();
    for (const tensor of checkpoint.tensors) {
      if (!['F32', 'F16', 'BF16'].includes(tensor.dtype.name)) throw new CliError('CLI_BAD_TRACE', `${path}: ${tensor.name} is ${tensor.dtype.name}, not F32, F16 or BF16`);
      activations.set(tensor.name, codecOf(tensor.dtype).dequantize(await readTensor(tensor)));
    }
    return activations;
  } finally {
    await source.close();
  }
}

/** f32 values as bytes in file order, whatever this machine's byte order. */
export function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return bytes;
}

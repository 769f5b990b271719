import { codecOf } from '@weightspec/codecs';
import { DiagnosticError, readTensor } from '@weightspec/core';
import { compareTrace, describeDeparture, EngineError, logits, type TraceComparison } from '@weightspec/engine';
import { open } from '@weightspec/formats';
import { atomicFileSink, openSource } from '@weightspec/io/node';
import type { BackendChoice } from '../backends.js';
import { CliError } from '../codes.js';
import { isUrl } from '../folders.js';
import { assertTokens, withModel, type ReadyModel } from '../loading.js';
import { visible } from '../report/escape.js';
import { counted } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';

export interface LogitsCommandOptions extends BackendChoice {
  readonly tokens: readonly number[];
  readonly out?: string;
  readonly all?: boolean;
  /** File with activations to compare with. */
  readonly trace?: string;
  readonly traceBound?: number;
  readonly traceOrder?: 'meta' | 'hf';
}

/** Writes logits to `out`, compares activations with those of `trace`, or both. Exit code 1 when one departs. */
export async function writeLogits(target: string, options: LogitsCommandOptions, terminal: Terminal): Promise<number> {
  if (options.out === undefined && options.trace === undefined) {
    terminal.stderr.write('error: say where the rows go with --out FILE, or what to compare with by --trace FILE\n');
    return EXIT.trouble;
  }
  return withModel(target, options, terminal, async (ready) => {
    assertTokens(options.tokens, ready.model);
    if (options.out !== undefined) await writeRows(ready, options, options.out, terminal);
    return options.trace === undefined ? EXIT.ok : traceAgainst(ready, options, options.trace, terminal);
  });
}

/**
 * Writes one row of vocabSize little-endian f32 (or, with --all, one a token) to `out`, all or nothing. Throws EngineError
 * (LOGITS_NOT_FINITE), as generating does, before anything is written.
 */
async function writeRows({ path, model }: ReadyModel, { tokens, all }: LogitsCommandOptions, out: string, { stderr }: Terminal): Promise<void> {
  const rows = await logits(model, tokens, { all });
  const { vocabSize } = model.program;
  const bad = rows.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new EngineError('LOGITS_NOT_FINITE', `row ${Math.floor(bad / vocabSize)} has ${rows[bad]} for token ${bad % vocabSize}: the weights are damaged, or the model overflows f32`);
  // The model may come from a URL, which no file can overwrite.
  const sink = await atomicFileSink(out, { protect: isUrl(path) ? [] : [path] });
  try {
    await sink.write(littleEndian(rows));
    await sink.commit();
  } finally {
    await sink.abort();
  }
  stderr.write(`${counted(rows.length / vocabSize, 'row')} of ${vocabSize} f32 to ${visible(out)} (${model.backendId})\n`);
}

/** Prints whether the activations agree with those in `file`, or which is the first that does not. */
async function traceAgainst({ model }: ReadyModel, { tokens, traceBound: bound, traceOrder: ropeOrder }: LogitsCommandOptions, file: string, { stdout }: Terminal): Promise<number> {
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
  return departure ? EXIT.invalid : EXIT.ok;
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

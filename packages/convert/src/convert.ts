/**
 * Conversion as one recipe: a source becomes a decoder's weights by Meta's names (logical-model), these become tensors under the
 * target's names (recipes), and the target's own writer streams them. Nothing here knows a pair of formats.
 */
import type { ByteSink, Diagnostic, Progress } from '@weightspec/core';
import { ModelError, withoutMigrationScales } from '@weightspec/models';
import { isLoss } from './codes.js';
import { isBlocked, reporter } from './losses.js';
import { logicalModel, type ConvertInput, type LogicalModel } from './logical-model.js';
import type { ConversionFile, ConversionPlan, ConvertOptions, Target } from './options.js';
import { folderFiles } from './targets/folder.js';
import { ggmlQwenFiles } from './targets/ggml-qwen.js';
import { llama2cFiles } from './targets/llama2c.js';

const llama2cVariants = { 'llama2c-v0': 'v0', 'llama2c-v1-int8': 'v1-int8', 'llama2c-v1-fp32': 'v1-fp32', 'llama2c-v2': 'v2' } as const;

/**
 * What converting `input` to `target` will write, and what it would lose. Reads no tensor bytes, but for comparing the classifier
 * with the embedding where both are there. Throws ModelError for a source whose model is not known or not whole, DiagnosticError for
 * what the target's writer refuses, RangeError for options that make no sense.
 */
export async function planConversion(input: ConvertInput, target: Target, options: ConvertOptions = {}): Promise<ConversionPlan> {
  const report = reporter(input.checkpoint.tensors[0]?.location.source.name ?? input.checkpoint.format);
  const files = await filesFor(adjusted(input, options), target, options, report);
  const blocked = isBlocked(report, options.allowLoss);
  const diagnostics = report.found.map((diagnostic): Diagnostic => (options.allowLoss && isLoss(diagnostic) ? { ...diagnostic, severity: 'warning' } : diagnostic));
  return { target, diagnostics: diagnostics.toSorted((a, b) => Number(isLoss(b)) - Number(isLoss(a))), files: blocked ? [] : files };
}

/** The source as the options want it to be seen. */
function adjusted({ checkpoint, beside }: ConvertInput, { maxSeqLen, migrationScales = true }: ConvertOptions): ConvertInput {
  return {
    checkpoint: migrationScales ? checkpoint : withoutMigrationScales(checkpoint),
    beside: maxSeqLen === undefined ? beside : { ...beside, maxSeqLen },
  };
}

async function filesFor(input: ConvertInput, target: Target, options: ConvertOptions, report: ReturnType<typeof reporter>): Promise<readonly ConversionFile[]> {
  if (target === 'safetensors' || target === 'torch') return folderFiles(input, knownModel(input, options), target, options, report);
  const model = logicalModel(input);
  if (target === 'ggml-qwen') return ggmlQwenFiles(input, model, options, report);
  return llama2cFiles(input, model, llama2cVariants[target], options, report);
}

/** The source's model, or undefined where it is not known and its tensors can be copied under the names that they have. */
function knownModel(input: ConvertInput, { names }: ConvertOptions): LogicalModel | undefined {
  try {
    return logicalModel(input);
  } catch (error) {
    const needed = names !== undefined || (input.checkpoint.packed ?? []).length > 0;
    if (needed || !(error instanceof ModelError)) throw error;
    return undefined;
  }
}

/** Where the files of a plan go, such as io's atomicFileSet. */
export interface ConversionOutputs {
  /** Called in the order of the plan. Nothing shows before `commit`. */
  open(file: ConversionFile): Promise<ByteSink>;
  /** Shows all files or none. */
  commit(): Promise<void>;
  /** Does nothing after `commit`. */
  abort(): Promise<void>;
}

export interface RunOptions {
  readonly progress?: Progress;
  /** Aborting it leaves nothing behind; `runConversion` then throws its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Writes the files of a plan, then shows them all. When anything fails, none appears. Memory: a few megabytes, one head of q or k, or
 * one tensor that is a transposed view.
 */
export async function runConversion({ files }: ConversionPlan, outputs: ConversionOutputs, { progress, signal }: RunOptions = {}): Promise<void> {
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let before = 0;
  try {
    for (const file of files) {
      signal?.throwIfAborted();
      const sink = await outputs.open(file);
      const already = before;
      await file.write({
        get position() {
          return sink.position;
        },
        async write(chunk) {
          signal?.throwIfAborted();
          await sink.write(chunk);
          progress?.(Math.min(total, already + Math.min(sink.position, file.byteLength)), total);
        },
      });
      before += file.byteLength;
    }
    signal?.throwIfAborted();
    await outputs.commit();
  } finally {
    await outputs.abort();
  }
}

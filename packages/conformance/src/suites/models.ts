/** `models`: logits of prompts and of their greedy continuations, the greedy ids themselves, and activations on the way. */
import type { ModelCase, ModelInput, Tolerance } from '../case.js';
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFiles } from '../files.js';
import type { RunningModel, Subject } from '../subject.js';
import { assertCount, assertWithin, littleEndianF64 } from './numbers.js';

/** How the matrices of a file are stored. */
export function storageOf({ format, variant }: ModelInput): string {
  if (format === 'ggml-qwen') return variant.toUpperCase();
  if (format === 'llama2c' && /int8|v2/.test(variant)) return 'llama2c-q8';
  return 'F32';
}

/** What numbers may be off: the tolerance, and for engines that round activations to int8 what the case adds for those. */
export function allowedDifference({ absolute = 0, int8Activations }: Tolerance, roundsActivations: boolean): number {
  return absolute + (roundsActivations ? (int8Activations?.absolute ?? 0) : 0);
}

export async function runModelCase({ inputs, expected, tolerance }: ModelCase, subject: Subject, files: CaseFiles): Promise<void> {
  if (!subject.load) throw new Unsupported('it does not run models');
  const { open, files: paths, beside, ...model } = inputs.model;
  const besideFiles = Object.fromEntries(Object.entries(beside).map(([role, path]) => [role, files.file(path)]));
  // All of them are checked, since an outside program opens them itself.
  for (const path of [...paths, ...Object.values(beside)]) await files.file(path).bytes();
  const running = await subject.load({ ...model, open: files.file(open), files: paths.map((path) => files.file(path)), beside: besideFiles });
  try {
    if ('trace' in expected) await compareActivations(running, inputs.tokens, expected.trace, files);
    else await compareLogits(running, inputs.tokens, expected, allowedDifference(tolerance ?? { derivation: '' }, subject.int8Activations?.(storageOf(inputs.model)) === true), files);
  } finally {
    await running.close();
  }
}

async function compareActivations(running: RunningModel, tokens: readonly number[], trace: string, files: CaseFiles): Promise<void> {
  if (!running.departure) throw new Unsupported('it does not show its activations');
  const departure = await running.departure(tokens, files.file(trace));
  if (departure !== undefined) throw new ConformanceError('CONFORM_TRACE', departure);
}

async function compareLogits(running: RunningModel, prompt: readonly number[], { logits, greedyIds }: Exclude<ModelCase['expected'], { readonly trace: string }>, allowed: number, files: CaseFiles): Promise<void> {
  const tokens = [...prompt, ...greedyIds.slice(0, -1)];
  const actual = await running.logits(tokens, prompt.length);
  const vocabSize = logits?.vocabSize ?? actual.length / tokens.length;
  const golden = logits && littleEndianF64(await files.file(logits.file).bytes(), logits.firstRow * vocabSize, logits.rows * vocabSize);
  assertCount(actual, golden?.length ?? tokens.length * Math.ceil(vocabSize));
  if (golden) assertWithin('CONFORM_LOGITS', actual, golden, () => allowed, (i) => `after token ${Math.floor(i / vocabSize)} the logit of id ${i % vocabSize}`);
  greedyIds.forEach((id, step) => {
    const row = prompt.length - 1 + step;
    const span: readonly [number, number] = [row * vocabSize, (row + 1) * vocabSize];
    // Where the golden lead is within what both may be off, either id is right.
    if (golden && leadOf(golden.subarray(...span), id) <= 2 * allowed) return;
    const likeliest = argmax(actual.subarray(...span));
    if (likeliest !== id) throw new ConformanceError('CONFORM_GREEDY', `greedy id ${step} is ${likeliest}, not ${id}`);
  });
}

const leadOf = (row: Float64Array, id: number): number => row.reduce((lead, value, other) => (other === id ? lead : Math.min(lead, row[id]! - value)), Number.POSITIVE_INFINITY);

/** The first of the largest. */
function argmax(row: Float32Array): number {
  let best = 0;
  row.forEach((value, i) => {
    if (value > row[best]!) best = i;
  });
  return best;
}

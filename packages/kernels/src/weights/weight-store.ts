import type { Program, WeightMap } from '@weightspec/core';
import { BackendError } from '../errors.js';
import { weightHandles } from './handles.js';
import { storageOf } from './storage.js';
import { Scratch, Weight } from './weight.js';

export const DEFAULT_MEMORY_BUDGET_BYTES = 2 * 2 ** 30;
/** Longer parts stay in their source whatever the budget: engines limit one array to 2–4 GiB. */
const LONGEST_RESIDENT_BYTES = 2 ** 31 - 1;

/** The weights of a program: in memory, in their file's element type, as far as the budget goes; the rest read again at each use. */
export interface WeightStore {
  readonly residentBytes: number;
  readonly streamedBytes: number;
  weight(name: string): Weight;
}

/**
 * Vectors (norms, biases) are always kept, being small and wanted by every token; then matrices in the program's order as
 * long as they fit. Throws BackendError: WEIGHT_MISSING naming all, WEIGHT_INVALID, STORAGE_UNSUPPORTED.
 */
export async function openWeightStore(program: Program, weights: WeightMap, budgetBytes = DEFAULT_MEMORY_BUDGET_BYTES): Promise<WeightStore> {
  const scratch = new Scratch();
  const handles = weightHandles(program, weights);
  const opened = new Map(program.weights.map(({ name }, index) => [name, new Weight(handles[index]!, storageOf(handles[index]!), scratch)]));
  let residentBytes = 0;
  let streamedBytes = 0;
  const vectorsFirst = [...opened.values()].toSorted((a, b) => Number(a.rows > 1) - Number(b.rows > 1));
  for (const weight of vectorsFirst) {
    const fits = residentBytes + weight.byteLength <= budgetBytes && weight.byteLength <= LONGEST_RESIDENT_BYTES;
    if (weight.rows === 1 || fits) {
      await weight.load();
      residentBytes += weight.byteLength;
    } else {
      streamedBytes += weight.byteLength;
    }
  }
  return {
    residentBytes,
    streamedBytes,
    weight(name) {
      const weight = opened.get(name);
      if (!weight) throw new BackendError('WEIGHT_MISSING', `the program does not declare ${JSON.stringify(name)}`);
      return weight;
    },
  };
}

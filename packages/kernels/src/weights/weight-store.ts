import type { Program, WeightMap } from '@weightspec/core';
import { sameShape } from '../check-program.js';
import { BackendError } from '../errors.js';
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
  const opened = openAll(program, weights);
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

function openAll(program: Program, weights: WeightMap): Map<string, Weight> {
  const missing = program.weights.filter(({ name }) => !weights.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw new BackendError('WEIGHT_MISSING', `the program needs ${missing.join(', ')}`);
  const scratch = new Scratch();
  const opened = new Map<string, Weight>();
  for (const { name, shape } of program.weights) {
    const handle = weights.get(name)!;
    const wanted = `weight ${name} is [${handle.shape.join(', ')}] where the program needs [${shape.join(', ')}]`;
    if (!sameShape(handle.shape, shape)) throw new BackendError('WEIGHT_INVALID', wanted);
    if (shape.length < 1 || shape.length > 2) throw new BackendError('WEIGHT_INVALID', `weight ${name} has ${shape.length} dimensions, not 1 or 2`);
    opened.set(name, new Weight(handle, storageOf(handle), scratch));
  }
  return opened;
}

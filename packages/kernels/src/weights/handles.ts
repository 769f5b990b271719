import type { Program, WeightHandle, WeightMap } from '@weightspec/core';
import { sameShape } from '../check-program.js';
import { BackendError } from '../errors.js';

/**
 * The handle of each weight that the program declares, in its order, every one a vector or a matrix of the declared shape.
 * Throws BackendError: WEIGHT_MISSING naming all, WEIGHT_INVALID.
 */
export function weightHandles(program: Program, weights: WeightMap): readonly WeightHandle[] {
  const missing = program.weights.filter(({ name }) => !weights.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw new BackendError('WEIGHT_MISSING', `the program needs ${missing.join(', ')}`);
  return program.weights.map(({ name, shape }) => {
    const handle = weights.get(name)!;
    if (!sameShape(handle.shape, shape)) throw new BackendError('WEIGHT_INVALID', `weight ${name} is [${handle.shape.join(', ')}] where the program needs [${shape.join(', ')}]`);
    if (shape.length < 1 || shape.length > 2) throw new BackendError('WEIGHT_INVALID', `weight ${name} has ${shape.length} dimensions, not 1 or 2`);
    return handle;
  });
}

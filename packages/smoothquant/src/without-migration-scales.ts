import type { Checkpoint } from '@weightspec/core';

const SUFFIX = '.migration_scale';

/** The same model without its migration scales, which are fused already: for loaders that stack q, k and v (specs/smoothquant#S-1.6). Reads nothing. */
export function withoutMigrationScales(checkpoint: Checkpoint): Checkpoint {
  return { ...checkpoint, tensors: checkpoint.tensors.filter(({ name }) => !name.endsWith(SUFFIX)) };
}

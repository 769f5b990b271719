/**
 * LMDeploy's int8 linear layers among plain tensors: `L.weight` in I8 with `L.scale`, one f32 a row (specs/smoothquant#S-1.1).
 * Whether they keep what else the specification says is for @weightspec/smoothquant to check.
 */
import type { Checkpoint, PackedTensor, TensorInfo } from '@weightspec/core';

const WEIGHT = '.weight';

/** The weights that such pairs stand for, in the order of `tensors`; `L.migration_scale` is no part of them (S-1.3). */
export function lmdeployInt8Weights(tensors: readonly TensorInfo[]): PackedTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return tensors.flatMap(({ name, dtype, shape }) => {
    if (dtype.name !== 'I8' || shape.length !== 2 || !name.endsWith(WEIGHT)) return [];
    const scale = byName.get(`${name.slice(0, -WEIGHT.length)}.scale`);
    if (scale?.dtype.name !== 'F32' || scale.shape.join() !== `${shape[0]},1`) return [];
    return [{ name, scheme: 'lmdeploy-int8', shape, parts: { values: name, scales: scale.name } }];
  });
}

/** The same model without its migration scales, which are fused already: for loaders that stack q, k and v (specs/smoothquant#S-1.6). Reads nothing. */
export function withoutMigrationScales(checkpoint: Checkpoint): Checkpoint {
  return { ...checkpoint, tensors: checkpoint.tensors.filter(({ name }) => !name.endsWith('.migration_scale')) };
}

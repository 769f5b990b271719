import type { Checkpoint, Program, WeightHandle, WeightMap } from '@weightspec/core';
import type { DecoderConfig } from './decoder-config.js';
import { ModelError } from './errors.js';
import { llamaProgram } from './llama.js';
import { schemes } from './schemes/index.js';

/** What a backend needs to run a checkpoint. */
export interface Model {
  readonly config: DecoderConfig;
  readonly program: Program;
  /** By the program's names. */
  readonly weights: WeightMap;
}

/**
 * The model that a checkpoint holds. Reads no tensor bytes. Tensors that no op wants (v0's freq tables) are left alone.
 * Throws ModelError: MODEL_UNKNOWN_FORMAT, MODEL_CONFIG, or MODEL_WEIGHTS listing every missing tensor and wrong shape.
 */
export function modelOf(checkpoint: Checkpoint): Model {
  const scheme = schemes.find(({ format }) => format === checkpoint.format);
  if (!scheme) throw new ModelError('MODEL_UNKNOWN_FORMAT', [`no model is known for the format ${JSON.stringify(checkpoint.format)}; known: ${schemes.map(({ format }) => format).join(', ')}`]);
  const config = scheme.configOf(checkpoint);
  const program = llamaProgram(config);

  const handles = weightHandles(checkpoint);
  const problems: string[] = [];
  const weights = new Map<string, WeightHandle>();
  for (const { name, shape } of program.weights) {
    const stored = scheme.nameOf(name);
    const handle = handles.get(stored);
    if (!handle) problems.push(`there is no tensor ${stored}`);
    else if (handle.shape.join() !== shape.join()) problems.push(`${stored} is [${handle.shape.join(', ')}], not [${shape.join(', ')}]`);
    else weights.set(name, { ...handle, name });
  }
  if (problems.length > 0) throw new ModelError('MODEL_WEIGHTS', problems);
  return { config, program, weights };
}

/** Every weight of the checkpoint by name: packed ones as a whole, the tensors that are no part of one as they are. */
export function weightHandles(checkpoint: Checkpoint): Map<string, WeightHandle> {
  const handles = new Map<string, WeightHandle>();
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of checkpoint.tensors) {
    handles.set(tensor.name, { name: tensor.name, shape: tensor.shape, storage: tensor.dtype.name, parts: { values: tensor } });
  }
  for (const { name, scheme: storage, shape, parts, groupSize } of checkpoint.packed ?? []) {
    const found = Object.entries(parts).flatMap(([role, tensorName]) => {
      const tensor = tensors.get(tensorName);
      if (!tensor) throw new ModelError('MODEL_WEIGHTS', [`${name} names ${tensorName} as its ${role}, and there is no such tensor`]);
      return [[role, tensor] as const];
    });
    handles.set(name, { name, shape, storage, parts: Object.fromEntries(found), groupSize });
  }
  return handles;
}

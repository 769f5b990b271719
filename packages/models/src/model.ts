import type { Checkpoint, Program, WeightHandle, WeightMap } from '@weightspec/core';
import { decoderProgram } from './decoder.js';
import type { DecoderConfig } from './decoder-config.js';
import { describeModel, type BesideModel } from './describe.js';
import { ModelError } from './errors.js';
import { lmdeployInt8Weights } from './lmdeploy-int8.js';
import { storedName } from './names.js';
import { sliceRows } from './weight-views.js';

/** What a backend needs to run a checkpoint. */
export interface Model {
  readonly config: DecoderConfig;
  readonly program: Program;
  /** By the program's names. */
  readonly weights: WeightMap;
  /** Ids that end a text. */
  readonly stopTokens: readonly number[];
}

/**
 * The model that a checkpoint holds. Reads no tensor bytes. Tensors that no op wants (v0's freq tables) are left alone.
 * `beside`: what lies beside a file of tensors alone. Throws ModelError: MODEL_UNKNOWN_FORMAT, MODEL_CONFIG, or MODEL_WEIGHTS listing
 * every missing tensor and wrong shape.
 */
export function modelOf(checkpoint: Checkpoint, beside?: BesideModel): Model {
  const { config, names, stopTokens } = describeModel(checkpoint, beside);
  const program = decoderProgram(config);

  const handles = weightHandles(checkpoint);
  const problems: string[] = [];
  const weights = new Map<string, WeightHandle>();
  for (const { name, shape } of program.weights) {
    const stored = storedName(name, names);
    const handle = handles.get(stored.name);
    const wanted = stored.third === undefined ? shape : [3 * shape[0]!, ...shape.slice(1)];
    if (!handle) problems.push(`there is no tensor ${stored.name}`);
    else if (handle.shape.join() !== wanted.join()) problems.push(`${stored.name} is [${handle.shape.join(', ')}], not [${wanted.join(', ')}]`);
    else weights.set(name, stored.third === undefined ? { ...handle, name } : thirdOf(handle, name, stored.third));
  }
  if (problems.length > 0) throw new ModelError('MODEL_WEIGHTS', [...new Set(problems)]);
  return { config, program, weights, stopTokens };
}

/** One third of a weight's rows, still in its source. */
function thirdOf(handle: WeightHandle, name: string, third: number): WeightHandle {
  const { values, ...others } = handle.parts;
  const rows = handle.shape[0]! / 3;
  if (values && handle.storage === 'lmdeploy-int8' && others.scales) {
    const parts = { values: sliceRows(values, name, third * rows, rows), scales: sliceRows(others.scales, `${name} scales`, third * rows, rows) };
    return { name, shape: parts.values.shape, storage: handle.storage, parts };
  }
  if (!values || Object.keys(others).length > 0) throw new ModelError('MODEL_WEIGHTS', [`${handle.name} is packed as ${handle.storage}, whose rows cannot be taken apart`]);
  const view = sliceRows(values, name, third * rows, rows);
  return { name, shape: view.shape, storage: handle.storage, parts: { values: view } };
}

/** Every weight of the checkpoint by name: packed ones as a whole, LMDeploy's int8 recognised by its names, and all tensors as they are. */
export function weightHandles(checkpoint: Checkpoint): Map<string, WeightHandle> {
  const handles = new Map<string, WeightHandle>();
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of checkpoint.tensors) {
    handles.set(tensor.name, { name: tensor.name, shape: tensor.shape, storage: tensor.dtype.name, parts: { values: tensor } });
  }
  for (const { name, scheme: storage, shape, parts, groupSize } of [...lmdeployInt8Weights(checkpoint.tensors), ...(checkpoint.packed ?? [])]) {
    const found = Object.entries(parts).flatMap(([role, tensorName]) => {
      const tensor = tensors.get(tensorName);
      if (!tensor) throw new ModelError('MODEL_WEIGHTS', [`${name} names ${tensorName} as its ${role}, and there is no such tensor`]);
      return [[role, tensor] as const];
    });
    handles.set(name, { name, shape, storage, parts: Object.fromEntries(found), groupSize });
  }
  return handles;
}

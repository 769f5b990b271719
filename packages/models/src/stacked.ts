/**
 * vLLM's stacked matrices: q, k and v as one, gate and up as one. Source: vllm model_executor/models/llama.py and qwen2.py
 * stacked_params_mapping, packed_modules_mapping. Names are Hugging Face's.
 */
import type { TensorInfo } from '@weightspec/core';
import { joinTensors, sliceRows } from './weight-views.js';

/** Module → the modules whose rows it has, from the top. */
export const stackedModules: Readonly<Record<string, readonly string[]>> = {
  qkv_proj: ['q_proj', 'k_proj', 'v_proj'],
  gate_up_proj: ['gate_proj', 'up_proj'],
};

/** The module is the name's last part but one. */
const withModule = (name: string, module: string): string => name.replace(/[^.]+(?=\.[^.]+$)/, module);
const moduleOf = (name: string): string => name.split('.').at(-2) ?? '';

/** The stacked tensor that `name` becomes rows of, and which part of it; undefined for a tensor that stays as it is. */
export function stackedName(name: string): { readonly name: string; readonly part: number } | undefined {
  for (const [stacked, modules] of Object.entries(stackedModules)) {
    const part = modules.indexOf(moduleOf(name));
    if (part >= 0) return { name: withModule(name, stacked), part };
  }
  return undefined;
}

/** Stacks what vLLM stacks, weights and biases, and leaves all other tensors. Reads nothing. Throws RangeError when a part is missing or does not fit. */
export function fuseStacked(tensors: readonly TensorInfo[]): TensorInfo[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return tensors.flatMap((tensor) => {
    const stacked = stackedName(tensor.name);
    if (!stacked) return [tensor];
    if (stacked.part > 0) {
      const [leader] = stackedModules[moduleOf(stacked.name)]!;
      if (!byName.has(withModule(tensor.name, leader!))) throw new RangeError(`${tensor.name} is there without its ${leader}`);
      return [];
    }
    const parts = stackedModules[moduleOf(stacked.name)]!.map((module) => {
      const part = byName.get(withModule(tensor.name, module));
      if (!part) throw new RangeError(`${tensor.name} is there without its ${module}`);
      return part;
    });
    return [joinTensors(stacked.name, parts, 0)];
  });
}

/** How many rows each part of a stacked tensor has: they cannot be told from the tensor. */
export interface StackedRows {
  /** heads · headDim */
  readonly q: number;
  /** kvHeads · headDim; k and v have the same. */
  readonly kv: number;
}

/** The reverse of fuseStacked: parts as views of the stacked tensors. Throws RangeError when the rows do not add up. */
export function splitStacked(tensors: readonly TensorInfo[], { q, kv }: StackedRows): TensorInfo[] {
  return tensors.flatMap((tensor) => {
    const modules = Object.hasOwn(stackedModules, moduleOf(tensor.name)) ? stackedModules[moduleOf(tensor.name)]! : undefined;
    if (!modules) return [tensor];
    const rows = tensor.shape[0] ?? 0;
    const counts = modules.length === 3 ? [q, kv, kv] : [rows / 2, rows / 2];
    if (counts.reduce((sum, count) => sum + count, 0) !== rows) throw new RangeError(`${tensor.name} has ${rows} rows, not ${counts.join(' + ')}`);
    let first = 0;
    return modules.map((module, i) => {
      const part = sliceRows(tensor, withModule(tensor.name, module), first, counts[i]!);
      first += counts[i]!;
      return part;
    });
  });
}

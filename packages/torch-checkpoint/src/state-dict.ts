/**
 * From the value that a pickle holds to named tensors and plain metadata. Clauses P-3, K-2.8, K-4.
 * Every walk is bounded: containers may be shared, so that the tree can be exponentially larger than the pickle.
 */
import { DiagnosticError, elementCount, type Diagnostic, type MetadataValue } from '@weightspec/core';
import { torchDiagnostic, type TorchCode } from './codes.js';
import { limits } from './limits.js';
import { comparableKey, isDict, isList, isParameter, isTensor, isText, isTuple, type Dict, type List, type Parameter, type Tensor, type Tuple, type Value } from './values.js';

export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
  /** Wrapped in a Parameter; its own requires_grad then counts. */
  readonly parameter?: Parameter;
}

export interface StateDict {
  /** In the order of the pickle. */
  readonly tensors: readonly NamedTensor[];
  /** Key of the state dict within a training checkpoint. */
  readonly key?: string;
  /** Tensors elsewhere in the checkpoint, such as the optimizer's. */
  readonly otherTensorCount: number;
  readonly metadata: { readonly [key: string]: MetadataValue };
}

/** Under which a training script keeps the model's state dict. */
const stateDictKeys = ['model', 'state_dict', 'model_state_dict', 'module', 'model_state', 'params', 'weights', 'net', 'network'];
const MAX_NAME_LENGTH = 4_096;
const MAX_METADATA_NODES = 20_000;
const MAX_METADATA_TEXT = 4_096;

type Container = Tuple | List | Dict;
const isContainer = (value: Value): value is Container => isDict(value) || isList(value) || isTuple(value);
const childrenOf = (container: Container): readonly Value[] => (isDict(container) ? [...container.values, ...(container.attributes ? [container.attributes] : [])] : container.items);

/** Throws DiagnosticError for cycles, excessive nesting and names, and duplicate names. `range` is that of the pickle. */
export function stateDictOf(root: Value, source: string, range: readonly [number, number]): StateDict {
  const fail = (code: TorchCode, message: string): never => {
    throw new DiagnosticError([torchDiagnostic(code, source, { byteRange: range, message })]);
  };
  const withTensors = new Set<Container>();
  const all = new Set<Tensor>();
  survey(root, withTensors, all, fail);
  const key = isDict(root) ? stateDictKey(root, withTensors) : undefined;
  const start = key === undefined ? root : valueOf(root as Dict, key)!;
  const tensors = flatten(start, withTensors, fail);
  const listed = new Set(tensors.map(({ tensor }) => tensor));
  return { tensors, ...(key === undefined ? {} : { key }), otherTensorCount: [...all].filter((tensor) => !listed.has(tensor)).length, metadata: metadataOf(root, key, withTensors) };
}

type Fail = (code: TorchCode, message: string) => never;

/** Visits every container once: cycles, depth, and which containers have tensors in them. */
function survey(root: Value, withTensors: Set<Container>, tensors: Set<Tensor>, fail: Fail): void {
  const heights = new Map<Container, number>();
  const path = new Set<Container>();
  /** Height of the subtree; marks containers that hold tensors. */
  const visit = (value: Value): { height: number; has: boolean } => {
    if (isTensor(value)) return { height: 0, has: Boolean(tensors.add(value)) };
    if (isParameter(value)) return { height: 0, has: Boolean(tensors.add(value.data)) };
    if (!isContainer(value)) return { height: 0, has: false };
    if (path.has(value)) return fail('TORCH_CYCLE', `a ${value.kind} holds itself`);
    const known = heights.get(value);
    if (known !== undefined) return { height: known, has: withTensors.has(value) };
    if (path.size >= limits.depth) return fail('TORCH_LIMIT', `containers are nested more than ${limits.depth} deep`);
    path.add(value);
    let height = 0;
    for (const child of childrenOf(value)) {
      const inside = visit(child);
      height = Math.max(height, inside.height);
      if (inside.has) withTensors.add(value);
    }
    path.delete(value);
    heights.set(value, height + 1);
    if (path.size + height + 1 > limits.depth) return fail('TORCH_LIMIT', `containers are nested more than ${limits.depth} deep`);
    return { height: height + 1, has: withTensors.has(value) };
  };
  visit(root);
}

const valueOf = (dict: Dict, key: string): Value | undefined => {
  const index = dict.keys.findIndex((candidate) => isText(candidate) && candidate.value === key);
  return index < 0 ? undefined : dict.values[index];
};

function stateDictKey(root: Dict, withTensors: ReadonlySet<Container>): string | undefined {
  return stateDictKeys.find((key) => {
    const value = valueOf(root, key);
    return value !== undefined && isDict(value) && withTensors.has(value) && value.values.some((entry) => isTensor(entry) || isParameter(entry));
  });
}

const keyText = (key: Value): string => comparableKey(key)!.slice(1);

/** Names nested entries by joining keys with a dot. */
function flatten(start: Value, withTensors: ReadonlySet<Container>, fail: Fail): NamedTensor[] {
  const named: NamedTensor[] = [];
  const names = new Set<string>();
  const add = (name: string, tensor: Tensor, parameter?: Parameter): void => {
    if (names.has(name)) fail('TORCH_DUPLICATE_KEY', `two tensors are called ${JSON.stringify(name)}`);
    names.add(name);
    if (named.push({ name, tensor, ...(parameter ? { parameter } : {}) }) > limits.tensors) fail('TORCH_LIMIT', `more than ${limits.tensors} names for tensors`);
  };
  const visit = (value: Value, name: string): void => {
    if (name.length > MAX_NAME_LENGTH) fail('TORCH_LIMIT', `a tensor's name has more than ${MAX_NAME_LENGTH} characters`);
    if (isTensor(value)) return add(name, value);
    if (isParameter(value)) return add(name, value.data, value);
    if (!isContainer(value) || !withTensors.has(value)) return;
    const below = (key: string, child: Value): void => visit(child, value === start ? key : `${name}.${key}`);
    if (isDict(value)) value.values.forEach((child, i) => below(keyText(value.keys[i]!), child));
    else value.items.forEach((child, i) => below(String(i), child));
  };
  visit(start, '');
  return named;
}

/** Entries beside the tensors: hyperparameters, counters, configuration. What holds tensors is left out. */
function metadataOf(root: Value, stateKey: string | undefined, withTensors: ReadonlySet<Container>): { [key: string]: MetadataValue } {
  if (!isDict(root)) return {};
  let nodes = 0;
  const plain = (value: Value): MetadataValue => {
    if (++nodes > MAX_METADATA_NODES) return '…';
    if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
    if (typeof value === 'bigint') return value.toString();
    if (isText(value)) return value.value.length > MAX_METADATA_TEXT ? `${value.value.slice(0, MAX_METADATA_TEXT)}…` : value.value;
    if (isDict(value)) return Object.fromEntries(value.keys.slice(0, MAX_METADATA_NODES).map((key, i) => [keyText(key).slice(0, MAX_METADATA_TEXT), plain(value.values[i]!)]));
    if (isList(value) || isTuple(value)) return value.items.slice(0, MAX_METADATA_NODES).map(plain);
    if (value.kind === 'float') return Number.isFinite(value.value) ? value.value : String(value.value);
    return value.kind === 'global' ? `${value.module}.${value.name}` : value.kind;
  };
  const entries: [string, MetadataValue][] = [];
  root.keys.forEach((key, i) => {
    const value = root.values[i]!;
    if (keyText(key) === stateKey || isTensor(value) || isParameter(value) || (isContainer(value) && withTensors.has(value))) return;
    if (nodes < MAX_METADATA_NODES) entries.push([keyText(key).slice(0, MAX_METADATA_TEXT), plain(value)]);
  });
  const modelArgs = entries.find(([key, value]) => key === 'model_args' && typeof value === 'object' && value !== null);
  const extra = entries.filter((entry) => entry !== modelArgs);
  return { ...(stateKey === undefined ? {} : { stateDictKey: stateKey }), ...(modelArgs ? { modelArgs: modelArgs[1] } : {}), ...(extra.length > 0 ? { extra: Object.fromEntries(extra) } : {}) };
}

/** Findings about tensors that are readable: expanded views and dimensions that no number holds (clauses T-2.5, T-2.6). */
export function tensorFindings(tensors: readonly NamedTensor[], spanOf: (size: readonly number[], stride: readonly number[]) => number, source: string): Diagnostic[] {
  return tensors.flatMap(({ name, tensor }) => {
    const { size, stride, byteRange } = tensor;
    const finding = (code: TorchCode, message: string) => [torchDiagnostic(code, source, { byteRange, pointer: `/tensors/${name}`, message })];
    if (size.includes(0)) {
      return size.every(Number.isSafeInteger) ? [] : finding('TORCH_TENSOR_EMPTY_DIMENSION', `${name} is empty, but has the shape [${size.join(', ')}]`);
    }
    return elementCount(size) > spanOf(size, stride) ? finding('TORCH_TENSOR_EXPANDED', `${name} has ${elementCount(size)} elements over ${spanOf(size, stride)} in its storage`) : [];
  });
}

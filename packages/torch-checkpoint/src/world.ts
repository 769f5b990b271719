/**
 * What a state dict's pickle may name and call: OrderedDict, torch's tensor rebuilders, storage types and dtypes, matched exactly.
 * "Calling" one of them here means checking its arguments and keeping them as data. Clauses K-3, T-1, T-2.
 * Source: torch/_utils.py and torch/serialization.py of 1.13.1 and 2.6.
 */
import { byteLength, dtype, elementCount, type DType } from '@weightspec/core';
import { limits } from './limits.js';
import type { Failing, World } from './pickle.js';
import { isDict, isGlobal, isStorage, isTensor, isText, isTuple, kindOf, lookup, newDict, type GlobalName, type Parameter, type Storage, type StorageType, type Tensor, type Tuple, type Value } from './values.js';

const storage = (name: string, dtypeName: string): StorageType => ({ name, dtype: dtype(dtypeName), bytesPerElement: dtype(dtypeName).bytesPerBlock });

/** Storage classes of module `torch`. */
export const storageTypes: readonly StorageType[] = [
  storage('DoubleStorage', 'F64'), storage('FloatStorage', 'F32'), storage('HalfStorage', 'F16'), storage('BFloat16Storage', 'BF16'),
  storage('ByteStorage', 'U8'), storage('CharStorage', 'I8'), storage('ShortStorage', 'I16'), storage('IntStorage', 'I32'), storage('LongStorage', 'I64'),
  storage('BoolStorage', 'BOOL'), storage('ComplexFloatStorage', 'C64'), storage('ComplexDoubleStorage', 'C128'),
];
export const untypedStorage: StorageType = { name: 'UntypedStorage', bytesPerElement: 1 };

/** torch.dtype → ours. Those without a typed storage are saved by _rebuild_tensor_v3. */
export const torchDtypes: ReadonlyMap<string, DType> = new Map(
  ([
    ['float64', 'F64'], ['float32', 'F32'], ['float16', 'F16'], ['bfloat16', 'BF16'], ['uint8', 'U8'], ['int8', 'I8'], ['int16', 'I16'], ['int32', 'I32'], ['int64', 'I64'],
    ['bool', 'BOOL'], ['complex64', 'C64'], ['complex128', 'C128'], ['uint16', 'U16'], ['uint32', 'U32'], ['uint64', 'U64'],
    ['float8_e4m3fn', 'F8_E4M3'], ['float8_e5m2', 'F8_E5M2'], ['float8_e4m3fnuz', 'F8_E4M3FNUZ'], ['float8_e5m2fnuz', 'F8_E5M2FNUZ'], ['float8_e8m0fnu', 'F8_E8M0'],
  ] as const).map(([name, ours]) => [name, dtype(ours)]),
);

const named = (module: string, name: string, role: GlobalName['role'], more: Partial<GlobalName> = {}): GlobalName => ({ kind: 'global', module, name, role, ...more });

/** The closed list: module, then name. Two maps, so that no joined string can be forged. */
const globals: ReadonlyMap<string, ReadonlyMap<string, GlobalName>> = byModule([
  named('collections', 'OrderedDict', 'ordered-dict'),
  named('torch._utils', '_rebuild_tensor_v2', 'rebuild-tensor-v2'),
  named('torch._utils', '_rebuild_tensor_v3', 'rebuild-tensor-v3'),
  named('torch._utils', '_rebuild_parameter', 'rebuild-parameter'),
  ...storageTypes.map((storageType) => named('torch', storageType.name, 'storage-type', { storageType })),
  named('torch.storage', untypedStorage.name, 'storage-type', { storageType: untypedStorage }),
  ...[...torchDtypes].map(([name, type]) => named('torch', name, 'dtype', { dtype: type })),
]);

function byModule(all: readonly GlobalName[]): Map<string, Map<string, GlobalName>> {
  const modules = new Map<string, Map<string, GlobalName>>();
  for (const global of all) modules.set(global.module, (modules.get(global.module) ?? new Map<string, GlobalName>()).set(global.name, global));
  return modules;
}

export const findGlobal = (module: string, name: string): GlobalName | undefined => globals.get(module)?.get(name);

export interface WorldOptions {
  /** Legacy persistent ids have a sixth item, and their keys are addresses. */
  readonly legacy: boolean;
}

export interface StateWorld extends World {
  /** Every storage that was named, by its record's key. */
  readonly storages: ReadonlyMap<string, Storage>;
  /** Every tensor that was built. */
  readonly tensors: readonly Tensor[];
}

export function stateWorld({ legacy }: WorldOptions): StateWorld {
  const storages = new Map<string, Storage>();
  const tensors: Tensor[] = [];
  const tensorMade = (tensor: Tensor, machine: Failing): Tensor => {
    if (tensors.push(tensor) > limits.tensors) machine.fail('TORCH_LIMIT', `more than ${limits.tensors} tensors`);
    return tensor;
  };
  return {
    storages,
    tensors,
    global(module, name, machine) {
      return findGlobal(module, name) ?? machine.fail('TORCH_GLOBAL', `the pickle names ${JSON.stringify(module)} ${JSON.stringify(name)}, which no state dict needs; it was not imported`);
    },
    reduce(callable, args, machine) {
      const items = (args as Tuple).items;
      if (!isGlobal(callable)) return machine.fail('TORCH_REDUCE', `a ${kindOf(callable)} is called`);
      switch (callable.role) {
        case 'ordered-dict':
          return items.length === 0 ? newDict(true) : machine.fail('TORCH_REDUCE', `OrderedDict is called with ${items.length} arguments`);
        case 'rebuild-tensor-v2':
          return tensorMade(rebuildTensor(items, false, machine), machine);
        case 'rebuild-tensor-v3':
          return tensorMade(rebuildTensor(items, true, machine), machine);
        case 'rebuild-parameter':
          return rebuildParameter(items, machine);
        default:
          return machine.fail('TORCH_REDUCE', `${callable.module}.${callable.name} is called, which is a type and no function here`);
      }
    },
    build(object, state, machine) {
      if (!isDict(object) || !object.ordered) return machine.fail('TORCH_BUILD', `BUILD on ${isDict(object) ? 'a plain dict' : kindOf(object)}; only a state dict's OrderedDict has state`);
      if (!isDict(state) || state.ordered || state.keys.some((key) => !isText(key) || key.value !== '_metadata')) return machine.fail('TORCH_BUILD', 'BUILD with something other than {\'_metadata\': …}');
      const metadata = lookup(state, '_metadata');
      if (metadata !== undefined && !isDict(metadata)) return machine.fail('TORCH_BUILD', `_metadata is ${kindOf(metadata)} instead of a dict`);
      if (object.attributes || object.frozen) return machine.fail('TORCH_BUILD', 'BUILD for the second time, or on a tensor\'s hooks');
      object.attributes = state;
      return object;
    },
    persistentId(id, machine) {
      const found = parseStorage(id, legacy, machine);
      const key = found.key;
      const known = storages.get(key);
      if (known && (known.type !== found.type || known.elementCount !== found.elementCount)) {
        machine.fail('TORCH_STORAGE_CONFLICT', `storage ${key} is named as ${known.elementCount} elements of ${known.type.name}, and as ${found.elementCount} of ${found.type.name}`);
      }
      if (!known) storages.set(key, found);
      return found.view || known?.view ? found : (known ?? found);
    },
  };
}

/** Clause T-1.1. */
function parseStorage(id: Value, legacy: boolean, machine: Failing): Storage {
  const wrong = (message: string): never => machine.fail('TORCH_PERSISTENT_ID', message);
  if (!isTuple(id)) return wrong(`the persistent id is ${kindOf(id)} instead of a tuple`);
  const expected = legacy ? 6 : 5;
  if (id.items.length !== expected) return wrong(`the persistent id has ${id.items.length} items instead of ${expected}`);
  const [word, type, key, location, count, view] = id.items;
  if (!isText(word) || word.value !== 'storage') return wrong('the persistent id does not begin with \'storage\'');
  if (!isGlobal(type) || type.role !== 'storage-type') return wrong(`the storage type is ${isGlobal(type) ? type.name : kindOf(type)} instead of a torch storage class`);
  if (!isText(key) || !/^[0-9]{1,20}$/.test(key.value)) return wrong(`the storage key is ${isText(key) ? JSON.stringify(key.value.slice(0, 64)) : kindOf(key)} instead of digits`);
  if (!isText(location)) return wrong(`the storage location is ${kindOf(location)} instead of a string`);
  if (typeof count !== 'number' || count < 0) return wrong(`the element count is ${typeof count === 'bigint' || typeof count === 'number' ? count : kindOf(count)}`);
  const storageType = type.storageType!;
  if (!Number.isSafeInteger(count * storageType.bytesPerElement)) return machine.fail('TORCH_TENSOR_OVERFLOW', `storage ${key.value} claims ${count} elements`);
  const base = { kind: 'storage', type: storageType, key: key.value, location: location.value, elementCount: count } as const;
  return legacy && view !== null ? { ...base, view: parseView(view, count, machine) } : base;
}

/** Legacy: (view key, offset, size), a storage that is a part of another. Clause L-1.3. */
function parseView(view: Value | undefined, count: number, machine: Failing): NonNullable<Storage['view']> {
  if (!isTuple(view) || view.items.length !== 3) return machine.fail('TORCH_PERSISTENT_ID', 'the storage view is neither None nor three items');
  const [key, offset, size] = view.items;
  if (!isText(key) || !isCount(offset) || !isCount(size)) return machine.fail('TORCH_PERSISTENT_ID', 'the storage view is not (key, offset, size)');
  if (offset + size > count) return machine.fail('TORCH_TENSOR_OUT_OF_BOUNDS', `the view [${offset}, ${offset + size}) of a storage of ${count} elements`);
  return { key: key.value, offset, elementCount: size };
}

const isCount = (value: Value | undefined): value is number => typeof value === 'number' && value >= 0;

/** Clauses T-2.1 to T-2.5. v3 puts the dtype behind the hooks. */
function rebuildTensor(items: readonly Value[], v3: boolean, machine: Failing): Tensor {
  const wrong = (message: string): never => machine.fail('TORCH_TENSOR_ARGUMENTS', message);
  const fixed = v3 ? 7 : 6;
  if (items.length !== fixed && items.length !== fixed + 1) return wrong(`a tensor is built from ${items.length} arguments instead of ${fixed} or ${fixed + 1}`);
  const [from, offset, size, stride, requiresGrad, hooks] = items;
  if (!isStorage(from)) return wrong(`a tensor is built on ${kindOf(from)} instead of a storage`);
  if (typeof requiresGrad !== 'boolean') return wrong(`requires_grad is ${kindOf(requiresGrad)} instead of True or False`);
  freezeHooks(hooks, machine);
  const metadata = items[fixed];
  if (metadata !== undefined && metadata !== null && !(isDict(metadata) && metadata.keys.length === 0)) return machine.fail('TORCH_TENSOR_METADATA', 'a tensor carries metadata, such as a pending conjugation or negation');
  if (isDict(metadata)) metadata.frozen = true;
  const type = elementType(from, v3 ? items[6] : undefined, v3, machine);
  const { sizes, strides } = dimensions(size, stride, machine);
  if (typeof offset === 'bigint' || (typeof offset === 'number' && !Number.isSafeInteger(offset))) return machine.fail('TORCH_TENSOR_OVERFLOW', `the storage offset ${offset} is not countable`);
  if (typeof offset !== 'number') return wrong(`the storage offset is ${kindOf(offset)} instead of an int`);
  if (offset < 0) return machine.fail('TORCH_TENSOR_OUT_OF_BOUNDS', `the storage offset is ${offset}`);
  checkBounds(from, type, offset, sizes, strides, machine);
  return { kind: 'tensor', storage: from, dtype: type, storageOffset: offset + (from.view?.offset ?? 0), size: sizes, stride: strides, requiresGrad, byteRange: machine.opcodeRange };
}

/** Clause T-2.2: hooks are an empty OrderedDict, and stay so. */
function freezeHooks(hooks: Value | undefined, machine: Failing): void {
  if (!isDict(hooks) || !hooks.ordered || hooks.keys.length > 0 || hooks.attributes) return machine.fail('TORCH_TENSOR_HOOKS', `the backward hooks are ${isDict(hooks) ? 'not an empty OrderedDict' : kindOf(hooks)}`);
  hooks.frozen = true;
}

function elementType(from: Storage, given: Value | undefined, v3: boolean, machine: Failing): DType {
  if (!v3) return from.type.dtype ?? machine.fail('TORCH_TENSOR_ARGUMENTS', 'a tensor without a dtype is built on an UntypedStorage');
  if (!isGlobal(given) || given.role !== 'dtype') return machine.fail('TORCH_TENSOR_ARGUMENTS', `the dtype is ${kindOf(given)} instead of a torch dtype`);
  if (from.type.dtype) return machine.fail('TORCH_TENSOR_ARGUMENTS', `_rebuild_tensor_v3 on a ${from.type.name} instead of an UntypedStorage`);
  return given.dtype!;
}

function dimensions(size: Value | undefined, stride: Value | undefined, machine: Failing): { sizes: number[]; strides: number[] } {
  if (!isTuple(size) || !isTuple(stride)) return machine.fail('TORCH_TENSOR_ARGUMENTS', `size and stride are ${kindOf(size)} and ${kindOf(stride)} instead of tuples`);
  if (size.items.length !== stride.items.length) return machine.fail('TORCH_TENSOR_ARGUMENTS', `${size.items.length} sizes and ${stride.items.length} strides`);
  if (size.items.length > limits.rank) return machine.fail('TORCH_LIMIT', `a tensor of ${size.items.length} dimensions; the limit is ${limits.rank}`);
  const numbers = (items: readonly Value[], what: string): number[] =>
    items.map((item) => {
      if (typeof item !== 'number' && typeof item !== 'bigint') return machine.fail('TORCH_TENSOR_ARGUMENTS', `a ${what} is ${kindOf(item)} instead of an int`);
      return item < 0 ? machine.fail('TORCH_TENSOR_ARGUMENTS', `a ${what} is negative: ${item}`) : Number(item);
    });
  return { sizes: numbers(size.items, 'size'), strides: numbers(stride.items, 'stride') };
}

/** Elements from the first to the last of the tensor, both included; 0 when it is empty. */
export function spanOf(size: readonly number[], stride: readonly number[]): number {
  if (size.includes(0)) return 0;
  return 1 + size.reduce((sum, n, i) => sum + (n === 1 ? 0 : (n - 1) * stride[i]!), 0);
}

/** Clauses T-2.4 and T-2.5: an empty tensor has no bytes to be out of bounds with. */
function checkBounds(from: Storage, type: DType, offset: number, sizes: readonly number[], strides: readonly number[], machine: Failing): void {
  if (sizes.includes(0)) return;
  const span = spanOf(sizes, strides);
  const count = elementCount(sizes);
  if (!strides.every(Number.isSafeInteger) || !Number.isSafeInteger(span) || !Number.isSafeInteger(count * type.bytesPerBlock) || !Number.isSafeInteger((offset + span) * type.bytesPerBlock)) machine.fail('TORCH_TENSOR_OVERFLOW', `a tensor of shape [${sizes.join(', ')}] and strides [${strides.join(', ')}] is not countable`);
  const available = (from.view?.elementCount ?? from.elementCount) * from.type.bytesPerElement;
  if (byteLength(type, offset + span) > available) machine.fail('TORCH_TENSOR_OUT_OF_BOUNDS', `a tensor of shape [${sizes.join(', ')}], strides [${strides.join(', ')}] and offset ${offset} ends at element ${offset + span} of storage ${from.key}, which has ${available / type.bytesPerBlock}`);
}

/** _rebuild_parameter(data, requires_grad, hooks). */
function rebuildParameter(items: readonly Value[], machine: Failing): Parameter {
  const [data, requiresGrad, hooks] = items;
  if (items.length !== 3 || !isTensor(data) || typeof requiresGrad !== 'boolean') return machine.fail('TORCH_TENSOR_ARGUMENTS', `a parameter is built from (${items.map(kindOf).join(', ')}) instead of (tensor, bool, hooks)`);
  freezeHooks(hooks, machine);
  return { kind: 'parameter', data, requiresGrad };
}


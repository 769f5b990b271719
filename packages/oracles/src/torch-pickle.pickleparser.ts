/**
 * The pickle of a PyTorch checkpoint by the npm package pickleparser (its stack machine, opcodes and memo), with resolvers that
 * know only torch's names, and the clauses T and P-3 over what it builds. Imports nothing from packages/torch-checkpoint.
 * pickleparser is lax where the clauses K are strict: it runs every opcode of protocols 0 to 5, checks neither stack nor memo nor
 * frames, and makes arrays of both tuples and lists and numbers of both ints and floats. LONG1 of more than 8 bytes stops it.
 */
import { createRequire } from 'node:module';
import type * as Pickleparser from 'pickleparser';
import { TorchRefused, TorchUndecided, demand, isRowMajor, spanOf } from './torch-checkpoint.reading.js';

const { BufferReader, Parser } = createRequire(import.meta.url)('pickleparser') as typeof Pickleparser;

const itemBytes: Readonly<Record<string, number>> = {
  F64: 8, F32: 4, F16: 2, BF16: 2, U8: 1, I8: 1, I16: 2, I32: 4, I64: 8, BOOL: 1, C64: 8, C128: 16, U16: 2, U32: 4, U64: 8,
  F8_E4M3: 1, F8_E5M2: 1, F8_E4M3FNUZ: 1, F8_E5M2FNUZ: 1, F8_E8M0: 1,
};
const storageClasses: Readonly<Record<string, string>> = {
  DoubleStorage: 'F64', FloatStorage: 'F32', HalfStorage: 'F16', BFloat16Storage: 'BF16', ByteStorage: 'U8', CharStorage: 'I8', ShortStorage: 'I16', IntStorage: 'I32',
  LongStorage: 'I64', BoolStorage: 'BOOL', ComplexFloatStorage: 'C64', ComplexDoubleStorage: 'C128',
};
const dtypeNames: Readonly<Record<string, string>> = {
  float64: 'F64', float32: 'F32', float16: 'F16', bfloat16: 'BF16', uint8: 'U8', int8: 'I8', int16: 'I16', int32: 'I32', int64: 'I64', bool: 'BOOL', complex64: 'C64',
  complex128: 'C128', uint16: 'U16', uint32: 'U32', uint64: 'U64', float8_e4m3fn: 'F8_E4M3', float8_e5m2: 'F8_E5M2', float8_e4m3fnuz: 'F8_E4M3FNUZ', float8_e5m2fnuz: 'F8_E5M2FNUZ', float8_e8m0fnu: 'F8_E8M0',
};

/** A storage as persistent ids name it. */
export interface PickledStorage {
  /** undefined: UntypedStorage, which counts bytes. */
  readonly dtype: string | undefined;
  readonly itemBytes: number;
  readonly key: string;
  readonly count: number;
}

class StorageView {
  constructor(readonly storage: PickledStorage, readonly offset: number, readonly count: number) {}
}
class StorageClass {
  constructor(readonly dtype: string | undefined) {}
}
class TorchDtype {
  constructor(readonly name: string) {}
}

/** Sizes, strides and offset in elements; BigInt, because pickles may hold anything. */
export class PickledTensor {
  constructor(readonly storage: PickledStorage, readonly dtype: string, readonly storageOffset: number, readonly shape: readonly bigint[], readonly strides: readonly bigint[]) {}
}
class TorchParameter {
  constructor(readonly data: PickledTensor) {}
}

/** K-2.7, K-3.3 and T-2.2 as far as this machine lets us see them. */
class OrderedDict extends Map<unknown, unknown> {
  attributes: unknown;
  isHooks = false;

  override set(key: unknown, value: unknown): this {
    demand(!this.isHooks, 'T-2.2: a hook is added later');
    demand(['string', 'number', 'boolean'].includes(typeof key), 'K-2.1: a key');
    demand(!this.has(key), 'K-2.7');
    return super.set(key, value);
  }

  __setstate__(state: unknown): void {
    demand(this.attributes === undefined && !this.isHooks, 'K-3.3: twice');
    demand(state instanceof Map && !(state instanceof OrderedDict) && [...state].every(([key, value]) => key === '_metadata' && value instanceof Map), 'K-3.3');
    this.attributes = state;
  }
}

export interface PickledObject {
  readonly value: unknown;
  /** By key. */
  readonly storages: ReadonlyMap<string, PickledStorage>;
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isSafe = (value: bigint): boolean => value <= BigInt(Number.MAX_SAFE_INTEGER);

/** Reads pickles one behind another. */
export class PickleStream {
  readonly storages = new Map<string, PickledStorage>();
  readonly #reader: InstanceType<typeof StrictReader>;
  readonly #legacy: boolean;

  constructor(bytes: Uint8Array, legacy: boolean) {
    this.#reader = new StrictReader(bytes);
    this.#legacy = legacy;
  }

  get position(): number {
    return this.#reader.position;
  }

  /** Throws TorchRefused and TorchUndecided. */
  next(): unknown {
    const parser = new Parser({
      unpicklingTypeOfDictionary: 'Map',
      nameResolver: { resolve: (module, name) => resolveGlobal(module, name) as never },
      persistentResolver: { resolve: (id) => this.#storage(id) },
    });
    try {
      return parser.read(this.#reader);
    } catch (error) {
      if (error instanceof TorchRefused) throw error;
      if (error instanceof Error && error.message === 'Value too large to unpickling') throw new TorchUndecided(error.message);
      // The machine calls methods of whatever is on its stack; a TypeError is its way to say that an operand was wrong.
      throw new TorchRefused(`pickleparser: ${String(error)}`);
    }
  }

  /** T-1.1, T-1.5, L-1.3. */
  #storage(id: unknown): StorageView {
    demand(Array.isArray(id) && id.length === (this.#legacy ? 6 : 5), 'T-1.1: items');
    const [word, type, key, location, count, part] = id as unknown[];
    demand(word === 'storage' && type instanceof StorageClass && typeof key === 'string' && /^[0-9]{1,20}$/.test(key) && typeof location === 'string' && isCount(count), 'T-1.1');
    const storage = { dtype: type.dtype, itemBytes: type.dtype === undefined ? 1 : itemBytes[type.dtype]!, key, count };
    demand(isSafe(BigInt(count)) && isSafe(BigInt(count) * BigInt(storage.itemBytes)), 'T-2.5: a storage');
    const known = this.storages.get(key);
    demand(known === undefined || (known.dtype === storage.dtype && known.count === count), 'T-1.5');
    this.storages.set(key, storage);
    if (!this.#legacy || part === null) return new StorageView(storage, 0, count);
    demand(Array.isArray(part) && part.length === 3 && typeof part[0] === 'string' && isCount(part[1]) && isCount(part[2]), 'L-1.3');
    const [, start, length] = part as [string, number, number];
    demand(start + length <= count, 'L-1.3: bounds');
    return new StorageView(storage, start, length);
  }
}

class StrictReader extends BufferReader {
  /** K-2.5. */
  override string(size: number, encoding: 'ascii' | 'utf-8'): string {
    const bytes = this.bytes(size) as Uint8Array;
    if (encoding === 'ascii') return Buffer.from(bytes).toString('latin1');
    const text = Buffer.from(bytes).toString('utf8');
    demand(Buffer.compare(Buffer.from(text, 'utf8'), bytes) === 0, 'K-2.5');
    return text;
  }
}

/** K-3.1. */
function resolveGlobal(module: unknown, name: unknown): unknown {
  demand(typeof module === 'string' && typeof name === 'string', 'K-3.1: no strings');
  if (module === 'collections' && name === 'OrderedDict') {
    return (...args: unknown[]) => {
      demand(args.length === 0, 'K-3.2');
      return new OrderedDict();
    };
  }
  if (module === 'torch._utils' && name === '_rebuild_tensor_v2') return (...args: unknown[]) => rebuildTensor(args, false);
  if (module === 'torch._utils' && name === '_rebuild_tensor_v3') return (...args: unknown[]) => rebuildTensor(args, true);
  if (module === 'torch._utils' && name === '_rebuild_parameter') return rebuildParameter;
  if (module === 'torch.storage' && name === 'UntypedStorage') return new StorageClass(undefined);
  if (module === 'torch' && Object.hasOwn(storageClasses, name)) return new StorageClass(storageClasses[name]);
  if (module === 'torch' && Object.hasOwn(dtypeNames, name)) return new TorchDtype(dtypeNames[name]!);
  throw new TorchRefused(`K-3.1: ${module} ${name}`);
}

/** T-2. */
function rebuildTensor(args: unknown[], v3: boolean): PickledTensor {
  const fixed = v3 ? 7 : 6;
  demand(args.length === fixed || args.length === fixed + 1, 'T-2.1: arguments');
  const [view, offset, size, stride, requiresGrad, hooks, dtype] = args;
  const metadata = args[fixed];
  demand(view instanceof StorageView && isCount(offset) && isSafe(BigInt(offset)) && typeof requiresGrad === 'boolean', 'T-2.1');
  demand(Array.isArray(size) && Array.isArray(stride) && size.length === stride.length && [...size, ...stride].every(isCount), 'T-2.1: size and stride');
  freezeHooks(hooks);
  if (metadata instanceof OrderedDict) freezeHooks(metadata);
  else demand(metadata === undefined || metadata === null || (metadata instanceof Map && metadata.size === 0), 'T-2.3');
  demand(v3 ? view.storage.dtype === undefined && dtype instanceof TorchDtype : view.storage.dtype !== undefined, 'T-2.1: dtype');
  const type = v3 ? (dtype as TorchDtype).name : view.storage.dtype!;
  const shape = size.map(BigInt);
  const strides = stride.map(BigInt);
  if (!shape.includes(0n)) {
    demand(strides.every(isSafe), 'T-2.5: a stride');
    const width = BigInt(itemBytes[type]!);
    const end = BigInt(offset) + spanOf(shape, strides);
    demand(isSafe(shape.reduce((product, n) => product * n, width)) && isSafe(end * width), 'T-2.5');
    demand(end * width <= BigInt(view.count) * BigInt(view.storage.itemBytes), 'T-2.4');
  }
  return new PickledTensor(view.storage, type, offset + view.offset, shape, strides);
}

function freezeHooks(hooks: unknown): void {
  demand(hooks instanceof OrderedDict && hooks.size === 0 && hooks.attributes === undefined, 'T-2.2');
  hooks.isHooks = true;
}

function rebuildParameter(...args: unknown[]): TorchParameter {
  const [data, requiresGrad, hooks] = args;
  demand(args.length === 3 && data instanceof PickledTensor && typeof requiresGrad === 'boolean', 'T-2.1: a parameter');
  freezeHooks(hooks);
  return new TorchParameter(data);
}

/** A tensor under its name. Row-major strides are null. */
export interface NamedPickledTensor {
  readonly name: string;
  readonly storage: PickledStorage;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[] | null;
  readonly storageOffset: number;
  /** In bytes from the start of the storage. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** This walk follows every path; the clauses ask only for those that lead to tensors. */
const MAX_STEPS = 100_000;

/** P-3, K-2.8. */
export function namedTensors(root: unknown): NamedPickledTensor[] {
  checkTree(root, new Set(), new Set());
  const found: NamedPickledTensor[] = [];
  let steps = 0;
  const visit = (value: unknown, path: readonly string[]): void => {
    if (++steps > MAX_STEPS) throw new TorchUndecided('shared containers unfold to too many values');
    if (value instanceof TorchParameter) visit(value.data, path);
    else if (value instanceof PickledTensor) found.push(described(path.join('.'), value));
    else for (const [key, child] of entriesOf(value)) visit(child, [...path, key]);
  };
  visit(stateDictOf(root), []);
  demand(new Set(found.map(({ name }) => name)).size === found.length, 'P-3.1: two tensors of one name');
  return found;
}

function described(name: string, { storage, dtype, shape, strides, storageOffset }: PickledTensor): NamedPickledTensor {
  const width = itemBytes[dtype]!;
  const span = Number(spanOf(shape, strides));
  return { name, storage, dtype, shape: shape.map(Number), strides: isRowMajor(shape, strides) ? null : strides.map(Number), storageOffset, byteOffset: span === 0 ? 0 : storageOffset * width, byteLength: span * width };
}

const isTensorLike = (value: unknown): boolean => value instanceof PickledTensor || value instanceof TorchParameter;
/** Python's str() of a key, but True and 1 are one key. */
const keyText = (key: unknown): string => (typeof key === 'boolean' ? String(Number(key)) : String(key));

function entriesOf(value: unknown): [string, unknown][] {
  if (value instanceof Map) return [...value].map(([key, child]) => [keyText(key), child]);
  return Array.isArray(value) ? value.map((child, i): [string, unknown] => [String(i), child]) : [];
}

/** P-3.2. */
function stateDictOf(root: unknown): unknown {
  if (!(root instanceof Map)) return root;
  for (const key of ['model', 'state_dict', 'model_state_dict', 'module', 'model_state', 'params', 'weights', 'net', 'network']) {
    const inner: unknown = root.get(key);
    if (inner instanceof Map && [...inner.values()].some(isTensorLike)) return inner;
  }
  return root;
}

function checkTree(value: unknown, path: Set<unknown>, done: Set<unknown>): void {
  if (!(value instanceof Map || Array.isArray(value)) || done.has(value)) return;
  demand(!path.has(value), 'K-2.8');
  path.add(value);
  for (const [, child] of entriesOf(value)) checkTree(child, path, done);
  if (value instanceof OrderedDict) checkTree(value.attributes, path, done);
  path.delete(value);
  done.add(value);
}

/**
 * Writes a state dict as CPython's C pickler does under torch.save: protocol 2, memo by identity, batches of 1000.
 * Source: CPython 3.10 Modules/_pickle.c (save, batch_list, batch_dict, batch_dict_exact); torch/serialization.py of 1.13.1.
 * Clauses W-2.
 */
import { isDict, isGlobal, isList, isParameter, isTensor, isText, isTuple, newDict, text, type Dict, type GlobalName, type Storage, type Tensor, type Text, type Value } from './values.js';
import { findGlobal, torchDtypes } from './world.js';

const BATCH = 1000;

export interface StorageNames {
  /** The persistent id's key for a storage. The same object is given again where torch gives the same string again. */
  keyOf(storage: Storage): Text;
  readonly legacy: boolean;
}

/** The pickle of `root`. Storages are named in the order in which they are met. */
export function writePickle(root: Value, names: StorageNames): Uint8Array {
  const writer = new PickleWriter(names);
  return writer.dump(root);
}

/** The one string that torch.serialization writes in every persistent id, and the locations that are literals there. */
const word = text('storage');

/** Takes a memo number that nothing refers to. */
const nameless = (): object => ({});

class PickleWriter {
  readonly #names: StorageNames;
  readonly #memo = new Map<unknown, number>();
  readonly #locations = new Map<string, Text>();
  #bytes = new Uint8Array(1024);
  #length = 0;

  constructor(names: StorageNames) {
    this.#names = names;
  }

  dump(root: Value): Uint8Array {
    this.#put(0x80, 2);
    this.#save(root);
    this.#put(0x2e);
    return this.#bytes.slice(0, this.#length);
  }

  #save(value: Value): void {
    if (value === null) return this.#put(0x4e);
    if (typeof value === 'boolean') return this.#put(value ? 0x88 : 0x89);
    if (typeof value === 'number' || typeof value === 'bigint') return this.#integer(value);
    if (value.kind === 'float') return this.#float(value.value);
    if (isTuple(value) && value.items.length === 0) return this.#put(0x29);
    if (isGlobal(value)) return this.#global(value);
    if (this.#get(value)) return;
    if (isText(value)) return this.#text(value);
    if (isTuple(value)) return this.#tuple(value, value.items);
    if (isList(value)) return this.#list(value, value.items);
    if (isDict(value)) return value.ordered ? this.#orderedDict(value) : this.#dict(value);
    if (isTensor(value)) return this.#tensor(value);
    if (isParameter(value)) {
      this.#global(findGlobal('torch._utils', '_rebuild_parameter')!);
      this.#tuple(nameless(), [value.data, value.requiresGrad, newDict(true)]);
      this.#put(0x52);
      return this.#memoize(value);
    }
    throw new TypeError('a storage stands outside a tensor');
  }

  #integer(value: number | bigint): void {
    if (value >= 0 && value < 2 ** 8) return this.#put(0x4b, Number(value));
    if (value >= 0 && value < 2 ** 16) return this.#put(0x4d, Number(value) % 256, Math.floor(Number(value) / 256));
    if (value >= -(2 ** 31) && value < 2 ** 31) return this.#fixed(0x4a, 4, (view) => view.setInt32(0, Number(value), true));
    // LONG1: the fewest bytes of two's complement.
    const bytes: number[] = [];
    let rest = BigInt(value);
    do {
      bytes.push(Number(BigInt.asUintN(8, rest)));
      rest >>= 8n;
    } while (!((rest === 0n && bytes.at(-1)! < 0x80) || (rest === -1n && bytes.at(-1)! >= 0x80)));
    this.#put(0x8a, bytes.length, ...bytes);
  }

  #float(value: number): void {
    this.#fixed(0x47, 8, (view) => view.setFloat64(0, value, false));
  }

  #text(value: Text): void {
    const bytes = new TextEncoder().encode(value.value);
    this.#fixed(0x58, 4, (view) => view.setUint32(0, bytes.length, true));
    this.#append(bytes);
    this.#memoize(value);
  }

  /** Classes and functions are the same object whenever they are named. */
  #global({ module, name }: GlobalName): void {
    const identity = `${module}\n${name}\n`;
    if (this.#get(identity)) return;
    this.#put(0x63);
    this.#append(new TextEncoder().encode(identity));
    this.#memoize(identity);
  }

  #tuple(identity: object, items: readonly Value[]): void {
    if (items.length > 3) this.#put(0x28);
    for (const item of items) this.#save(item);
    this.#put(items.length > 3 ? 0x74 : 0x84 + items.length);
    this.#memoize(identity);
  }

  /** batch_list_exact: one item alone, else batches. */
  #list(list: object, items: readonly Value[]): void {
    this.#put(0x5d);
    this.#memoize(list);
    if (items.length === 1) {
      this.#save(items[0]!);
      return this.#put(0x61);
    }
    for (let start = 0; start < items.length; start += BATCH) {
      this.#put(0x28);
      for (const item of items.slice(start, start + BATCH)) this.#save(item);
      this.#put(0x65);
    }
  }

  /** batch_dict_exact: after a full batch it always begins another, even an empty one. */
  #dict(dict: Dict): void {
    this.#put(0x7d);
    this.#memoize(dict);
    const count = dict.keys.length;
    if (count === 0) return;
    if (count === 1) return this.#setItem(dict, 0);
    for (let start = 0; start <= count; start += BATCH) {
      this.#put(0x28);
      this.#pairs(dict, start, Math.min(count, start + BATCH));
      this.#put(0x75);
      if (start + BATCH > count) return;
    }
  }

  /** Reduced to OrderedDict() and an iterator of items; batch_dict then writes a last single item without MARK. */
  #orderedDict(dict: Dict): void {
    this.#global(findGlobal('collections', 'OrderedDict')!);
    this.#put(0x29, 0x52);
    this.#memoize(dict);
    const count = dict.keys.length;
    for (let start = 0; start < count; start += BATCH) {
      if (start === count - 1) {
        this.#setItem(dict, start);
        break;
      }
      this.#put(0x28);
      this.#pairs(dict, start, Math.min(count, start + BATCH));
      this.#put(0x75);
    }
    if (dict.attributes) {
      this.#save(dict.attributes);
      this.#put(0x62);
    }
  }

  #setItem(dict: Dict, index: number): void {
    this.#pairs(dict, index, index + 1);
    this.#put(0x73);
  }

  #pairs(dict: Dict, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      this.#save(dict.keys[i]!);
      this.#save(dict.values[i]!);
    }
  }

  #tensor(tensor: Tensor): void {
    const { storage, size, stride, requiresGrad, dtype } = tensor;
    const untyped = storage.type.dtype === undefined;
    this.#global(findGlobal('torch._utils', untyped ? '_rebuild_tensor_v3' : '_rebuild_tensor_v2')!);
    this.#put(0x28);
    this.#persistentId(storage);
    // Archives have no views of storages: there the tensor points into the whole record.
    this.#integer(tensor.storageOffset - (this.#names.legacy ? (storage.view?.offset ?? 0) : 0));
    this.#save({ kind: 'tuple', items: size });
    this.#save({ kind: 'tuple', items: stride });
    this.#save(requiresGrad);
    this.#save(newDict(true));
    if (untyped) this.#global(findGlobal('torch', [...torchDtypes].find(([, type]) => type === dtype)![0])!);
    this.#put(0x74);
    this.#memoize(nameless()); // the tuple of arguments, which nothing names again, takes a number all the same
    this.#put(0x52);
    this.#memoize(tensor);
  }

  #persistentId(storage: Storage): void {
    const type = storage.type.dtype === undefined ? findGlobal('torch.storage', 'UntypedStorage')! : findGlobal('torch', storage.type.name)!;
    const { view } = storage;
    const items: Value[] = [word, type, this.#names.keyOf(storage), this.#location(storage.location), storage.elementCount];
    if (this.#names.legacy) items.push(view ? { kind: 'tuple', items: [text(view.key), view.offset, view.elementCount] } : null);
    this.#tuple(nameless(), items);
    this.#put(0x51);
  }

  /** 'cpu' is a literal in torch and so written once; 'cuda:0' is put together anew for every tensor. */
  #location(location: string): Text {
    if (location.includes(':')) return text(location);
    const known = this.#locations.get(location) ?? text(location);
    this.#locations.set(location, known);
    return known;
  }

  /** Writes a reference and returns true where `identity` was written before. */
  #get(identity: unknown): boolean {
    const index = this.#memo.get(identity);
    if (index === undefined) return false;
    if (index < 256) this.#put(0x68, index);
    else this.#fixed(0x6a, 4, (view) => view.setUint32(0, index, true));
    return true;
  }

  #memoize(identity: unknown): void {
    const index = this.#memo.size;
    this.#memo.set(identity, index);
    if (index < 256) this.#put(0x71, index);
    else this.#fixed(0x72, 4, (view) => view.setUint32(0, index, true));
  }

  #fixed(opcode: number, length: number, set: (view: DataView) => void): void {
    const argument = new DataView(new ArrayBuffer(length));
    set(argument);
    this.#put(opcode);
    this.#append(new Uint8Array(argument.buffer));
  }

  #put(...bytes: readonly number[]): void {
    this.#append(Uint8Array.from(bytes));
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes.length));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

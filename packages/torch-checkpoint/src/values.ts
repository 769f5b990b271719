/** What a state dict's pickle can hold: plain data. Objects keep their identity, because picklers write by it. */
import type { DType } from '@weightspec/core';

export type Value = null | boolean | number | bigint | Float | Text | Tuple | List | Dict | GlobalName | Storage | Tensor | Parameter;

/** A float; integers are plain numbers (bigint above 2^53 − 1). */
export interface Float {
  readonly kind: 'float';
  readonly value: number;
}

export interface Text {
  readonly kind: 'text';
  readonly value: string;
}

export interface Tuple {
  readonly kind: 'tuple';
  readonly items: readonly Value[];
}

export interface List {
  readonly kind: 'list';
  readonly items: Value[];
}

export interface Dict {
  readonly kind: 'dict';
  /** collections.OrderedDict instead of dict. */
  readonly ordered: boolean;
  readonly keys: Value[];
  readonly values: Value[];
  /** Keys seen, as comparable primitives; made with the first key. */
  seen?: Set<string>;
  /** Set by BUILD: `{'_metadata': …}`. */
  attributes?: Dict;
  /** Used as the hooks of a tensor: must stay empty. */
  frozen?: boolean;
}

export interface StorageType {
  /** FloatStorage; UntypedStorage counts bytes. */
  readonly name: string;
  /** Absent for UntypedStorage. */
  readonly dtype?: DType;
  readonly bytesPerElement: number;
}

export interface GlobalName {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
  readonly role: 'ordered-dict' | 'rebuild-tensor-v2' | 'rebuild-tensor-v3' | 'rebuild-parameter' | 'storage-type' | 'dtype';
  readonly storageType?: StorageType;
  readonly dtype?: DType;
}

/** One storage record; the same object for every persistent id with the same key. */
export interface Storage {
  readonly kind: 'storage';
  readonly type: StorageType;
  readonly key: string;
  readonly location: string;
  readonly elementCount: number;
  /** Elements of the record that are skipped and seen through a legacy view; absent for the whole record. */
  readonly view?: { readonly key: string; readonly offset: number; readonly elementCount: number };
}

export interface Tensor {
  readonly kind: 'tensor';
  readonly storage: Storage;
  readonly dtype: DType;
  /** In elements from the start of the record. */
  readonly storageOffset: number;
  readonly size: readonly number[];
  /** In elements. */
  readonly stride: readonly number[];
  readonly requiresGrad: boolean;
  /** Where the pickle builds it, for messages. */
  readonly byteRange: readonly [number, number];
}

export interface Parameter {
  readonly kind: 'parameter';
  readonly data: Tensor;
  readonly requiresGrad: boolean;
}

export const text = (value: string): Text => ({ kind: 'text', value });
export const float = (value: number): Float => ({ kind: 'float', value });
export const newDict = (ordered: boolean): Dict => ({ kind: 'dict', ordered, keys: [], values: [] });
export const kindOf = (value: Value | undefined): string => (value === undefined ? 'nothing' : value === null ? 'None' : typeof value === 'object' ? value.kind : typeof value === 'boolean' ? 'bool' : 'int');

const isKind = <K extends string>(kind: K) => (value: Value | undefined): value is Extract<Value, { kind: K }> => typeof value === 'object' && value !== null && value.kind === kind;
export const isText = isKind('text');
export const isTuple = isKind('tuple');
export const isList = isKind('list');
export const isDict = isKind('dict');
export const isGlobal = isKind('global');
export const isStorage = isKind('storage');
export const isTensor = isKind('tensor');
export const isParameter = isKind('parameter');

/** A dictionary key as one comparable string, or undefined when a state dict has no such keys. */
export function comparableKey(key: Value): string | undefined {
  if (isText(key)) return `s${key.value}`;
  if (typeof key === 'number' || typeof key === 'bigint') return `i${key}`;
  return typeof key === 'boolean' ? `i${Number(key)}` : undefined; // True == 1 in Python
}

/** The value of the text key `name`. */
export function lookup(dict: Dict, name: string): Value | undefined {
  const index = dict.keys.findIndex((key) => isText(key) && key.value === name);
  return index < 0 ? undefined : dict.values[index];
}

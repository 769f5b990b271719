/** A checkpoint's whole object without some of its tensors; everything else stays as it was read. */
import { comparableKey, isDict, isParameter, isTensor, type Dict, type Value } from './values.js';

/** Copies the dicts that lose an entry, and no others. Names are those that reading gives: keys joined with dots, from `stateDictKey` on if there is one. */
export function withoutTensors(root: Value, stateDictKey: string | undefined, names: ReadonlySet<string>): Value {
  const prune = (value: Value, path: string): Value => (isDict(value) ? pruneDict(value, (key) => (path === '' ? key : `${path}.${key}`)) : value);
  const pruneDict = (dict: Dict, nameOf: (key: string) => string): Dict => {
    const entries = dict.keys.map((key, index) => ({ key, name: nameOf(comparableKey(key)!.slice(1)), value: dict.values[index]! }));
    const kept = entries.filter(({ name, value }) => !((isTensor(value) || isParameter(value)) && names.has(name))).map(({ key, name, value }) => ({ key, value: prune(value, name) }));
    if (kept.length === entries.length && kept.every(({ value }, index) => value === entries[index]!.value)) return dict;
    return { ...dict, keys: kept.map(({ key }) => key), values: kept.map(({ value }) => value) };
  };
  if (stateDictKey === undefined || !isDict(root)) return prune(root, '');
  return { ...root, values: root.values.map((value, index) => (comparableKey(root.keys[index]!) === `s${stateDictKey}` ? prune(value, '') : value)) };
}

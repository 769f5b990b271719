import type { MetadataValue } from '@weightspec/core';

/** The index as transformers writes it: Python's json.dumps(indent=2, sort_keys=True) and a line feed. */
export function encodeIndex(weightMap: ReadonlyMap<string, string>, metadata: { readonly [key: string]: MetadataValue }): Uint8Array {
  const members = (entries: readonly (readonly [string, string])[]): string =>
    entries.length === 0 ? '{}' : `{\n${entries.toSorted(([a], [b]) => compareCodePoints(a, b)).map(([key, value]) => `    ${asciiJson(key)}: ${value}`).join(',\n')}\n  }`;
  const inner = members(Object.entries(metadata).map(([key, value]) => [key, asciiJson(value)]));
  const map = members([...weightMap].map(([name, shard]) => [name, asciiJson(shard)]));
  return new TextEncoder().encode(`{\n  "metadata": ${inner},\n  "weight_map": ${map}\n}\n`);
}

/** JSON with everything above ASCII as `\\uXXXX`. */
const asciiJson = (value: MetadataValue): string => JSON.stringify(value).replaceAll(/[\u007f-\uffff]/g, (unit) => (unit === '\u007f' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));

/** Python sorts text by code points, JavaScript by UTF-16 units. */
function compareCodePoints(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  const place = left.findIndex((character, i) => character !== right[i]);
  if (place < 0) return left.length - right.length;
  return place >= right.length ? 1 : left[place]!.codePointAt(0)! - right[place]!.codePointAt(0)!;
}

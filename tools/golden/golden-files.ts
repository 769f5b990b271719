/** What every golden folder has in common: files as bytes, and the manifest that pins them by hash. */
import { createHash } from 'node:crypto';

export const GENERATOR = 'tools/golden/generate.ts';
export const REVISION = 1;

/** Path below fixtures/golden → bytes. */
export type GoldenFiles = ReadonlyMap<string, Uint8Array>;

/** JSON with two spaces of indentation, and lists of numbers or strings on one line. */
export function printJson(value: unknown, indent = ''): string {
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== 'object' || item === null)) return JSON.stringify(value);
    return `[\n${value.map((item) => deeper + printJson(item, deeper)).join(',\n')}\n${indent}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    if (entries.length === 0) return '{}';
    return `{\n${entries.map(([key, item]) => `${deeper}${JSON.stringify(key)}: ${printJson(item, deeper)}`).join(',\n')}\n${indent}}`;
  }
  return JSON.stringify(value);
}

export const jsonFile = (value: unknown): Uint8Array => new TextEncoder().encode(`${printJson(value)}\n`);
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The files of one folder and its manifest.json. `about` says what they are, the tolerance and how it was derived. */
export function withManifest(folder: string, files: Readonly<Record<string, Uint8Array>>, about: Readonly<Record<string, unknown>>): GoldenFiles {
  const manifest = {
    ...about,
    generator: GENERATOR,
    revision: REVISION,
    arithmetic: 'IEEE 754 binary64 by + - * / and sqrt alone (elementary functions in tools/golden/elementary.ts): the same bytes on every JavaScript engine',
    files: Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, { byteLength: bytes.length, sha256: sha256(bytes) }])),
  };
  return new Map([...Object.entries(files), ['manifest.json', jsonFile(manifest)] as const].map(([name, bytes]) => [`${folder}/${name}`, bytes]));
}

/** Largest absolute difference between two sets of rows. */
export function largestDifference(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  let largest = 0;
  for (const [t, row] of a.entries()) for (const [i, value] of row.entries()) largest = Math.max(largest, Math.abs(value - b[t]![i]!));
  return largest;
}

/** x > 0 to one or two significant digits, upwards. */
export function roundUp(x: number, digits: 1 | 2): number {
  let scale = 1;
  while (x * scale < (digits === 1 ? 1 : 10)) scale *= 10;
  return Math.ceil(x * scale) / scale;
}

/** Eight times what plain f32 arithmetic was seen to lose, and the words that say so. */
export function toleranceFrom(f32Difference: number): { readonly absolute: number; readonly f32Difference: number; readonly derivation: string } {
  return {
    absolute: roundUp(8 * f32Difference, 1),
    f32Difference: roundUp(f32Difference, 2),
    derivation:
      'The same forward with every single operation rounded to f32 (sums in index order) differs from float64 by f32Difference at most, over all rows. ' +
      'absolute is 8 times that, rounded up to one digit, to leave room for other summation orders, f32 exp, sin and cos, and the f32 freq tables of the file. It is no licence for f16 or int8 arithmetic.',
  };
}

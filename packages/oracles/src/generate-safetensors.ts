/** Makes small safetensors files from the clauses of specs/safetensors/README.md, and damages them. For tests; shares no code with any reader or writer. */
import { seededRandom } from './generate-llama2c.js';

const types = [
  ['U64', 8], ['I64', 8], ['F64', 8], ['C64', 8], ['F32', 4], ['U32', 4], ['I32', 4], ['BF16', 2], ['F16', 2], ['U16', 2], ['I16', 2],
  ['F8_E4M3', 1], ['F8_E5M2', 1], ['I8', 1], ['U8', 1], ['F6_E2M3', 0.75], ['F4', 0.5], ['BOOL', 1],
] as const;
const namePieces = ['a', 'weight', 'layers.0', '_', '"', '\\', 'é', '\u{1f642}', '\n', ' ', '__proto__', '/', '~'];

/** A valid file of up to `tensorCount` tensors, its members in random order, with odd names, empty tensors and any white space. */
export function generateSafetensors(tensorCount: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const space = (): string => (random() < 0.1 ? [' ', '\n', '\t ', '\r\n'][below(4)]! : '');
  const names = new Set(Array.from({ length: tensorCount }, () => Array.from({ length: below(4) }, () => namePieces[below(namePieces.length)]!).join('') + (random() < 0.5 ? String(below(50)) : '')));
  let end = 0;
  const entries = [...names].map((name) => {
    const [dtype, elementBytes] = types[below(types.length)]!;
    // The last dimension is a multiple of 4, so that packed types fill whole bytes.
    const shape = [...Array.from({ length: below(3) }, () => below(4)), 4 * below(3)];
    const begin = end;
    end += shape.reduce((product, dimension) => product * dimension, 1) * elementBytes;
    const fields = [`"dtype"${space()}:"${dtype}"`, `"shape":[${shape.join(`,${space()}`)}]`, `"data_offsets":${space()}[${begin},${end}]`];
    if (random() < 0.2) fields.reverse();
    return `${escaped(name)}:{${fields.join(`${space()},`)}}`;
  });
  if (random() < 0.3) entries.push(`"__metadata__":{${random() < 0.7 ? '"format":"pt"' : ''}}`);
  entries.sort(() => random() - 0.5);
  const text = new TextEncoder().encode(`{${entries.join(`,${space()}`)}${space()}}${' '.repeat(below(9))}`);
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  for (let i = 8 + text.length; i < bytes.length; i++) bytes[i] = below(256);
  return bytes;

  /** A JSON string; now and then a character is written as an escape. */
  function escaped(name: string): string {
    const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i));
    return `"${random() < 0.2 ? units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('') : JSON.stringify(name).slice(1, -1)}"`;
  }
}

const tokens = ['0', '1', '9', '-', '.', 'e', '"', '\\', '{', '}', '[', ']', ',', ':', ' ', '\n', 'null', '\\u0061', '\\ud800', '1.0', '18446744073709551616', '"a":', '"dtype":"U8",', '\u00e9'];

/** Cuts, lengthens or changes bytes; most often it puts, doubles or drops a piece of the header and mends the length. */
export function damageSafetensors(bytes: Uint8Array, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const spliced = (at: number, dropped: number, put: Uint8Array): Uint8Array => {
    const header = [...bytes.subarray(8, at), ...put, ...bytes.subarray(Math.min(headerEnd, at + dropped), headerEnd)];
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
    return Uint8Array.from([...length, ...header, ...bytes.subarray(headerEnd)]);
  };
  const at = 8 + below(headerEnd - 7);
  switch (below(6)) {
    case 0: return bytes.slice(0, below(bytes.length + 1));
    case 1: return Uint8Array.from([...bytes, ...Array.from({ length: 1 + below(9) }, () => below(256))]);
    case 2: {
      const copy = bytes.slice();
      copy[below(headerEnd)]! ^= 1 << below(8);
      return copy;
    }
    case 3: return spliced(at, 0, new TextEncoder().encode(tokens[below(tokens.length)]));
    case 4: return spliced(at, 1 + below(4), new Uint8Array(0));
    default: return spliced(at, 1, new TextEncoder().encode(tokens[below(tokens.length)]));
  }
}

/**
 * Mutations of bytes, of JSON text and of pickles: each gives a new array and leaves its input alone.
 * The kinds and the edge values follow what AFL and libFuzzer do (havoc stage; "interesting" integers).
 */
import type { Dice } from './random.js';

export type Mutation = (bytes: Uint8Array, dice: Dice) => Uint8Array;

/** Inputs stay about as small as the fixtures they come from: many small inputs find more than a few large ones. */
export const MOST_BYTES = 1 << 16;

const edges = [0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1000, 4095, 4096, 4097, 65535, 65536, 100_000_000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Half of all places lie in the first 256 bytes, where headers are. */
function place(length: number, dice: Dice): number {
  return dice.oneIn(2) ? dice.below(Math.min(length, 256)) : dice.below(length);
}

/** `bytes` with [start, end) replaced. */
export function spliced(bytes: Uint8Array, start: number, end: number, inserted: Uint8Array): Uint8Array {
  const room = MOST_BYTES - (bytes.length - (end - start));
  const added = inserted.subarray(0, Math.max(0, room));
  const out = new Uint8Array(bytes.length - (end - start) + added.length);
  out.set(bytes.subarray(0, start));
  out.set(added, start);
  out.set(bytes.subarray(end), start + added.length);
  return out;
}

/** A copy with one change made in place by `change`. */
const changed = (bytes: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  change(copy);
  return copy;
};

const span = (length: number, dice: Dice, most = 64): readonly [number, number] => {
  const start = place(length, dice);
  return [start, Math.min(length, start + 1 + dice.below(most))];
};

const byteMutations: readonly Mutation[] = [
  (bytes, dice) => changed(bytes, (copy) => void (copy[place(copy.length, dice)]! ^= 1 << dice.below(8))),
  (bytes, dice) => changed(bytes, (copy) => void (copy[place(copy.length, dice)] = dice.below(256))),
  (bytes, dice) => changed(bytes, (copy) => void (copy[place(copy.length, dice)]! += dice.below(35) - 17)),
  (bytes, dice) => changed(bytes, (copy) => void (copy[place(copy.length, dice)] = dice.pick(edges))),
  // Fields of four bytes mostly stand at multiples of four.
  (bytes, dice) => (bytes.length < 4 ? bytes : changed(bytes, (copy) => viewOf(copy).setUint32(Math.min(copy.length - 4, dice.oneIn(3) ? place(copy.length, dice) : place(copy.length, dice) & ~3), dice.pick(edges), dice.below(8) > 0))),
  (bytes, dice) => (bytes.length < 4 ? bytes : changed(bytes, (copy) => {
    const at = Math.min(copy.length - 4, place(copy.length, dice) & ~3);
    viewOf(copy).setInt32(at, viewOf(copy).getInt32(at, true) + dice.below(9) - 4, true);
  })),
  (bytes, dice) => (bytes.length < 8 ? bytes : changed(bytes, (copy) => viewOf(copy).setBigUint64(Math.min(copy.length - 8, place(copy.length, dice) & ~7), dice.pick([0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, BigInt(copy.length)]), true))),
  (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1)),
  (bytes, dice) => bytes.slice(0, Math.max(0, bytes.length - 1 - dice.below(8))),
  (bytes, dice) => spliced(bytes, ...span(bytes.length, dice), new Uint8Array(0)),
  (bytes, dice) => {
    const [start, end] = span(bytes.length, dice);
    return spliced(bytes, start, start, bytes.subarray(start, end));
  },
  (bytes, dice) => {
    const [start, end] = span(bytes.length, dice);
    const at = place(bytes.length, dice);
    return spliced(bytes, at, Math.min(bytes.length, at + end - start), bytes.subarray(start, end));
  },
  (bytes, dice) => spliced(bytes, bytes.length, bytes.length, new Uint8Array(1 + dice.below(64)).fill(dice.pick([0, 0xff, 0x20]))),
  (bytes, dice) => changed(bytes, (copy) => {
    const [start, end] = span(copy.length, dice);
    copy.fill(dice.pick([0, 0xff, 0x20, 0x41]), start, end);
  }),
];

export const mutateBytes: Mutation = (bytes, dice) => (bytes.length === 0 ? Uint8Array.of(dice.below(256)) : dice.pick(byteMutations)(bytes, dice));

/** Mostly the front of one input, then the rest of another. */
export function crossed(a: Uint8Array, b: Uint8Array, dice: Dice): Uint8Array {
  const at = dice.below(a.length + 1);
  return spliced(a, at, a.length, b.subarray(Math.min(b.length, dice.oneIn(2) ? at : dice.below(b.length + 1))));
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const deep = (depth: number, [open, close]: readonly [string, string]): string => open.repeat(depth) + close.repeat(depth);
const jsonValues = [
  '0', '-0', '-1', '1e999', '1e-400', '0.5', '64.0', '4294967296', '9007199254740991', '9007199254740992', '9007199254740993', '18446744073709551615', '18446744073709551616', '-9223372036854775809', '01', '0x10', 'NaN', 'Infinity', '1'.repeat(400),
  'null', 'true', 'false', '[]', '{}', '""', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"__proto__"', '"constructor"', '"../../x"', '"model.safetensors"', '"F32"', '"U8"', '"BOOL"', '"F4"', '"llama"', '"qwen"', '[0,0]', '[1,2,3,4]', '[[0]]', '{"a":{"a":{}}}', '{"__proto__":{"x":1}}',
  deep(100, ['[', ']']), deep(127, ['[', ']']), deep(128, ['[', ']']), deep(5000, ['[', ']']), deep(5000, ['{"a":', '}']), '['.repeat(20_000), `"${'x'.repeat(5000)}"`, `[${'0,'.repeat(2000)}0]`, `[${'1,'.repeat(1023)}1]`,
].map(text);
const jsonToken = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null/g;
const latin1 = new TextDecoder('latin1');

/** Replaces, doubles, drops or swaps tokens of JSON text: a string, a number, a literal, or a member with its comma. */
export const mutateJson: Mutation = (bytes, dice) => {
  const tokens = [...latin1.decode(bytes).matchAll(jsonToken)];
  if (tokens.length === 0 || dice.oneIn(5)) return mutateBytes(bytes, dice);
  const token = dice.pick(tokens);
  const [start, end] = [token.index, token.index + token[0].length];
  const other = dice.pick(tokens);
  const piece = bytes.subarray(other.index, other.index + other[0].length);
  switch (dice.below(8)) {
    case 0:
      return spliced(bytes, start, end, piece);
    case 1:
      return spliced(bytes, start, end, new Uint8Array(0));
    case 2: {
      const later = Math.max(end, other.index + other[0].length);
      return spliced(bytes, later, later, bytes.subarray(Math.min(start, other.index), later));
    }
    case 3:
      return spliced(bytes, end, end, text(`:${dice.oneIn(2) ? '1' : '{}'},"k${dice.below(100)}"`));
    case 4: {
      const value = Number(token[0]);
      return Number.isFinite(value) ? spliced(bytes, start, end, text(String(value + dice.below(9) - 4))) : spliced(bytes, start, end, dice.pick(jsonValues));
    }
    case 5:
      return spliced(bytes, start, start, text(dice.pick([' ', '\n', '\t', ',', ':', '{', '}', '[', ']', '\0', '\ufeff', '\\'])));
    default:
      return spliced(bytes, start, end, dice.pick(jsonValues));
  }
};

const le32 = (value: number): Uint8Array => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
const joined = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
/** Opcodes of pickletools, alone and with arguments that lie about sizes, loop, nest or name what must not be called. */
const pickleParts: readonly Uint8Array[] = [
  ...Array.from('(.012NQ}])tlduesabRo\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94', (char) => Uint8Array.of(char.charCodeAt(0))),
  ...['ctorch._utils\n_rebuild_tensor_v2\n', 'ctorch._utils\n_rebuild_parameter\n', 'ccollections\nOrderedDict\n', 'ctorch\nFloatStorage\n', 'ctorch\nHalfStorage\n', 'cos\nsystem\n', 'cbuiltins\neval\n', 'c\n\n', 'I1\n', 'I01\n', 'L99999999999999999999L\n', 'F1e999\n', "S'x'\n", 'Vx\n', 'g0\n', 'p0\n', 'i\n\n', 'P0\n'].map(text),
  ...[0, 1, 255].flatMap((value) => ['h', 'q', 'K', 'U', 'C', '\x8a', '\x8c', '\x80', '\x82'].map((op) => Uint8Array.of(op.charCodeAt(0), value))),
  ...[0, 5, 65536, 0x7fffffff, 0xffffffff].flatMap((value) => ['j', 'r', 'J', 'T', 'X', 'B', '\x8b', '\x84'].map((op) => joined(Uint8Array.of(op.charCodeAt(0)), le32(value)))),
  ...['\x8d', '\x8e', '\x95', '\x96'].flatMap((op) => [joined(Uint8Array.of(op.charCodeAt(0)), le32(2), le32(0)), joined(Uint8Array.of(op.charCodeAt(0)), le32(0xffffffff), le32(0xffffffff))]),
  text(']q\0h\0a'), text('}q\0(h\0h\0u'), text('2'.repeat(3000)), text('('.repeat(1200)), text(']'.repeat(3000)), text('\x85'.repeat(200)), text('(t'.repeat(200)), text(']2a'.repeat(200)), text('h\0h\0\x86q\0'.repeat(40)),
];

/** Inserts, replaces, repeats and drops opcodes, most of the time without knowing where one ends. */
export const mutatePickle: Mutation = (bytes, dice) => {
  if (dice.oneIn(3)) return mutateBytes(bytes, dice);
  const at = dice.below(bytes.length + 1);
  const part = dice.pick(pickleParts);
  return spliced(bytes, at, dice.oneIn(2) ? at : Math.min(bytes.length, at + part.length), part);
};

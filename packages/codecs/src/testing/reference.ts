/**
 * The mathematics of each codec in float64, written from the layouts and definitions of specs/codecs/README.md and sharing nothing
 * with the production code, so that tests can hold one against the other. Slow on purpose: exact numbers, one element at a time.
 */

/** A block type, by what distinguishes it. */
interface Family {
  readonly bytes: number;
  /** Number of codes below zero (symmetric codes) or `undefined` when the block stores a minimum. */
  readonly below?: number;
  readonly greatestCode: number;
  /** Scale from a block. */
  readonly steps: number;
}

const families: Readonly<Record<string, Family>> = {
  Q4_0: { bytes: 18, below: 8, greatestCode: 7, steps: 8 },
  Q5_0: { bytes: 22, below: 16, greatestCode: 15, steps: 16 },
  Q8_0: { bytes: 34, below: 127, greatestCode: 127, steps: 127 },
  Q4_1: { bytes: 20, greatestCode: 15, steps: 15 },
  Q5_1: { bytes: 24, greatestCode: 31, steps: 31 },
};

/** f16 by the definition: (−1)^s · 2^(e−15) · (1 + f/1024), and f · 2^−24 where e = 0. */
export function halfValue(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = bits % 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Nearest of the values of a 16-bit float to `value`, half to even, by the spacing of the values around it. */
function roundToFloat(value: number, fractionBits: number, leastExponent: number, greatestExponent: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  let exponent = Math.floor(Math.log2(Math.abs(value)));
  if (2 ** exponent > Math.abs(value)) exponent--;
  const spacing = 2 ** (Math.max(exponent, leastExponent) - fractionBits);
  const quotient = value / spacing;
  const floor = Math.floor(quotient);
  const rest = quotient - floor;
  const rounded = (rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor) * spacing;
  const magnitude = Math.abs(rounded) >= 2 ** (greatestExponent + 1) ? Infinity : Math.abs(rounded);
  return value < 0 ? -magnitude : magnitude;
}

export const roundToHalf = (value: number) => roundToFloat(value, 10, -14, 15);
export const roundToBf16 = (value: number) => roundToFloat(value, 7, -126, 127);

/** Codes of one encoded block, as the integers that multiply the scale. */
export function codesOf(name: string, block: Uint8Array): number[] {
  const family = families[name]!;
  if (name === 'Q8_0') return Array.from(block.subarray(2), (byte) => (byte > 127 ? byte - 256 : byte));
  const packed = block.subarray(family.bytes - 16);
  const fifth = name.startsWith('Q5') ? block.subarray(family.bytes - 20, family.bytes - 16) : undefined;
  return Array.from({ length: 32 }, (_, i) => {
    const nibble = i < 16 ? packed[i]! % 16 : Math.floor(packed[i - 16]! / 16);
    const bit = fifth ? Math.floor(fifth[Math.floor(i / 8)]! / 2 ** (i % 8)) % 2 : 0;
    return nibble + 16 * bit - (family.below ?? 0);
  });
}

const u16 = (bytes: Uint8Array, at: number) => bytes[at]! + 256 * bytes[at + 1]!;

/** Decodes one block exactly; the production code may differ by one rounding to f32. */
export function decodeBlock(name: string, block: Uint8Array): number[] {
  if (name === 'F32') return [new DataView(block.buffer, block.byteOffset).getFloat32(0, true)];
  if (name === 'F16') return [halfValue(u16(block, 0))];
  if (name === 'BF16') return [new DataView(Uint8Array.of(0, 0, block[0]!, block[1]!).buffer).getFloat32(0, true)];
  const scale = halfValue(u16(block, 0));
  const minimum = families[name]!.below === undefined ? halfValue(u16(block, 2)) : undefined;
  return codesOf(name, block).map((code) => (minimum === undefined ? code * scale : code * scale + minimum));
}

/** What a block is about to be divided by, unrounded: the scale, its sign, and the minimum. */
export interface Scaling {
  readonly scale: number;
  readonly minimum: number;
}

export function scalingOf(name: string, block: Float32Array): Scaling {
  const { steps, below } = families[name]!;
  const values = Array.from(block);
  if (below === undefined) {
    const minimum = values.reduce((least, value) => (value < least ? value : least));
    const maximum = values.reduce((greatest, value) => (value > greatest ? value : greatest));
    return { scale: (maximum - minimum) / steps, minimum };
  }
  const extremum = values.reduce((greatest, value) => (Math.abs(value) > Math.abs(greatest) ? value : greatest), 0);
  return { scale: name === 'Q8_0' ? Math.abs(extremum) / steps : -extremum / steps, minimum: 0 };
}

/** What a block would be stored as if nothing but the last step were rounded. */
export interface ExactEncoding extends Scaling {
  /** x in units of the scale, unrounded and unclamped; the code is the nearest integer. NaN where the scale is 0. */
  readonly positions: readonly number[];
  readonly codes: readonly number[];
}

export function exactEncoding(name: string, block: Float32Array): ExactEncoding {
  const { scale, minimum } = scalingOf(name, block);
  const { below = 0, greatestCode } = families[name]!;
  const positions = Array.from(block, (value) => (value - minimum) / scale);
  const codes = positions.map((position) => Math.min(greatestCode, Math.max(-below, Math.round(position))));
  return { scale, minimum, positions, codes };
}

/** The value that a plain type stores for `value`. */
export function roundPlain(name: string, value: number): number {
  if (name === 'F16') return roundToHalf(value);
  return name === 'BF16' ? roundToBf16(value) : value;
}

/** Half a unit in the last place of f16, for the bounds below. */
const halfError = (value: number) => Math.max(2 ** -11 * Math.abs(value), 2 ** -25);

/** Worst-case errors: section 4 of the specification, clause by clause. Only for blocks that `isStorable`. */
export function worstCaseErrors(name: string, block: Float32Array): number[] {
  if (name === 'F32') return [0];
  if (name === 'F16') return [halfError(block[0]!)];
  if (name === 'BF16') return [Math.max(2 ** -8 * Math.abs(block[0]!), 2 ** -134)];
  const { scale, minimum } = scalingOf(name, block);
  const d = Math.abs(scale);
  const { steps, below } = families[name]!;
  if (below === undefined) {
    const sum = 2 ** -24 * (Math.abs(minimum) * (1 + 2 ** -11) + steps * (d + halfError(d)));
    return Array.from(block, () => d * (0.5 + 2 ** -17) + steps * halfError(d) + halfError(minimum) + sum);
  }
  if (name === 'Q8_0') return Array.from(block, () => d * (0.5 + 2 ** -15) + 127 * halfError(d));
  const nearest = d * (0.5 + 2 ** -18) + steps * halfError(d);
  const clamped = d * (1 + 2 ** -18) + (steps - 1) * halfError(d);
  // scale has the sign opposite to the extremum: positions above steps − ½ have no code of their own.
  return Array.from(block, (value) => (value * Math.sign(scale) > (steps - 0.5) * d ? Math.max(nearest, clamped) : nearest));
}

/** Finite, and neither the scale nor the minimum nor (plain types) the value overflows when stored. */
export function isStorable(name: string, block: Float32Array): boolean {
  if (!block.every((value) => Number.isFinite(value))) return false;
  if (name === 'F32') return true;
  if (name === 'F16') return Math.abs(block[0]!) < 65520;
  if (name === 'BF16') return Number.isFinite(roundToBf16(block[0]!));
  const { scale, minimum } = scalingOf(name, block);
  return Math.abs(Math.fround(scale)) < 65520 && Math.abs(minimum) < 65520;
}

/**
 * fixtures/golden/codecs: each element type alone. Decoding must give the stated f32 bit for bit: codes times a binary16 scale are
 * exact, and what is added to them rounds once. Encoding binary16, bfloat16 and llama2.c's int8 has one right answer; ggml's blocks
 * leave the choice of codes to the encoder, so these have a bound for each element instead.
 */
import { blockTypeNames, blockTypes, decodeFrom, encodeAs, fromInt8Groups, toInt8Groups, type BlockTypeName } from './block-types.js';
import { powerOfTwo } from './elementary.js';
import { jsonFile, withManifest, type GoldenFiles } from './golden-files.js';
import { xorshift128, type Random } from './random.js';

const seed = 13;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const f32Hex = (values: Float32Array): string => hex(encodeAs('f32', values));

interface CodecCase {
  readonly name: string;
  readonly kind: 'dequantize' | 'quantize';
  /** f32, little-endian. */
  readonly values: string;
  /** Encoded; absent where several encodings are right. */
  readonly bytes?: string;
  readonly scales?: string;
  readonly groupSize?: number;
  /** Most by which each decoded element may differ from its value; absent where bytes are given. */
  readonly bound?: readonly number[];
}

const decoding = (name: string, type: BlockTypeName, bytes: Uint8Array): CodecCase => ({ name, kind: 'dequantize', bytes: hex(bytes), values: f32Hex(decodeFrom(type, bytes)) });

/** Every finite pattern of 16 bits with the exponents and fractions where mistakes are made. */
function halfCases(type: 'f16' | 'bf16', random: Random): CodecCase[] {
  const infinity = type === 'f16' ? 0x7c00 : 0x7f80;
  const patterns = [0, 1, 2, 0x3ff, 0x400, 0x401, 0x3bff, 0x3c00, 0x3c01, infinity - 1, ...Array.from({ length: 40 }, () => Math.floor(random.unit() * infinity))];
  const both = Uint16Array.from(patterns.flatMap((bits) => [bits, bits + 0x8000]));
  const fractionBits = type === 'f16' ? 10 : 7;
  // Ties, and their neighbours in f32: just below, on and above the middle between two values.
  const middles = Array.from({ length: 12 }, (_, i) => (1 + (2 * i + 1) / powerOfTwo(fractionBits + 1)) * powerOfTwo(i - 6));
  const near = Float32Array.from(middles.flatMap((x) => [x, x * (1 + powerOfTwo(-22)), x * (1 - powerOfTwo(-22)), -x]));
  const small = type === 'f16' ? [powerOfTwo(-24), powerOfTwo(-25), 3 * powerOfTwo(-25), 1023.5 * powerOfTwo(-24), powerOfTwo(-26), 65504, 65519] : [powerOfTwo(-126), 3.3e38];
  const random40 = random.centred(40, 2);
  const encoding = (name: string, values: Float32Array): CodecCase => ({ name, kind: 'quantize', values: f32Hex(values), bytes: hex(encodeAs(type, values)) });
  return [decoding('normal, subnormal, largest, both signs', type, new Uint8Array(both.buffer)), encoding('ties to even and their neighbours', near), encoding('the ends of the range', Float32Array.from(small.flatMap((x) => [x, -x]))), encoding('ordinary numbers', random40)];
}

/** Random codes under scales (and minimums) that are ordinary, zero, negative, subnormal and largest. */
function blockCases(type: BlockTypeName, random: Random): CodecCase[] {
  const { bytes: bytesPerBlock } = blockTypes[type];
  const scales: readonly (readonly [string, number])[] = [['an ordinary scale', 0x2e66], ['a negative scale', 0xae66], ['scale zero', 0], ['a subnormal scale', 0x0123], ['the largest scale', 0x7bff]];
  const hasMinimum = type === 'q4_1' || type === 'q5_1';
  const decoded = scales.map(([name, scale], i) => {
    const block = Uint8Array.from({ length: bytesPerBlock }, () => Math.floor(random.unit() * 256));
    const view = new DataView(block.buffer);
    view.setUint16(0, scale, true);
    if (hasMinimum) view.setUint16(2, [0xb155, 0x3155, 0x3c00, 0x8123, 0xfbff][i]!, true);
    return decoding(name, type, block);
  });
  const inputs: readonly (readonly [string, Float32Array])[] = [
    ['ordinary numbers', random.centred(64, 1)],
    ['one number far from the others', Float32Array.from(random.centred(32, 0.01), (value, i) => (i === 7 ? -3 : value))],
    ['zeros', new Float32Array(32)],
    ['all positive', random.centred(32, 1).map(Math.abs)],
    ['extremes of both signs', Float32Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? 5 : -5))],
  ];
  return [...decoded, ...inputs.map(([name, values]): CodecCase => ({ name, kind: 'quantize', values: f32Hex(values), bound: boundOf(type, values) }))];
}

/** Levels between the extremes of a block; of symmetric types, between 0 and the element of largest size. */
const steps: Partial<Readonly<Record<BlockTypeName, number>>> = { q4_0: 8, q4_1: 15, q5_0: 16, q5_1: 31, q8_0: 127 };

/**
 * Half a step, and what the scale (over all steps) and the minimum lose as binary16: 2^-11 of them, or 2^-25 where they are subnormal.
 * q4_0 and q5_0 have one level less on the other side, where a number as large as the largest loses a whole step.
 */
function boundOf(type: BlockTypeName, values: Float32Array): number[] {
  const count = steps[type]!;
  return Array.from({ length: values.length / 32 }, (_, i) => values.subarray(32 * i, 32 * i + 32)).flatMap((block) => {
    const [low, high] = [Math.min(...block), Math.max(...block)];
    const affine = type === 'q4_1' || type === 'q5_1';
    const span = affine ? high - low : Math.max(Math.abs(low), Math.abs(high));
    const step = span / count;
    const whole = type === 'q4_0' || type === 'q5_0' ? 1 : 0.5;
    const halves = span * powerOfTwo(-11) + (affine ? Math.abs(low) * powerOfTwo(-10) : 0) + (count + 1) * powerOfTwo(-25);
    return Array.from(block, () => Number(((whole * step + halves) * (1 + powerOfTwo(-9))).toPrecision(7)));
  });
}

function int8Cases(random: Random): CodecCase[] {
  const tie = Float32Array.from({ length: 32 }, (_, i) => (i === 0 ? 127 : i - 15.5));
  const inputs: readonly (readonly [string, Float32Array, number])[] = [['ordinary numbers', random.centred(96, 1), 32], ['groups of 8', random.centred(40, 0.02), 8], ['a group of zeros', Float32Array.from(random.centred(64, 1), (value, i) => (i < 32 ? 0 : value)), 32], ['ties to even', tie, 32]];
  return inputs.flatMap(([name, values, groupSize]): CodecCase[] => {
    const groups = toInt8Groups(values, groupSize);
    const encoded = { bytes: hex(new Uint8Array(groups.values.buffer)), scales: f32Hex(groups.scales), groupSize };
    return [{ name: `${name}, encoding`, kind: 'quantize', values: f32Hex(values), ...encoded }, { name: `${name}, decoding`, kind: 'dequantize', values: f32Hex(fromInt8Groups(groups, groupSize)), ...encoded }];
  });
}

export function codecsGolden(): GoldenFiles {
  const random = xorshift128(seed);
  const blocks = blockTypeNames.filter((name) => blockTypes[name].elements > 1);
  const all: readonly (readonly [string, string, readonly CodecCase[]])[] = [
    ['f16', 'F16', halfCases('f16', random)],
    ['bf16', 'BF16', halfCases('bf16', random)],
    ...blocks.map((type) => [type, type.toUpperCase(), blockCases(type, random)] as const),
    ['llama2c-q8', 'llama2c-q8', int8Cases(random)],
  ];
  return withManifest('codecs', Object.fromEntries(all.map(([file, storage, cases]) => [`${file}.json`, jsonFile({ storage, cases })])), {
    title: 'Small blocks of each element type, decoded and encoded',
    layout: 'values are f32 and bytes as stored, both little-endian in hexadecimal',
    seed,
    tolerance: { derivation: 'Decoding is exact. Encoding to F16, BF16 and llama2c-q8 is exact. Each element of a ggml block has its own bound: half a step (q4_0, q5_0: one step, for the far side has one level less), and what scale and minimum lose as binary16.' },
  });
}

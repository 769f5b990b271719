/**
 * Makes small llama2.c files of every layout, byte by byte from the clauses of specs/llama2c/README.md, and damages them.
 * For tests: shares no code with any reader or writer.
 */
import type { Llama2cVariant } from './reading.js';

export interface Llama2cRecipe {
  readonly variant: Llama2cVariant;
  /** dim is nHeads · headSize; nHeads is nKvHeads · queriesPerKv. */
  readonly headSize: number;
  readonly nKvHeads: number;
  readonly queriesPerKv: number;
  readonly hiddenDim: number;
  readonly nLayers: number;
  readonly vocabSize: number;
  readonly maxSeqLen: number;
  /** Taken for shared where the layout cannot hold a separate classifier (C-4.4, C-4.7). */
  readonly shared: boolean;
  /** Picks one of the group sizes that divide every matrix (or, in v1-experimental, each matrix). */
  readonly groupChoice: number;
  /** 256, or 128 for the older v1-experimental. */
  readonly headerBytes?: 128 | 256;
  /** `big` writes every number byte-swapped, which no clause allows (C-1.1). */
  readonly byteOrder?: 'little' | 'big';
  readonly seed: number;
  /** These three replace what follows from the fields above, and so make files that break C-1.5, C-1.6 or C-6.2 though their size is right. */
  readonly nHeads?: number;
  readonly dim?: number;
  readonly groupSize?: number;
}

/** A small, fast, seeded generator (mulberry32): numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The bytes of a whole, valid file (invalid only by its byte order, where that is `big`, and by the three fields that replace others). */
export function generateLlama2c(recipe: Llama2cRecipe): Uint8Array {
  const { variant, headSize, nKvHeads, hiddenDim: h, nLayers: L, vocabSize: V, maxSeqLen: S } = recipe;
  const H = recipe.nHeads ?? nKvHeads * recipe.queriesPerKv;
  const d = recipe.dim ?? H * headSize;
  const k = nKvHeads * Math.floor(d / H);
  const shared = recipe.shared || variant === 'v1-int8' || variant === 'v1-experimental';
  const random = seededRandom(recipe.seed);
  const out = byteWriter(recipe.byteOrder !== 'big');
  const floats = (count: number) => {
    for (let i = 0; i < count; i++) out.f32((random() - 0.5) * 0.2);
  };

  if (variant === 'v0') {
    for (const value of [d, h, L, H, nKvHeads, shared ? V : -V, S]) out.i32(value);
    floats(V * d + L * (d + 2 * d * d + 2 * k * d + d + 3 * d * h) + d);
    frequencyTable(out, Math.cos, S, Math.floor(d / H));
    frequencyTable(out, Math.sin, S, Math.floor(d / H));
    if (!shared) floats(V * d);
    return out.bytes();
  }

  const matrices = [V * d, ...[d * d, k * d, k * d, d * d, d * h, d * h, d * h].flatMap((count) => Array<number>(L).fill(count)), ...(shared ? [] : [V * d])];
  const isInt8 = variant !== 'v1-fp32' && variant !== 'v1-experimental';
  const groupSize = !isInt8 ? 0 : recipe.groupSize ?? commonDivisor([V * d, d * d, k * d, d * h], recipe.groupChoice);
  out.u32(0x616b3432);
  out.i32(variant.startsWith('v1') ? 1 : 2);
  for (const value of [d, h, L, H, nKvHeads, V, S]) out.i32(value);
  out.i8(shared ? 1 : 0);
  out.i32(groupSize);
  out.zeros((variant === 'v1-experimental' ? (recipe.headerBytes ?? 256) : 256) - 41);
  floats((2 * L + 1) * d);

  if (variant === 'v1-fp32') {
    for (const count of matrices) floats(count);
    return out.bytes();
  }
  if (variant === 'v1-experimental') {
    matrices.forEach((count, i) => {
      const ownGroupSize = commonDivisor([count], recipe.groupChoice + i);
      const { values, scales } = quantizedGroups(count, ownGroupSize, random);
      out.u32(ownGroupSize);
      for (const value of values) out.i8(value);
      for (const scale of scales) out.f32(scale * 127);
    });
    return out.bytes();
  }
  if (matrices.some((count) => count % groupSize !== 0)) {
    // As many bytes as a reader expects that forgets the rule and rounds the number of groups down.
    for (const count of matrices) out.zeros(count + 4 * Math.floor(count / groupSize));
    return out.bytes();
  }
  const quantized = matrices.map((count) => quantizedGroups(count, groupSize, random));
  if (variant === 'v2') {
    for (const { values, scales } of quantized) {
      for (const value of values) out.i8(value);
      for (const scale of scales) out.f32(scale);
    }
    return out.bytes();
  }
  for (const value of quantized.flatMap(({ values }) => values)) out.i8(value);
  for (const scale of quantized.flatMap(({ scales }) => scales)) out.f32(scale);
  return out.bytes();
}

/** C-2.5, in the f32 chain of torch. */
function frequencyTable(out: ByteWriter, wave: (angle: number) => number, positions: number, headSize: number): void {
  for (let t = 0; t < positions; t++) {
    for (let i = 0; i < headSize / 2; i++) out.f32(wave(Math.fround(t * Math.fround(10000 ** ((-2 * i) / headSize)))));
  }
}

/** C-6: in every group the largest |value| is 127; one group in eight is all zero with scale 0. */
function quantizedGroups(count: number, groupSize: number, random: () => number): { values: number[]; scales: number[] } {
  const values: number[] = [];
  const scales: number[] = [];
  for (let group = 0; group < count / groupSize; group++) {
    const zero = random() < 1 / 8;
    const peak = Math.floor(random() * groupSize);
    for (let i = 0; i < groupSize; i++) {
      const value = i === peak ? (random() < 0.5 ? 127 : -127) : Math.round((random() - 0.5) * 254);
      values.push(zero ? 0 : value);
    }
    scales.push(zero ? 0 : 1e-4 + random() * 1e-2);
  }
  return { values, scales };
}

/** A divisor that all counts share; `choice` picks which. */
function commonDivisor(counts: readonly number[], choice: number): number {
  const divisors = Array.from({ length: Math.min(...counts, 64) }, (_, i) => i + 1).filter((divisor) => counts.every((count) => count % divisor === 0));
  return divisors[choice % divisors.length]!;
}

interface ByteWriter {
  u32(value: number): void;
  i32(value: number): void;
  f32(value: number): void;
  i8(value: number): void;
  zeros(count: number): void;
  bytes(): Uint8Array;
}

function byteWriter(littleEndian: boolean): ByteWriter {
  let view = new DataView(new ArrayBuffer(1024));
  let end = 0;
  /** Appends `length` zero bytes; returns their offset in `view`, which may be a new one. */
  const append = (length: number): number => {
    if (end + length > view.byteLength) {
      const larger = new Uint8Array(2 * (end + length));
      larger.set(new Uint8Array(view.buffer));
      view = new DataView(larger.buffer);
    }
    end += length;
    return end - length;
  };
  return {
    u32(value) {
      const offset = append(4);
      view.setUint32(offset, value, littleEndian);
    },
    i32(value) {
      const offset = append(4);
      view.setInt32(offset, value, littleEndian);
    },
    f32(value) {
      const offset = append(4);
      view.setFloat32(offset, value, littleEndian);
    },
    i8(value) {
      const offset = append(1);
      view.setInt8(offset, value);
    },
    zeros(count) {
      append(count);
    },
    bytes: () => new Uint8Array(view.buffer.slice(0, end)),
  };
}

const INTERESTING_I32 = [0, 1, -1, 2, 3, 7, 64, 4096, 4097, 65536, 2 ** 24, 2 ** 31 - 1, -(2 ** 31)];

/** A damaged copy: what transfers, tools and fuzzers do to such files, mostly to the header. `random` gives numbers in [0, 1). */
export function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const hasMagic = copy.length >= 8 && view.getUint32(0, true) === 0x616b3432;
  const fieldOffset = (hasMagic ? 8 : 0) + 4 * below(7);
  if (copy.length < 44) return copy.slice(0, below(copy.length + 1));
  switch (below(hasMagic ? 12 : 8)) {
    case 0: return copy.slice(0, copy.length - 1 - below(Math.min(copy.length, 64)));
    case 1: return copy.slice(0, below(copy.length));
    case 2: return Uint8Array.from([...copy, ...Array.from({ length: 1 + below(64) }, () => below(256))]);
    case 3: copy[below(44)]! ^= 1 << below(8); return copy;
    case 4: copy[below(copy.length)]! ^= 1 << below(8); return copy;
    case 5: view.setInt32(fieldOffset, INTERESTING_I32[below(INTERESTING_I32.length)]!, true); return copy;
    case 6: view.setInt32(fieldOffset, view.getInt32(fieldOffset, true) * (random() < 0.5 ? -1 : 2), true); return copy;
    case 7: { // Two dimensions change places, as hidden_dim and n_layers do in a careless exporter.
      const other = (hasMagic ? 8 : 0) + 4 * below(7);
      const kept = view.getInt32(fieldOffset, true);
      view.setInt32(fieldOffset, view.getInt32(other, true), true);
      view.setInt32(other, kept, true);
      return copy;
    }
    case 8: view.setInt32(4, [0, 1, 2, 3, -1][below(5)]!, true); return copy;
    case 9: view.setInt32(37, random() < 0.3 ? INTERESTING_I32[below(INTERESTING_I32.length)]! : 1 + below(16), true); return copy;
    case 10: copy[36] = [0, 1, 2, 255][below(4)]!; return copy;
    default: { // A run of zeros or noise in the body.
      const start = below(copy.length);
      const noise = random() < 0.5;
      for (let i = start; i < Math.min(copy.length, start + 1 + below(256)); i++) copy[i] = noise ? below(256) : 0;
      return copy;
    }
  }
}

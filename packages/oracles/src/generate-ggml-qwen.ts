/**
 * Makes small (or, on disk, large and sparse) files of qwen.cpp's container byte by byte from the clauses of
 * specs/ggml-qwen/README.md, and damages them. For tests: shares no code with any reader or writer.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { seededRandom } from './generate-llama2c.js';
import type { GgmlQwenHeader } from './ggml-qwen.reading.js';

export interface GgmlQwenRecipe {
  /** 0 F32, 1 F16, 2 Q4_0, 3 Q4_1, 6 Q5_0, 7 Q5_1, 8 Q8_0. */
  readonly typeId: number;
  readonly vocabSize: number;
  /** A multiple of 32 in the quantized types. */
  readonly hiddenSize: number;
  /** Divides hiddenSize and leaves an even head size. */
  readonly heads: number;
  readonly layers: number;
  /** Width of the MLP; a multiple of 32 in the quantized types. */
  readonly ffn: number;
  readonly maxLength: number;
  readonly tokenIds: readonly [eos: number, pad: number, imStart: number, imEnd: number];
  /** Whether intermediate_size is ffn and not twice that, which is readable with a warning (G-2.7); ffn is then even, or a multiple of 64. */
  readonly undoubled?: boolean;
  /** Whether padding holds anything but zeros, which is a warning (G-3.4). */
  readonly noisyPadding?: boolean;
  readonly seed: number;
}

/** One record: its header and padding, and the place of its data. */
export interface GgmlQwenRecord {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  /** Up to the data. */
  readonly head: Uint8Array;
  readonly dataOffset: number;
  readonly dataLength: number;
}

export interface GgmlQwenPlan {
  readonly header: GgmlQwenHeader;
  readonly headerBytes: Uint8Array;
  readonly records: readonly GgmlQwenRecord[];
  readonly byteLength: number;
}

const blockOf: Readonly<Record<number, readonly [elements: number, bytes: number]>> = { 0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 6: [32, 22], 7: [32, 24], 8: [32, 34] };

/** Everything but the tensors' data. */
export function planGgmlQwen(recipe: GgmlQwenRecipe): GgmlQwenPlan {
  const { typeId, vocabSize: V, hiddenSize: h, heads, layers, ffn } = recipe;
  const [eos, pad, imStart, imEnd] = recipe.tokenIds;
  const header: GgmlQwenHeader = {
    ggml_type: typeId, vocab_size: V, hidden_size: h, num_attention_heads: heads, num_kv_heads: heads, num_hidden_layers: layers,
    intermediate_size: recipe.undoubled ? ffn : 2 * ffn, max_length: recipe.maxLength, eos_token_id: eos, pad_token_id: pad, im_start_id: imStart, im_end_id: imEnd,
  };
  const random = seededRandom(recipe.seed);
  const tensors: [string, ...number[]][] = [['transformer.wte.weight', V, h]];
  for (let i = 0; i < layers; i++) {
    const layer: [string, ...number[]][] = [
      ['ln_1.weight', h], ['attn.c_attn.weight', 3 * h, h], ['attn.c_attn.bias', 3 * h], ['attn.c_proj.weight', h, h],
      ['ln_2.weight', h], ['mlp.w1.weight', ffn, h], ['mlp.w2.weight', ffn, h], ['mlp.c_proj.weight', h, ffn],
    ];
    tensors.push(...layer.map(([name, ...shape]): [string, ...number[]] => [`transformer.h.${i}.${name}`, ...shape]));
  }
  tensors.push(['transformer.ln_f.weight', h], ['lm_head.weight', V, h]);

  const headerBytes = Uint8Array.from([...new TextEncoder().encode('ggml'), ...Object.values(header).flatMap(i32)]);
  const records: GgmlQwenRecord[] = [];
  let offset = headerBytes.length;
  for (const [name, ...shape] of tensors) {
    const type = shape.length === 2 ? typeId : 0;
    const fields = [...i32(name.length), ...new TextEncoder().encode(name), ...i32(shape.length), ...shape.flatMap(i32), ...i32(type)];
    const padding = Array.from({ length: (16 - ((offset + fields.length) % 16)) % 16 }, () => (recipe.noisyPadding ? Math.floor(random() * 256) : 0));
    const head = Uint8Array.from([...fields, ...padding]);
    const [elements, bytes] = blockOf[type]!;
    const dataLength = (shape.reduce((product, n) => product * n, 1) / elements) * bytes;
    records.push({ name, shape, offset, head, dataOffset: offset + head.length, dataLength });
    offset += head.length + dataLength;
  }
  return { header, headerBytes, records, byteLength: offset };
}

const i32 = (value: number): number[] => [...new Uint8Array(Int32Array.of(value).buffer)];

/** The bytes of a whole file with random data, valid but for the recipe's warnings. */
export function generateGgmlQwen(recipe: GgmlQwenRecipe): Uint8Array {
  const { headerBytes, records, byteLength } = planGgmlQwen(recipe);
  const random = seededRandom(recipe.seed + 1);
  const bytes = Uint8Array.from({ length: byteLength }, () => Math.floor(random() * 256));
  bytes.set(headerBytes);
  for (const { head, offset } of records) bytes.set(head, offset);
  return bytes;
}

/** Writes a file of any size whose data are holes. Returns its plan. */
export function writeSparseGgmlQwen(path: string, recipe: GgmlQwenRecipe): GgmlQwenPlan {
  const plan = planGgmlQwen(recipe);
  const fd = openSync(path, 'wx');
  try {
    writeSync(fd, plan.headerBytes, 0, plan.headerBytes.length, 0);
    for (const { head, offset } of plan.records) writeSync(fd, head, 0, head.length, offset);
    ftruncateSync(fd, plan.byteLength);
  } finally {
    closeSync(fd);
  }
  return plan;
}

const INTERESTING_I32 = [0, 1, -1, 2, 3, 4, 16, 31, 32, 33, 64, 4096, 4097, 65536, 2 ** 24, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)];

/** A damaged copy of a file made by this plan: what transfers, tools and fuzzers do to such files, mostly to headers. `random` gives numbers in [0, 1). */
export function mutateGgmlQwen(bytes: Uint8Array, { records }: GgmlQwenPlan, random: () => number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const record = records[below(records.length)]!;
  // An earlier mutation may have cut the file before this record.
  if (copy.length < 52 || copy.length < record.dataOffset) return copy.slice(0, below(copy.length + 1));
  const field = 4 + 4 * below(12);
  const recordFields = record.offset + 4 + record.name.length;
  const intermediate = 28;
  switch (below(16)) {
    case 0: return copy.slice(0, copy.length - 1 - below(Math.min(copy.length, 64)));
    case 1: return copy.slice(0, below(copy.length));
    case 2: return Uint8Array.from([...copy, ...Array.from({ length: 1 + below(64) }, () => below(256))]);
    case 3: copy[below(52)]! ^= 1 << below(8); return copy;
    case 4: copy[below(copy.length)]! ^= 1 << below(8); return copy;
    case 5: view.setInt32(field, INTERESTING_I32[below(INTERESTING_I32.length)]!, true); return copy;
    case 6: view.setInt32(field, view.getInt32(field, true) * (random() < 0.5 ? -1 : 2), true); return copy;
    case 7: { // Two fields change places.
      const other = 4 + 4 * below(12);
      const kept = view.getInt32(field, true);
      view.setInt32(field, view.getInt32(other, true), true);
      view.setInt32(other, kept, true);
      return copy;
    }
    case 8: copy[record.offset + below(record.head.length)]! ^= 1 << below(8); return copy;
    case 9: view.setInt32(record.offset, random() < 0.5 ? record.name.length + 1 - below(3) : INTERESTING_I32[below(INTERESTING_I32.length)]!, true); return copy;
    case 10: view.setInt32(recordFields + 4 * below(record.shape.length + 2), random() < 0.5 ? below(5) : INTERESTING_I32[below(INTERESTING_I32.length)]!, true); return copy;
    case 11: view.setInt32(intermediate, view.getInt32(intermediate, true) / (random() < 0.5 ? 2 : 0.5), true); return copy;
    case 12: return Uint8Array.from([...copy.subarray(0, record.offset), ...copy.subarray(record.dataOffset + record.dataLength)]); // One record is missing.
    case 13: view.setInt32(24, view.getInt32(24, true) + (random() < 0.5 ? 1 : -1), true); return copy; // One layer more or fewer.
    case 14: copy.fill(below(256), recordFields + 4 + 4 * record.shape.length + 4, record.dataOffset); return copy; // Padding.
    default: { // A run of zeros or noise.
      const start = below(copy.length);
      const noise = random() < 0.5;
      for (let i = start; i < Math.min(copy.length, start + 1 + below(256)); i++) copy[i] = noise ? below(256) : 0;
      return copy;
    }
  }
}

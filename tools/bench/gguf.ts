/**
 * GGUF version 3, as far as llama.cpp needs it to run a synthetic model: see ggml's docs/gguf.md. Little-endian.
 * A vocabulary of made-up pieces, because llama.cpp loads none without; matrices in one type, everything else in F32.
 */
import { open } from 'node:fs/promises';
import { codecOf } from '@weightspec/codecs';
import { byteLength, dtype, elementCount, readChunks, type DType } from '@weightspec/core';
import type { NamedTensor, Shape } from './synthetic.js';

const typeIds: Readonly<Record<string, number>> = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, BF16: 30 };
const ALIGNMENT = 32;
/** Whole blocks of every type. */
const CHUNK_BYTES = 1 << 22;

class Bytes {
  private readonly parts: Buffer[] = [];

  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    return this.raw(part);
  }

  u64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    return this.raw(part);
  }

  text(value: string): this {
    const part = Buffer.from(value);
    return this.u64(part.length).raw(part);
  }

  raw(part: Uint8Array): this {
    this.parts.push(Buffer.from(part));
    return this;
  }

  all(): Buffer {
    return Buffer.concat(this.parts);
  }
}

type Value = { readonly u32: number } | { readonly f32: number } | { readonly text: string } | { readonly texts: readonly string[] } | { readonly f32s: Float32Array } | { readonly i32s: Int32Array };

/** Ids of the value types: u32 4, i32 5, f32 6, string 8, array 9. */
function writeValue(out: Bytes, value: Value): void {
  if ('u32' in value) out.u32(4).u32(value.u32);
  else if ('f32' in value) out.u32(6).raw(new Uint8Array(Float32Array.of(value.f32).buffer));
  else if ('text' in value) out.u32(8).text(value.text);
  else if ('texts' in value) {
    out.u32(9).u32(8).u64(value.texts.length);
    for (const text of value.texts) out.text(text);
  } else if ('f32s' in value) out.u32(9).u32(6).u64(value.f32s.length).raw(new Uint8Array(value.f32s.buffer));
  else out.u32(9).u32(5).u64(value.i32s.length).raw(new Uint8Array(value.i32s.buffer));
}

/** SentencePiece's three control pieces, the 256 bytes, then pieces that are all different. */
function vocabulary(size: number): Readonly<Record<string, Value>> {
  const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');
  const texts = Array.from({ length: size }, (_, id) => ['<unk>', '<s>', '</s>'][id] ?? (id < 259 ? `<0x${hex(id - 3)}>` : `▁t${id}`));
  const kinds = Int32Array.from({ length: size }, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
  return {
    'tokenizer.ggml.model': { text: 'llama' },
    'tokenizer.ggml.tokens': { texts },
    'tokenizer.ggml.scores': { f32s: Float32Array.from({ length: size }, (_, id) => -id) },
    'tokenizer.ggml.token_type': { i32s: kinds },
    'tokenizer.ggml.bos_token_id': { u32: 1 },
    'tokenizer.ggml.eos_token_id': { u32: 2 },
    'tokenizer.ggml.unknown_token_id': { u32: 0 },
  };
}

function metadata(shape: Shape): Readonly<Record<string, Value>> {
  const { architecture: a, dim, hidden, layers, heads, kvHeads, vocab, positions, ropeTheta, normEps } = shape;
  return {
    'general.architecture': { text: a },
    'general.name': { text: 'synthetic' },
    [`${a}.context_length`]: { u32: positions },
    [`${a}.embedding_length`]: { u32: dim },
    [`${a}.block_count`]: { u32: layers },
    [`${a}.feed_forward_length`]: { u32: hidden },
    [`${a}.attention.head_count`]: { u32: heads },
    [`${a}.attention.head_count_kv`]: { u32: kvHeads },
    [`${a}.attention.layer_norm_rms_epsilon`]: { f32: normEps },
    [`${a}.rope.freq_base`]: { f32: ropeTheta },
    [`${a}.rope.dimension_count`]: { u32: dim / heads },
    [`${a}.vocab_size`]: { u32: vocab },
    ...vocabulary(vocab),
  };
}

/** One tensor of a file that was written: enough to read it without a GGUF reader. */
export interface PlacedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
}

const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

/** Writes `path`, matrices as `type`. Returns where each tensor is, by its own name. */
export async function writeGguf(path: string, shape: Shape, tensors: readonly NamedTensor[], type: DType): Promise<readonly PlacedTensor[]> {
  const typeOf = (size: readonly number[]): DType => (size.length === 2 ? type : dtype('F32'));
  const header = new Bytes().raw(Buffer.from('GGUF')).u32(3).u64(tensors.length);
  const entries = Object.entries(metadata(shape));
  header.u64(entries.length);
  for (const [key, value] of entries) writeValue(header.text(key), value);
  let offset = 0;
  const offsets: number[] = [];
  for (const { gguf, tensor } of tensors) {
    header.text(gguf).u32(tensor.shape.length);
    // Innermost dimension first.
    for (const extent of tensor.shape.toReversed()) header.u64(extent);
    header.u32(typeIds[typeOf(tensor.shape).name]!).u64(offset);
    offsets.push(offset);
    offset = aligned(offset + byteLength(typeOf(tensor.shape), elementCount(tensor.shape)));
  }
  const head = header.all();
  const dataStart = aligned(head.length);

  const file = await open(path, 'w');
  try {
    await file.write(head);
    for (const [i, { tensor }] of tensors.entries()) {
      const codec = codecOf(typeOf(tensor.shape));
      let at = dataStart + offsets[i]!;
      for await (const chunk of readChunks(tensor.location.source, 0, tensor.location.length, CHUNK_BYTES)) {
        const bytes = codec.quantize(new Float32Array(chunk.buffer, chunk.byteOffset, chunk.byteLength / 4));
        await file.write(bytes, 0, bytes.length, at);
        at += bytes.length;
      }
    }
    await file.truncate(dataStart + offset);
  } finally {
    await file.close();
  }
  return tensors.map(({ tensor }, i) => ({ name: tensor.name, dtype: typeOf(tensor.shape).name, shape: tensor.shape, offset: dataStart + offsets[i]! }));
}

/**
 * The fixed list of tensors behind the header, one record after the other. Source: qwen.cpp@e532c24 read_tensor,
 * convert.py dump_model. Clauses G-2, G-3. All integers are i32, little-endian.
 */
import { byteLength, dtype, elementCount, type DType } from '@weightspec/core';

export const HEADER_BYTES = 52;
export const MAX_LAYERS = 4096;
const ALIGNMENT = 16;

export const fieldNames = [
  'ggml_type', 'vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers',
  'intermediate_size', 'max_length', 'eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id',
] as const;
export type FieldName = (typeof fieldNames)[number];
export type QwenConfig = Readonly<Record<FieldName, number>>;

/** [start, end) of a header field. */
export function fieldRange(field: FieldName): readonly [number, number] {
  const start = 4 + 4 * fieldNames.indexOf(field);
  return [start, start + 4];
}

/** ggml type numbers of this container (G-2.3). */
export const ggmlTypes: ReadonlyMap<number, DType> = new Map(
  ([[0, 'F32'], [1, 'F16'], [2, 'Q4_0'], [3, 'Q4_1'], [6, 'Q5_0'], [7, 'Q5_1'], [8, 'Q8_0']] as const).map(([id, name]) => [id, dtype(name)]),
);
const F32_ID = 0;

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The MLP's width as qwen.cpp takes it from the header (G-2.7). */
export const halvedWidth = (config: QwenConfig): number => Math.floor(config.intermediate_size / 2);

/** Names and shapes in file order (G-3.2), made as they are asked for: a damaged layer count must not fill memory. */
export function* tensorSpecs(config: QwenConfig, ffn = halvedWidth(config)): Generator<TensorSpec> {
  const { vocab_size: vocab, hidden_size: hidden } = config;
  yield { name: 'transformer.wte.weight', shape: [vocab, hidden] };
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `transformer.h.${layer}.`;
    yield { name: `${prefix}ln_1.weight`, shape: [hidden] };
    yield { name: `${prefix}attn.c_attn.weight`, shape: [3 * hidden, hidden] };
    yield { name: `${prefix}attn.c_attn.bias`, shape: [3 * hidden] };
    yield { name: `${prefix}attn.c_proj.weight`, shape: [hidden, hidden] };
    yield { name: `${prefix}ln_2.weight`, shape: [hidden] };
    yield { name: `${prefix}mlp.w1.weight`, shape: [ffn, hidden] };
    yield { name: `${prefix}mlp.w2.weight`, shape: [ffn, hidden] };
    yield { name: `${prefix}mlp.c_proj.weight`, shape: [hidden, ffn] };
  }
  yield { name: 'transformer.ln_f.weight', shape: [hidden] };
  yield { name: 'lm_head.weight', shape: [vocab, hidden] };
}

/** One record as the header implies it. */
export interface TensorRecord extends TensorSpec {
  readonly typeId: number;
  readonly dtype: DType;
  /** Absolute offset of the name length. */
  readonly headerOffset: number;
  /** Bytes from there to the end of the type field. */
  readonly headerLength: number;
  readonly dataOffset: number;
  readonly dataLength: number;
}

const nameBytes = (name: string): number => 4 + name.length; // names are ASCII

/** The record that `spec` makes at `headerOffset`. */
export function recordAt(spec: TensorSpec, headerOffset: number, matrixType: number): TensorRecord {
  const typeId = spec.shape.length === 2 ? matrixType : F32_ID;
  const type = ggmlTypes.get(typeId)!;
  const headerLength = nameBytes(spec.name) + 4 + 4 * spec.shape.length + 4;
  const dataOffset = Math.ceil((headerOffset + headerLength) / ALIGNMENT) * ALIGNMENT;
  return { ...spec, typeId, dtype: type, headerOffset, headerLength, dataOffset, dataLength: byteLength(type, elementCount(spec.shape)) };
}

/** Every record in file order. */
export function* records(config: QwenConfig, ffn = halvedWidth(config)): Generator<TensorRecord> {
  let position = HEADER_BYTES;
  for (const spec of tensorSpecs(config, ffn)) {
    const record = recordAt(spec, position, config.ggml_type);
    yield record;
    position = record.dataOffset + record.dataLength;
  }
}

/** Bytes of a record's header and padding, up to its data. */
export function encodeRecordHeader(record: TensorRecord): Uint8Array {
  const bytes = new Uint8Array(record.dataOffset - record.headerOffset);
  const view = new DataView(bytes.buffer);
  const name = new TextEncoder().encode(record.name);
  view.setInt32(0, name.length, true);
  bytes.set(name, 4);
  const rest = [record.shape.length, ...record.shape, record.typeId];
  rest.forEach((value, i) => view.setInt32(4 + name.length + 4 * i, value, true));
  return bytes;
}

/** A lower bound of the file size (no record headers), exact for any i32 header: tells overflow before floats round. */
export function leastSize(config: QwenConfig): bigint {
  const { blockSize, bytesPerBlock } = ggmlTypes.get(config.ggml_type)!;
  const [vocab, hidden, layers] = [config.vocab_size, config.hidden_size, config.num_hidden_layers].map(BigInt) as [bigint, bigint, bigint];
  const ffn = BigInt(halvedWidth(config));
  const matrixElements = 2n * vocab * hidden + layers * (4n * hidden * hidden + 3n * ffn * hidden);
  return BigInt(HEADER_BYTES) + (matrixElements * BigInt(bytesPerBlock)) / BigInt(blockSize) + 4n * (layers * 5n * hidden + hidden);
}

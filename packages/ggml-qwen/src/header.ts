/** The 52-byte header and the rules that its fields obey alone. Clauses G-2. */
import type { Diagnostic } from '@weightspec/core';
import { ggmlQwenDiagnostic } from './codes.js';
import { MAX_LAYERS, fieldNames, fieldRange, ggmlTypes, leastSize, type FieldName, type QwenConfig } from './layout.js';

const MAGIC = [0x67, 0x67, 0x6d, 0x6c];
const MAX_CACHE_POSITIONS = 2 ** 20;
const positiveFields: readonly FieldName[] = ['vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers', 'intermediate_size', 'max_length'];
const tokenFields: readonly FieldName[] = ['eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id'];

/** Whether the file starts with `ggml`, or with three of those four bytes in place. */
export function magicOf(head: Uint8Array): 'exact' | 'damaged' | 'none' {
  if (head.length < 4) return 'none';
  const agreeing = MAGIC.filter((byte, i) => head[i] === byte).length;
  return agreeing === 4 ? 'exact' : agreeing === 3 ? 'damaged' : 'none';
}

export function readConfig(head: Uint8Array, littleEndian = true): QwenConfig {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return Object.fromEntries(fieldNames.map((name, i) => [name, view.getInt32(4 + 4 * i, littleEndian)])) as Record<FieldName, number>;
}

export function encodeHeader(config: QwenConfig): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * fieldNames.length);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  fieldNames.forEach((name, i) => view.setInt32(4 + 4 * i, config[name], true));
  return bytes;
}

/** How many of the size-giving fields look like a model's. */
export const plausibleFields = (config: QwenConfig): number =>
  positiveFields.filter((field) => config[field] >= 1 && config[field] <= 2 ** 22).length + (ggmlTypes.has(config.ggml_type) ? 1 : 0);

/** Every rule of G-2 that one header can break. */
export function checkConfig(config: QwenConfig, source: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  const report = (code: Parameters<typeof ggmlQwenDiagnostic>[0], field: FieldName, message: string) =>
    found.push(ggmlQwenDiagnostic(code, source, { byteRange: fieldRange(field), pointer: `/metadata/${field}`, message }));
  const type = ggmlTypes.get(config.ggml_type);
  if (!type) report('GGML_QWEN_TYPE', 'ggml_type', `ggml_type is ${config.ggml_type}`);
  for (const field of positiveFields) {
    if (config[field] < 1) report('GGML_QWEN_NOT_POSITIVE', field, `${field} is ${config[field]}; it must be at least 1`);
  }
  const { hidden_size: hidden, num_attention_heads: heads, num_kv_heads: kvHeads, num_hidden_layers: layers, intermediate_size: intermediate } = config;
  if (layers > MAX_LAYERS) report('GGML_QWEN_TOO_MANY_LAYERS', 'num_hidden_layers', `num_hidden_layers is ${layers}; the limit is ${MAX_LAYERS}`);
  if (hidden >= 1 && heads >= 1) {
    if (hidden % heads !== 0) report('GGML_QWEN_HEADS_DIVIDE_HIDDEN', 'num_attention_heads', `num_attention_heads = ${heads} does not divide hidden_size = ${hidden}`);
    else if ((hidden / heads) % 2 !== 0) report('GGML_QWEN_HEAD_SIZE_ODD', 'num_attention_heads', `the head size ${hidden} / ${heads} = ${hidden / heads} is odd`);
    if (kvHeads >= 1 && kvHeads !== heads) report('GGML_QWEN_KV_HEADS', 'num_kv_heads', `num_kv_heads = ${kvHeads} differs from num_attention_heads = ${heads}`);
  }
  if (intermediate >= 1 && intermediate % 2 !== 0) report('GGML_QWEN_INTERMEDIATE_ODD', 'intermediate_size', `intermediate_size = ${intermediate} is odd; it is twice the MLP's width`);
  if (type && type.blockSize > 1) {
    if (hidden >= 1 && hidden % type.blockSize !== 0) report('GGML_QWEN_ROW_BLOCKS', 'hidden_size', `hidden_size = ${hidden} is not a multiple of ${type.blockSize}, as ${type.name} needs`);
    const ffn = intermediate / 2;
    if (intermediate >= 1 && Number.isInteger(ffn) && ffn % type.blockSize !== 0) report('GGML_QWEN_ROW_BLOCKS', 'intermediate_size', `intermediate_size / 2 = ${ffn} is not a multiple of ${type.blockSize}, as ${type.name} needs`);
  }
  if (config.max_length > MAX_CACHE_POSITIONS) report('GGML_QWEN_MAX_LENGTH_LARGE', 'max_length', `max_length is ${config.max_length}; qwen.cpp allocates a cache of ${config.max_length} positions at once`);
  for (const field of tokenFields) {
    if (config[field] < 0 || (config.vocab_size >= 1 && config[field] >= config.vocab_size)) report('GGML_QWEN_TOKEN_ID', field, `${field} is ${config[field]}; ids lie in [0, ${config.vocab_size})`);
  }
  const [start] = fieldRange('max_length');
  const [, end] = fieldRange('im_end_id');
  found.push(ggmlQwenDiagnostic('GGML_QWEN_NOT_CHECKABLE', source, { byteRange: [start, end], message: `max_length = ${config.max_length} and the token ids ${tokenFields.map((field) => config[field]).join(', ')} are not checkable: nothing else in the file depends on them` }));
  if (!found.some((d) => d.severity === 'error') && leastSize(config) > BigInt(Number.MAX_SAFE_INTEGER)) {
    found.push(ggmlQwenDiagnostic('GGML_QWEN_SIZE_OVERFLOW', source, { byteRange: [fieldRange('vocab_size')[0], fieldRange('intermediate_size')[1]], message: `the header implies at least ${leastSize(config)} bytes` }));
  }
  return found;
}

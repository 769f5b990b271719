/** Contents of the files in examples: small models under Hugging Face's names, and files of the fixtures. */
import { readFileSync } from 'node:fs';
import { dtype, elementCount, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { encodeHeader } from '@weightspec/safetensors';

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export interface Contents {
  readonly bytes: Uint8Array;
  readonly about: string;
}

/** A tensor of a file that is made here: elements count from a value that its name decides. */
export interface Stored {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type?: string;
  readonly bytes?: Uint8Array;
}

const valuesOf = ({ name, shape }: Stored): Float32Array => Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.fround((/norm/.test(name) ? 1 : 0) + Math.sin(1 + i + name.length) / 4));

/** A safetensors file of `tensors`, in the order given. */
export function safetensorsOf(tensors: readonly Stored[], about?: string): Contents {
  const parts = tensors.map((tensor) => {
    const type = dtype(tensor.type ?? 'F32');
    return { ...tensor, dtype: type, bytes: tensor.bytes ?? (type.name === 'F32' ? new Uint8Array(valuesOf(tensor).buffer) : new Uint8Array(elementCount(tensor.shape) * type.bytesPerBlock)) };
  });
  const infos = parts.map(({ name, shape, dtype: type, bytes }): TensorInfo => ({ name, shape, dtype: type, location: { source: memorySource(bytes), offset: 0, length: bytes.length } }));
  const all = [encodeHeader(infos, { format: 'pt' }), ...parts.map(({ bytes }) => bytes)];
  const file = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of all) {
    file.set(part, at);
    at += part.length;
  }
  return { bytes: file, about: about ?? (tensors.length > 2 ? `${tensors.length} tensors` : tensors.map(({ name, shape, type = 'F32' }) => `${name} ${type} [${shape.join(', ')}]`).join(', ')) };
}

export interface Sizes {
  readonly dim: number;
  readonly hidden: number;
  readonly kv: number;
  readonly vocab: number;
}

/** Shapes of a Llama of one layer under Hugging Face's names. */
export function llamaShapes({ dim, hidden, kv, vocab }: Sizes): Readonly<Record<string, readonly number[]>> {
  const at = 'model.layers.0.';
  return {
    'model.embed_tokens.weight': [vocab, dim],
    [`${at}input_layernorm.weight`]: [dim],
    [`${at}self_attn.q_proj.weight`]: [dim, dim],
    [`${at}self_attn.k_proj.weight`]: [kv, dim],
    [`${at}self_attn.v_proj.weight`]: [kv, dim],
    [`${at}self_attn.o_proj.weight`]: [dim, dim],
    [`${at}post_attention_layernorm.weight`]: [dim],
    [`${at}mlp.gate_proj.weight`]: [hidden, dim],
    [`${at}mlp.up_proj.weight`]: [hidden, dim],
    [`${at}mlp.down_proj.weight`]: [dim, hidden],
    'model.norm.weight': [dim],
    'lm_head.weight': [vocab, dim],
  };
}

export const stored = (shapes: Readonly<Record<string, readonly number[]>>, types: Readonly<Record<string, string>> = {}): readonly Stored[] => Object.entries(shapes).map(([name, shape]) => ({ name, shape, ...(types[name] === undefined ? {} : { type: types[name] }) }));

export const configOf = ({ dim, hidden, vocab }: Sizes, heads: number, kvHeads: number, changes: object = {}): string =>
  JSON.stringify({ model_type: 'llama', hidden_size: dim, intermediate_size: hidden, num_hidden_layers: 1, num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: vocab, rms_norm_eps: 1e-5, max_position_embeddings: 16, torch_dtype: 'float32', tie_word_embeddings: false, ...changes });

/** A file of the repository's fixtures. */
export function fixture(path: string, about = `fixtures/${path}`): Contents {
  // From tools/docs/situations, or tools/dist/docs/situations where the build puts this file.
  const here = new URL('.', import.meta.url);
  const root = here.pathname.includes('/dist/') ? new URL('../../../../', here) : new URL('../../../', here);
  return { bytes: new Uint8Array(readFileSync(new URL(`fixtures/${path}`, root))), about };
}

export const withoutName = (shapes: Readonly<Record<string, readonly number[]>>, name: string): Readonly<Record<string, readonly number[]>> => Object.fromEntries(Object.entries(shapes).filter(([key]) => key !== name));

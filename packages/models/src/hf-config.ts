/**
 * Hugging Face's config.json. Sources: transformers configuration_llama.py, configuration_qwen2.py (v4 and v5: the latter nests
 * rope_theta in rope_parameters), QwenLM/Qwen configuration_qwen.py.
 * What would change the forward pass and is not computed here (RoPE scaling, sliding windows, other activations) is refused.
 */
import type { DecoderConfig } from './decoder-config.js';
import { ModelError } from './errors.js';
import { FieldReader, objectOf } from './field-reader.js';

/** Throws ModelError (MODEL_CONFIG) naming everything that is missing or not supported. */
export function decoderConfigFromHf(json: unknown): DecoderConfig {
  const fields = objectOf(json);
  if (!fields) throw new ModelError('MODEL_CONFIG', ['config.json holds no object']);
  const read = new FieldReader('config.json', fields);
  const type = read.text('model_type');
  if (type !== 'llama' && type !== 'qwen2' && type !== 'qwen') {
    read.expect(type === '', `the model type ${JSON.stringify(type)} is none of llama, qwen2, qwen`);
    read.done();
  }
  const config = type === 'qwen' ? qwen1Config(read) : llamaConfig(read, type === 'qwen2' ? 'qwen2' : 'llama');
  read.done();
  return config;
}

/** Ids that end a text: eos_token_id, which may be several. */
export function stopTokensFromHf(json: unknown): readonly number[] {
  const ids = objectOf(json)?.eos_token_id;
  return (Array.isArray(ids) ? ids : [ids]).filter((id) => typeof id === 'number');
}

function llamaConfig(read: FieldReader, architecture: 'llama' | 'qwen2'): DecoderConfig {
  const dim = read.number('hidden_size');
  const heads = read.number('num_attention_heads');
  const activation = read.text('hidden_act', 'silu');
  read.expect(activation === 'silu', `the activation ${activation} is not supported; silu is`);
  // In Llama these add biases to o_proj too, and to the feed-forward; no published Llama has them.
  for (const flag of ['attention_bias', 'mlp_bias']) read.expect(architecture === 'qwen2' || !read.flag(flag, false), `${flag} is not supported`);
  read.expect(!read.flag('use_sliding_window', false), 'use_sliding_window is not supported');
  const partial = read.number('partial_rotary_factor', 1);
  read.expect(partial === 1, `partial_rotary_factor ${partial} is not supported`);
  return {
    architecture,
    dim,
    hiddenDim: read.number('intermediate_size'),
    layers: read.number('num_hidden_layers'),
    heads,
    kvHeads: read.number('num_key_value_heads', heads),
    headDim: read.number('head_dim', dim / heads),
    vocabSize: read.number('vocab_size'),
    // What transformers takes where the file does not say.
    maxSeqLen: read.number('max_position_embeddings', architecture === 'qwen2' ? 32768 : 2048),
    normEps: read.number('rms_norm_eps'),
    ropeTheta: ropeTheta(read),
    ropeStyle: 'halves',
    tiedEmbeddings: read.flag('tie_word_embeddings', false),
  };
}

/** A field's value for a message. What is nested is not spelled out: it may be deeper than the stack. */
const shown = (value: unknown): string => (typeof value === 'object' ? 'an object or array' : JSON.stringify(value));

/** rope_parameters.rope_theta (v5) or rope_theta (before); 10000 where neither is, as in the first Llama's files. */
function ropeTheta(read: FieldReader): number {
  const parameters = new FieldReader('config.json rope_parameters', read.object('rope_parameters'));
  for (const [key, { rope_type, type }] of [['rope_parameters', read.object('rope_parameters')], ['rope_scaling', read.object('rope_scaling')]] as const) {
    const kind = rope_type ?? type ?? 'default';
    read.expect(kind === 'default', `${key} of the type ${shown(kind)} is not supported`);
  }
  return parameters.has('rope_theta') ? parameters.number('rope_theta') : read.number('rope_theta', 10000);
}

/**
 * The first Qwen. intermediate_size counts w1 and w2 together. use_dynamic_ntk and use_logn_attn change nothing within seq_length,
 * and no more positions are run.
 */
function qwen1Config(read: FieldReader): DecoderConfig {
  const dim = read.number('hidden_size');
  const heads = read.number('num_attention_heads');
  const headDim = read.number('kv_channels', dim / heads);
  read.expect(read.flag('no_bias', true), 'no_bias: false is not supported');
  read.expect(!read.flag('tie_word_embeddings', false), 'tie_word_embeddings is not supported for model type qwen');
  const share = read.number('rotary_pct', 1);
  read.expect(share === 1, `rotary_pct ${share} is not supported`);
  return {
    architecture: 'qwen1',
    dim,
    hiddenDim: read.number('intermediate_size') / 2,
    layers: read.number('num_hidden_layers'),
    heads,
    kvHeads: heads,
    headDim,
    vocabSize: read.number('vocab_size'),
    maxSeqLen: read.has('seq_length') ? read.number('seq_length') : read.number('max_position_embeddings'),
    normEps: read.number('layer_norm_epsilon'),
    ropeTheta: read.number('rotary_emb_base', 10000),
    ropeStyle: 'halves',
    tiedEmbeddings: false,
  };
}

import { describe, expect, it } from 'vitest';
import { checkDecoderConfig, decoderConfigFromHf, decoderConfigFromMeta, decoderProgram, describeModel, metaHiddenDim, stopTokensFromHf } from './index.js';

const llama2 = { model_type: 'llama', hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32, vocab_size: 32000, rms_norm_eps: 1e-5, max_position_embeddings: 4096, hidden_act: 'silu', rope_scaling: null, tie_word_embeddings: false, eos_token_id: 2 };
const qwen2 = { model_type: 'qwen2', hidden_size: 896, intermediate_size: 4864, num_hidden_layers: 24, num_attention_heads: 14, num_key_value_heads: 2, vocab_size: 151936, rms_norm_eps: 1e-6, max_position_embeddings: 131072, rope_theta: 1e6, sliding_window: 131072, use_sliding_window: false, tie_word_embeddings: true };
const qwen1 = { model_type: 'qwen', hidden_size: 4096, intermediate_size: 22016, num_hidden_layers: 32, num_attention_heads: 32, kv_channels: 128, vocab_size: 151936, layer_norm_epsilon: 1e-6, rotary_emb_base: 10000, rotary_pct: 1, seq_length: 8192, max_position_embeddings: 32768, no_bias: true, use_dynamic_ntk: true, use_logn_attn: true, tie_word_embeddings: false };

describe('decoderConfigFromHf', () => {
  it('reads Llama 2 7B, whose file has no rope_theta', () => {
    expect(decoderConfigFromHf(llama2)).toEqual({ architecture: 'llama', dim: 4096, hiddenDim: 11008, layers: 32, heads: 32, kvHeads: 32, headDim: 128, vocabSize: 32000, maxSeqLen: 4096, normEps: 1e-5, ropeTheta: 10000, ropeStyle: 'halves', tiedEmbeddings: false });
  });
  it('reads Qwen2 0.5B, with rope_theta in its old place and in v5’s', () => {
    const expected = { architecture: 'qwen2', dim: 896, hiddenDim: 4864, layers: 24, heads: 14, kvHeads: 2, headDim: 64, vocabSize: 151936, maxSeqLen: 131072, normEps: 1e-6, ropeTheta: 1e6, ropeStyle: 'halves', tiedEmbeddings: true };
    expect(decoderConfigFromHf(qwen2)).toEqual(expected);
    const { rope_theta, ...others } = qwen2;
    expect(decoderConfigFromHf({ ...others, rope_parameters: { rope_type: 'default', rope_theta } })).toEqual(expected);
  });
  it('reads Qwen 7B: the feed-forward is half of intermediate_size, and positions end at seq_length', () => {
    expect(decoderConfigFromHf(qwen1)).toEqual({ architecture: 'qwen1', dim: 4096, hiddenDim: 11008, layers: 32, heads: 32, kvHeads: 32, headDim: 128, vocabSize: 151936, maxSeqLen: 8192, normEps: 1e-6, ropeTheta: 10000, ropeStyle: 'halves', tiedEmbeddings: false });
  });
  it('takes transformers’ default where max_position_embeddings is not stated', () => {
    const without = (json: object) => decoderConfigFromHf({ ...json, max_position_embeddings: undefined }).maxSeqLen;
    expect([without(llama2), without(qwen2)]).toEqual([2048, 32768]);
  });
  it('takes heads for kv heads where none are stated, and head_dim where it is', () => {
    const { num_key_value_heads: _, ...others } = llama2;
    expect(decoderConfigFromHf({ ...others, head_dim: 64 })).toMatchObject({ kvHeads: 32, headDim: 64 });
  });
  it.each<readonly [string, object, RegExp]>([
    ['RoPE scaling', { ...llama2, rope_scaling: { rope_type: 'llama3', factor: 8 } }, /rope_scaling of the type "llama3"/],
    ['RoPE scaling of older files', { ...llama2, rope_scaling: { type: 'linear', factor: 2 } }, /rope_scaling of the type "linear"/],
    ['RoPE scaling of a type nested deeper than the stack', { ...llama2, rope_scaling: { type: JSON.parse(`${'['.repeat(20_000)}${']'.repeat(20_000)}`) as unknown } }, /rope_scaling of the type an object or array/],
    ['RoPE scaling of v5', { ...qwen2, rope_parameters: { rope_type: 'yarn', rope_theta: 1e6 } }, /rope_parameters of the type "yarn"/],
    ['sliding windows', { ...qwen2, use_sliding_window: true }, /use_sliding_window/],
    ['another activation', { ...llama2, hidden_act: 'gelu' }, /activation gelu/],
    ['biases in Llama', { ...llama2, attention_bias: true }, /attention_bias/],
    ['a RoPE of part of the head', { ...qwen1, rotary_pct: 0.5 }, /rotary_pct 0.5/],
    ['another model type', { ...llama2, model_type: 'gpt2' }, /"gpt2" is none of llama, qwen2, qwen/],
    ['no model type', {}, /no text model_type/],
    ['a number spelled as text', { ...llama2, hidden_size: '4096' }, /no number hidden_size/],
    ['an array', [], /no object/],
  ])('refuses %s (MODEL_CONFIG)', (_, json, message) => {
    expect(() => decoderConfigFromHf(json)).toThrow(message);
    expect(() => decoderConfigFromHf(json)).toThrow(/^MODEL_CONFIG: /);
  });
  it('names all that is missing at once', () => {
    expect(() => decoderConfigFromHf({ model_type: 'llama' })).toThrow(/hidden_size.*num_attention_heads.*intermediate_size.*vocab_size/);
  });
  it('finds one stop id or several', () => {
    expect([stopTokensFromHf(llama2), stopTokensFromHf({ eos_token_id: [128001, 128009] }), stopTokensFromHf(qwen1), stopTokensFromHf(null)]).toEqual([[2], [128001, 128009], [], []]);
  });
});

describe('checkDecoderConfig', () => {
  it('lets 4096 layers pass and refuses one more, so that no list of ops exhausts memory', () => {
    const problems = (layers: number) => checkDecoderConfig({ ...decoderConfigFromHf(llama2), layers });
    expect(problems(4096)).toEqual([]);
    expect(problems(4097)).toEqual(['there are 4097 layers; the limit is 4096']);
    expect(() => decoderProgram({ ...decoderConfigFromHf(llama2), layers: 2 ** 32 })).toThrow(/^MODEL_CONFIG: .*4294967296 layers/);
  });
});

describe('decoderConfigFromMeta', () => {
  it.each([
    ['Llama 2 7B', 4096, 256, undefined, 11008], ['Llama 2 70B', 8192, 4096, 1.3, 28672],
    ['Llama 3 8B', 4096, 1024, 1.3, 14336], ['Llama 3 70B', 8192, 4096, 1.3, 28672],
  ])('computes the hidden size of %s', (_, dim, multipleOf, multiplier, expected) => {
    expect(metaHiddenDim(dim, multipleOf, multiplier)).toBe(expected);
  });
  it('reads Llama 3 8B', () => {
    const params = { dim: 4096, n_layers: 32, n_heads: 32, n_kv_heads: 8, vocab_size: 128256, multiple_of: 1024, ffn_dim_multiplier: 1.3, norm_eps: 1e-5, rope_theta: 500000 };
    expect(decoderConfigFromMeta(params, { maxSeqLen: 8192 })).toEqual({ architecture: 'llama', dim: 4096, hiddenDim: 14336, layers: 32, heads: 32, kvHeads: 8, headDim: 128, vocabSize: 128256, maxSeqLen: 8192, normEps: 1e-5, ropeTheta: 500000, ropeStyle: 'interleaved', tiedEmbeddings: false });
  });
  it('takes the rows of the embedding where vocab_size is −1, as in Llama 2', () => {
    const params = { dim: 4096, multiple_of: 256, n_heads: 32, n_layers: 32, norm_eps: 1e-5, vocab_size: -1 };
    expect(decoderConfigFromMeta(params, { vocabSize: 32000 })).toMatchObject({ vocabSize: 32000, kvHeads: 32, ropeTheta: 10000, maxSeqLen: 2048 });
    expect(() => decoderConfigFromMeta(params)).toThrow(/vocab_size is not stated/);
  });
  it('refuses scaled RoPE and missing fields (MODEL_CONFIG)', () => {
    expect(() => decoderConfigFromMeta({ dim: 1, n_heads: 1, n_layers: 1, vocab_size: 1, use_scaled_rope: true })).toThrow(/^MODEL_CONFIG: .*use_scaled_rope/);
    expect(() => decoderConfigFromMeta({})).toThrow(/no number dim.*no number n_heads.*no number n_layers/);
    expect(() => decoderConfigFromMeta('dim')).toThrow(/no object/);
  });
});

describe('describeModel', () => {
  const bare = { format: 'safetensors', variant: 'v', metadata: {}, tensors: [] };
  it('needs a configuration beside a file of tensors (MODEL_UNKNOWN_FORMAT), and names it knows (MODEL_WEIGHTS)', () => {
    expect(() => describeModel(bare)).toThrow(/^MODEL_UNKNOWN_FORMAT/);
    expect(() => describeModel(bare, { config: llama2 })).toThrow(/^MODEL_WEIGHTS: there is no token embedding/);
  });
  it('reads what llama2.c’s training stores, with hidden_dim where it was chosen', () => {
    const modelArgs = { dim: 64, n_layers: 5, n_heads: 8, n_kv_heads: null, vocab_size: 512, multiple_of: 32, max_seq_len: 256, dropout: 0 };
    const { config, names, stopTokens } = describeModel({ ...bare, metadata: { modelArgs } });
    expect(config).toMatchObject({ hiddenDim: 192, kvHeads: 8, maxSeqLen: 256, ropeTheta: 10000, normEps: 1e-5, ropeStyle: 'interleaved', tiedEmbeddings: true });
    expect([names, stopTokens]).toEqual(['meta', [1]]);
    expect(describeModel({ ...bare, metadata: { modelArgs: { ...modelArgs, hidden_dim: 100 } } }).config.hiddenDim).toBe(100);
  });
});

/** config.json and params.json for models whose own format states its configuration otherwise. Fields as transformers and Meta's code read them. */
import { hasQkvBiases, metaHiddenDim, type DecoderConfig, type NameScheme } from '@weightspec/models';
import { objectOf, type JsonObject } from './json.js';
import type { ConvertInput, LogicalModel } from './logical-model.js';

export interface ModelConfigFile {
  readonly name: 'config.json' | 'params.json';
  readonly content: JsonObject;
}

const torchNames: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** eps is kept in f32 by some formats: the shortest number that rounds to it is what was meant. */
const shortest = (value: number): number => [Number(value.toPrecision(6)), Number(value.toPrecision(9))].find((short) => Math.fround(short) === Math.fround(value)) ?? value;

/**
 * The configuration that goes beside the tensors. The source's own file where it has one for these names, with its type made right;
 * otherwise made from what is known. `dtypeName`: of the matrices.
 */
export function configFileFor(input: ConvertInput, model: LogicalModel, names: NameScheme, dtypeName: string, maxSeqLen: number): ModelConfigFile {
  const own = objectOf(input.beside?.config ?? input.checkpoint.metadata.config);
  const type = torchNames[dtypeName];
  if (own && names === model.names) {
    const typeKey = Object.hasOwn(own, 'dtype') ? 'dtype' : 'torch_dtype';
    const flags = names === 'qwen1' ? qwen1TypeFlags(dtypeName) : {};
    return { name: 'config.json', content: { ...own, ...(type && Object.hasOwn(own, typeKey) ? { [typeKey]: type } : {}), ...flags } };
  }
  if (names === 'qwen1') return { name: 'config.json', content: qwen1Config(input, model.config, dtypeName, maxSeqLen) };
  if (names === 'meta' && model.config.architecture === 'llama' && !model.config.tiedEmbeddings) return { name: 'params.json', content: objectOf(input.beside?.params) ?? metaParams(model.config) };
  return { name: 'config.json', content: hfConfig(input, model, type, maxSeqLen) };
}

function hfConfig({ beside, checkpoint }: ConvertInput, { config, stopTokens }: LogicalModel, type: string | undefined, maxSeqLen: number): JsonObject {
  const biased = hasQkvBiases(config);
  const own = objectOf(beside?.config ?? checkpoint.metadata.config);
  return {
    architectures: [biased ? 'Qwen2ForCausalLM' : 'LlamaForCausalLM'],
    model_type: biased ? 'qwen2' : 'llama',
    hidden_size: config.dim,
    intermediate_size: config.hiddenDim,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: 'silu',
    vocab_size: config.vocabSize,
    max_position_embeddings: maxSeqLen,
    rms_norm_eps: shortest(config.normEps),
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tiedEmbeddings,
    ...(biased ? { use_sliding_window: false } : { attention_bias: false, mlp_bias: false }),
    ...idsOf(own, checkpoint.metadata),
    ...(checkpoint.format === 'llama2c' ? { bos_token_id: 1, eos_token_id: stopTokens[0] } : {}),
    ...(type ? { torch_dtype: type } : {}),
  };
}

const idKeys = ['bos_token_id', 'eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id'] as const;

/** Special ids that are stated anywhere, under their own names. */
function idsOf(...stated: readonly (JsonObject | undefined)[]): JsonObject {
  return Object.fromEntries(idKeys.flatMap((key) => {
    const value = stated.map((fields) => fields?.[key]).find((id) => id !== undefined && id !== null);
    return value === undefined ? [] : [[key, value] as const];
  }));
}

const qwen1TypeFlags = (dtypeName: string): JsonObject => ({ bf16: dtypeName === 'BF16', fp16: dtypeName === 'F16', fp32: dtypeName === 'F32' });

function qwen1Config({ beside, checkpoint }: ConvertInput, config: DecoderConfig, dtypeName: string, maxSeqLen: number): JsonObject {
  return {
    architectures: ['QWenLMHeadModel'],
    model_type: 'qwen',
    hidden_size: config.dim,
    intermediate_size: 2 * config.hiddenDim,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    kv_channels: config.headDim,
    vocab_size: config.vocabSize,
    layer_norm_epsilon: shortest(config.normEps),
    rotary_emb_base: config.ropeTheta,
    rotary_pct: 1,
    seq_length: maxSeqLen,
    max_position_embeddings: maxSeqLen,
    no_bias: true,
    tie_word_embeddings: false,
    // As qwen.cpp computes; both differ past seq_length only.
    use_dynamic_ntk: false,
    use_logn_attn: false,
    scale_attn_weights: true,
    ...qwen1TypeFlags(dtypeName),
    ...idsOf(objectOf(beside?.config), objectOf(beside?.generationConfig), checkpoint.metadata),
  };
}

/** ModelArgs whose rule for the feed-forward's width gives this model's. */
function metaParams({ dim, layers, heads, kvHeads, vocabSize, hiddenDim, normEps, ropeTheta }: DecoderConfig): JsonObject {
  const multipleOf = [256, 1024, 4096, 128, 64, 32].find((multiple) => metaHiddenDim(dim, multiple) === hiddenDim);
  // Half more than the width: the product is cut to an integer, and must not fall below.
  const width = multipleOf === undefined ? { multiple_of: 1, ffn_dim_multiplier: (hiddenDim + 0.5) / metaHiddenDim(dim, 1) } : { multiple_of: multipleOf };
  return { dim, n_layers: layers, n_heads: heads, n_kv_heads: kvHeads, vocab_size: vocabSize, ...width, norm_eps: shortest(normEps), rope_theta: ropeTheta };
}

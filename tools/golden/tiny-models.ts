/**
 * fixtures/golden/{llama-tiny,qwen1-tiny,qwen2-tiny}: one random model an architecture, in every container and element type that can
 * hold it, with logits, greedy ids and activations in float64 over what each file's weights mean once they are decoded.
 * Weights are small integers times a power of two: f32, f16 and bf16 hold the same numbers, so these share one golden.
 */
import { blockTypes, decodeFrom, encodeAs, fromInt8Groups, toInt8Groups, type BlockTypeName } from './block-types.js';
import { ak42Fp32File, ak42Int8File, ggmlQwenFile, safetensorsFile, torchFile, type StoredTensor } from './containers.js';
import { argmax, llama2cReading, margin, startDecoder, weightShapes, type DecoderConfig, type Reading, type Tensor, type Weights } from './decoder.js';
import { powerOfTwo } from './elementary.js';
import { jsonFile, largestDifference, roundUp, toleranceFrom, withManifest, type GoldenFiles } from './golden-files.js';
import { littleEndianF64, modelFile } from './llama2c-files.js';
import { throughInt8 } from './rounding.js';
import { xorshift128 } from './random.js';

const GREEDY_STEPS = 4;
/** Groups of llama2.c's int8 files. They divide dim and hiddenDim, so that no group straddles rows. */
const GROUP_SIZE = 32;
/** Elements that share a scale where engines round activations to int8. */
const ACTIVATION_BLOCK = 32;
/** How much more than our own int8 activations others may be off: they round at other places and in other blocks. */
const ACTIVATION_ROOM = 2;

/** Prompts of 6, 7 and 5 tokens, and one long enough for a cache that forgets to show. Ids below 60: four stay free for control tokens. */
const prompts: readonly (readonly number[])[] = [
  [1, 17, 42, 5, 33, 8],
  [7, 7, 59, 0, 21, 7, 58],
  [3, 50, 11, 46, 29],
  [9, 4, 57, 13, 26, 38, 2, 55, 19, 44, 31, 6, 12, 48, 23, 10, 36, 53, 15, 40, 27],
];
const TRACED_PROMPT = 2;
/** The golden that comes with activations; those of the others would say the same of other numbers. */
const TRACED_GOLDEN = 'plain';

/** Power of two that a weight's integers in −127 … 127 are multiplied with: standard deviation 73 times that. */
const exponents: Readonly<Record<string, number>> = { tok: -10, wq: -9, wk: -9, wv: -8, wo: -10, w1: -8, w2: -10, w3: -8, wcls: -8, bq: -8, bk: -8, bv: -8 };
const NORM_EXPONENT = -6;

function tinyWeights(config: DecoderConfig, seed: number, biased: boolean): Weights {
  const random = xorshift128(seed);
  const integer = (low: number, high: number): number => low + Math.floor(random.unit() * (high - low + 1));
  const kvDim = (config.dim / config.heads) * config.kvHeads;
  const biases = Array.from({ length: biased ? config.layers : 0 }, (_, layer) => ({ [`layers.${layer}.bq`]: [config.dim], [`layers.${layer}.bk`]: [kvDim], [`layers.${layer}.bv`]: [kvDim] }));
  const shapes: Record<string, readonly number[]> = Object.assign(weightShapes(config), ...biases);
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]): [string, Tensor] => {
    const exponent = exponents[name.slice(name.lastIndexOf('.') + 1)];
    const length = shape.reduce((product, side) => product * side, 1);
    const values = Float32Array.from({ length }, () => (exponent === undefined ? integer(13, 121) * powerOfTwo(NORM_EXPONENT) : integer(-127, 127) * powerOfTwo(exponent)));
    return [name, { shape, values }];
  }));
}

/** Matrices as their stored form means them; norms and biases stay f32. */
const throughStorage = (weights: Weights, change: (values: Float32Array) => Float32Array): Weights =>
  Object.fromEntries(Object.entries(weights).map(([name, { shape, values }]) => [name, { shape, values: shape.length === 2 ? change(values) : values }]));

/** A file, or several with what lies beside them, that holds the model. Files are named by their paths in the golden's folder. */
interface Variant {
  readonly format: string;
  /** As a reader names it. */
  readonly variant: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** The file to open. */
  readonly open: string;
  readonly beside?: Readonly<Record<'config' | 'params', string>> | Readonly<Record<string, string>>;
  /** Which of the goldens it must give. */
  readonly golden: string;
}

interface TinyModel {
  readonly folder: string;
  readonly title: string;
  readonly seed: number;
  readonly architecture: 'llama' | 'qwen1' | 'qwen2';
  readonly config: DecoderConfig;
  readonly reading: Partial<Reading>;
  /** By golden: the weights that its files mean, and the configuration where that differs. */
  readonly meanings: Readonly<Record<string, { readonly weights: Weights; readonly config?: DecoderConfig }>>;
  readonly variants: Readonly<Record<string, Variant>>;
}

interface Runs {
  readonly rows: readonly Float64Array[];
  readonly greedyIds: readonly (readonly number[])[];
}

/** All prompts with their greedy continuations; `given` ids are followed where the own ones would lead elsewhere. */
function runAll(config: DecoderConfig, weights: Weights, reading: Partial<Reading>, given?: readonly (readonly number[])[]): Runs {
  const rows: Float64Array[] = [];
  const greedyIds = prompts.map((tokens, prompt) => {
    const decoder = startDecoder(config, weights, reading);
    let last: Float64Array = new Float64Array();
    const step = (token: number): void => {
      last = decoder.classify(decoder.hidden(token));
      rows.push(last);
    };
    tokens.forEach(step);
    const ids = given?.[prompt] === undefined ? [argmax(last)] : given[prompt].slice(0, 1);
    while (ids.length < GREEDY_STEPS) {
      step(ids.at(-1)!);
      ids.push(given?.[prompt]?.[ids.length] ?? argmax(last));
    }
    return ids;
  });
  return { rows, greedyIds };
}

/** Activations of one prompt, [tokens, width] each, as F32 in safetensors. */
function traceFile(config: DecoderConfig, weights: Weights, reading: Partial<Reading>): Uint8Array {
  const points = new Map<string, number[]>();
  const decoder = startDecoder(config, weights, reading, (name, row) => points.set(name, [...(points.get(name) ?? []), ...row]));
  const tokens = prompts[TRACED_PROMPT]!;
  for (const token of tokens) decoder.classify(decoder.hidden(token));
  return safetensorsFile(Array.from(points, ([name, values]): StoredTensor => ({ name, shape: [tokens.length, values.length / tokens.length], type: 'f32', values: Float32Array.from(values) })));
}

function goldenOf({ config: own, reading }: TinyModel, name: string, { weights, config = own }: TinyModel['meanings'][string]): { readonly files: Record<string, Uint8Array>; readonly expected: unknown } {
  const { rows, greedyIds } = runAll(config, weights, reading);
  const inF32 = runAll(config, weights, { ...reading, round: Math.fround }, greedyIds).rows;
  const int8 = runAll(config, weights, { ...reading, prepareInput: (x) => throughInt8(x, ACTIVATION_BLOCK) }, greedyIds).rows;
  const starts = prompts.map((_, i) => prompts.slice(0, i).reduce((sum, tokens) => sum + tokens.length + GREEDY_STEPS - 1, 0));
  const marginOf = (prompt: number): number => Math.min(...greedyIds[prompt]!.map((_, step) => margin(rows[starts[prompt]! + prompts[prompt]!.length - 1 + step]!)));
  const moved = largestDifference(rows, int8);
  return {
    files: { [`${name}.logits.f64`]: littleEndianF64(rows), ...(name === TRACED_GOLDEN && { [`${name}.trace.safetensors`]: traceFile(config, weights, reading) }) },
    expected: {
      logits: { file: `${name}.logits.f64`, dtype: 'F64', byteOrder: 'little', shape: [rows.length, config.vocabSize] },
      ...(name === TRACED_GOLDEN && { trace: { file: `${name}.trace.safetensors`, prompt: TRACED_PROMPT } }),
      tolerance: toleranceFrom(largestDifference(rows, inF32)),
      int8Activations: {
        absolute: roundUp(ACTIVATION_ROOM * moved, 1),
        difference: roundUp(moved, 2),
        derivation: `The float64 forward with what each matmul multiplies rounded to int8 in blocks of ${ACTIVATION_BLOCK} differs by \`difference\` at most, over all rows. absolute is ${ACTIVATION_ROOM} times that: added to the tolerance of engines that say they multiply integers, and to no other.`,
      },
      prompts: greedyIds.map((ids, prompt) => ({ greedyIds: ids, firstLogitsRow: starts[prompt], smallestMargin: Number(marginOf(prompt).toPrecision(2)) })),
    },
  };
}

function tinyGolden(model: TinyModel): GoldenFiles {
  const { folder, title, seed, architecture, config, reading, meanings, variants } = model;
  const goldens = Object.entries(meanings).map(([name, meaning]) => [name, goldenOf(model, name, meaning)] as const);
  const expected = {
    decoding: `greedy, ${GREEDY_STEPS} ids; nothing stops it earlier`,
    prompts,
    rows: 'row firstLogitsRow + i of a golden\'s logits follows the i-th token of a prompt and its greedyIds',
    variants: Object.fromEntries(Object.entries(variants).map(([id, { format, variant, files, open, beside, golden }]) => [id, { format, variant, open, files: Object.keys(files), beside, golden }])),
    goldens: Object.fromEntries(goldens.map(([name, golden]) => [name, golden.expected])),
  };
  const files = Object.assign({}, ...Object.values(variants).map((variant) => variant.files), ...goldens.map(([, golden]) => golden.files), { 'expected.json': jsonFile(expected) }) as Record<string, Uint8Array>;
  return withManifest(folder, files, {
    title,
    config: { architecture, ...config, ropeTheta: reading.theta ?? llama2cReading.theta, normEps: reading.eps ?? llama2cReading.eps },
    seed,
    construction: 'Random weights (xorshift128), small integers times powers of two; see tools/golden/tiny-models.ts',
    tolerance: { derivation: 'expected.json has one for each golden, with its derivation' },
  });
}

type Naming = Readonly<Record<string, string>>;
const hfNames: Naming = {
  attNorm: 'input_layernorm.weight', wq: 'self_attn.q_proj.weight', wk: 'self_attn.k_proj.weight', wv: 'self_attn.v_proj.weight', wo: 'self_attn.o_proj.weight',
  bq: 'self_attn.q_proj.bias', bk: 'self_attn.k_proj.bias', bv: 'self_attn.v_proj.bias',
  ffnNorm: 'post_attention_layernorm.weight', w1: 'mlp.gate_proj.weight', w2: 'mlp.down_proj.weight', w3: 'mlp.up_proj.weight',
};
const metaNames: Naming = {
  attNorm: 'attention_norm.weight', wq: 'attention.wq.weight', wk: 'attention.wk.weight', wv: 'attention.wv.weight', wo: 'attention.wo.weight',
  ffnNorm: 'ffn_norm.weight', w1: 'feed_forward.w1.weight', w2: 'feed_forward.w2.weight', w3: 'feed_forward.w3.weight',
};
const outside: Readonly<Record<'hf' | 'meta', Naming>> = {
  hf: { tok: 'model.embed_tokens.weight', norm: 'model.norm.weight', wcls: 'lm_head.weight' },
  meta: { tok: 'tok_embeddings.weight', norm: 'norm.weight', wcls: 'output.weight' },
};

/** Tensors under the names of Meta or Hugging Face, all in one type. */
function named(scheme: 'hf' | 'meta', weights: Weights, type: BlockTypeName): StoredTensor[] {
  const inside = scheme === 'hf' ? hfNames : metaNames;
  return Object.entries(weights).map(([own, { shape, values }]) => {
    const [, layer, part] = /^layers\.(\d+)\.(\w+)$/.exec(own) ?? [];
    const name = part === undefined ? outside[scheme][own] : `${scheme === 'hf' ? 'model.' : ''}layers.${layer}.${inside[part]}`;
    return { name: name ?? own, shape, type, values };
  });
}

/** Rows of each head from pairs (2i, 2i+1) to halves (i, i + headDim/2), as Hugging Face has q and k. */
function inHalves({ shape, values }: Tensor, headDim: number): Tensor {
  const [, columns = 1] = shape;
  const rowOf = (row: number): number => {
    const inHead = row % headDim;
    return row - inHead + (inHead < headDim / 2 ? 2 * inHead : 2 * (inHead - headDim / 2) + 1);
  };
  return { shape, values: values.map((_, at) => values[rowOf(Math.floor(at / columns)) * columns + (at % columns)]!) };
}

const toHf = (weights: Weights, headDim: number): Weights => Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [name, /\.w[qk]$/.test(name) ? inHalves(tensor, headDim) : tensor]));

const hfConfig = (modelType: string, { dim, hiddenDim, layers, heads, kvHeads, vocabSize, maxSeqLen, sharedClassifier }: DecoderConfig, eps: number, theta: number): Uint8Array =>
  jsonFile({
    architectures: [modelType === 'qwen2' ? 'Qwen2ForCausalLM' : 'LlamaForCausalLM'], model_type: modelType, hidden_size: dim, intermediate_size: hiddenDim, num_hidden_layers: layers,
    num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: vocabSize, max_position_embeddings: maxSeqLen, rms_norm_eps: eps, rope_theta: theta,
    hidden_act: 'silu', tie_word_embeddings: sharedClassifier, bos_token_id: 60, eos_token_id: 61, torch_dtype: 'bfloat16',
  });

const sides = { dim: 32, hiddenDim: 64, layers: 2, heads: 4, vocabSize: 64, maxSeqLen: 32 } as const;

function llamaTiny(): TinyModel {
  const seed = 21;
  const config: DecoderConfig = { ...sides, kvHeads: 2, sharedClassifier: false };
  const weights = tinyWeights(config, seed, false);
  const { wcls: _, ...withoutClassifier } = weights;
  const shared: DecoderConfig = { ...config, sharedClassifier: true };
  const int8 = (values: Float32Array): Float32Array => fromInt8Groups(toInt8Groups(values, GROUP_SIZE), GROUP_SIZE);
  const inHf = toHf(weights, config.dim / config.heads);
  const files = (name: string, bytes: Uint8Array, more: Readonly<Record<string, Uint8Array>> = {}) => ({ open: name, files: { [name]: bytes, ...more } });
  const params = { 'params.json': jsonFile({ dim: config.dim, n_layers: config.layers, n_heads: config.heads, n_kv_heads: config.kvHeads, vocab_size: config.vocabSize, multiple_of: 64, ffn_dim_multiplier: 0.75, norm_eps: 1e-5, rope_theta: 10000 }) };
  const hf = { 'config.json': hfConfig('llama', config, 1e-5, 10000) };
  return {
    folder: 'llama-tiny',
    title: 'A random Llama with grouped queries, in llama2.c’s, Meta’s and Hugging Face’s containers',
    seed, architecture: 'llama', config, reading: {},
    meanings: { plain: { weights }, int8: { weights: throughStorage(weights, int8) }, 'int8-shared': { weights: throughStorage(withoutClassifier, int8), config: shared } },
    variants: {
      'llama2c-v0': { format: 'llama2c', variant: 'v0', golden: 'plain', ...files('v0.bin', modelFile(config, weights, 10000)) },
      'llama2c-v1-fp32': { format: 'llama2c', variant: 'v1-fp32', golden: 'plain', ...files('v1-fp32.bin', ak42Fp32File(config, weights)) },
      'llama2c-v1-int8': { format: 'llama2c', variant: 'v1-int8', golden: 'int8-shared', ...files('v1-int8.bin', ak42Int8File('v1-int8', shared, withoutClassifier, GROUP_SIZE)) },
      'llama2c-v2-contiguous': { format: 'llama2c', variant: 'v2-contiguous', golden: 'int8-shared', ...files('v2-contiguous.bin', ak42Int8File('v2-contiguous', shared, withoutClassifier, GROUP_SIZE)) },
      'llama2c-v2': { format: 'llama2c', variant: 'v2', golden: 'int8', ...files('v2.bin', ak42Int8File('v2', config, weights, GROUP_SIZE)) },
      'safetensors-f16': { format: 'safetensors', variant: 'safetensors', golden: 'plain', beside: { config: 'config.json' }, ...files('model.safetensors', safetensorsFile(named('hf', inHf, 'f16'), { format: 'pt' }), hf) },
      'torch-meta-bf16': { format: 'torch-checkpoint', variant: 'zip', golden: 'plain', beside: { params: 'params.json' }, ...files('consolidated.00.pth', torchFile(named('meta', weights, 'bf16')), params) },
      'torch-hf-f16': { format: 'torch-checkpoint', variant: 'zip', golden: 'plain', beside: { config: 'config.json' }, ...files('pytorch_model.bin', torchFile(named('hf', inHf, 'f16')), hf) },
    },
  };
}

function qwen1Tiny(): TinyModel {
  const seed = 22;
  const config: DecoderConfig = { ...sides, kvHeads: sides.heads, sharedClassifier: false };
  const weights = tinyWeights(config, seed, true);
  const values = (name: string): Float32Array => weights[name]!.values;
  const fused = (layer: number, parts: readonly string[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...values(`layers.${layer}.${part}`)]));
  const { dim, hiddenDim, vocabSize } = config;
  const tensors = (type: BlockTypeName): StoredTensor[] => {
    const matrix = (name: string, shape: readonly number[], own: Float32Array): StoredTensor => ({ name, shape, type, values: own });
    const vector = (name: string, own: Float32Array): StoredTensor => ({ name, shape: [own.length], type: 'f32', values: own });
    // G-3.2. w2 is the gate; its rows are w1 of Llama.
    const layer = (n: number): StoredTensor[] => {
      const at = `transformer.h.${n}`;
      const own = (part: string): Float32Array => values(`layers.${n}.${part}`);
      return [
        vector(`${at}.ln_1.weight`, own('attNorm')), matrix(`${at}.attn.c_attn.weight`, [3 * dim, dim], fused(n, ['wq', 'wk', 'wv'])), vector(`${at}.attn.c_attn.bias`, fused(n, ['bq', 'bk', 'bv'])),
        matrix(`${at}.attn.c_proj.weight`, [dim, dim], own('wo')), vector(`${at}.ln_2.weight`, own('ffnNorm')),
        matrix(`${at}.mlp.w1.weight`, [hiddenDim, dim], own('w3')), matrix(`${at}.mlp.w2.weight`, [hiddenDim, dim], own('w1')), matrix(`${at}.mlp.c_proj.weight`, [dim, hiddenDim], own('w2')),
      ];
    };
    return [matrix('transformer.wte.weight', [vocabSize, dim], values('tok')), ...Array.from({ length: config.layers }, (_, n) => layer(n)).flat(), vector('transformer.ln_f.weight', values('norm')), matrix('lm_head.weight', [vocabSize, dim], values('wcls'))];
  };
  const header = { vocabSize, hiddenSize: dim, heads: config.heads, layers: config.layers, ffnWidth: hiddenDim, maxLength: config.maxSeqLen, tokenIds: [60, 61, 62, 63] } as const;
  const plain = ['f32', 'f16'] as const;
  const quantized = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'] as const;
  const through = (type: BlockTypeName): Weights => throughStorage(weights, (own) => decodeFrom(type, encodeAs(type, own)));
  const variantOf = (type: BlockTypeName): Variant => ({ format: 'ggml-qwen', variant: type, open: `${type}.bin`, files: { [`${type}.bin`]: ggmlQwenFile(type, header, tensors(type)) }, golden: blockTypes[type].elements === 1 ? 'plain' : type });
  return {
    folder: 'qwen1-tiny',
    title: 'A random Qwen 1 in all seven types of qwen.cpp’s container',
    seed, architecture: 'qwen1', config, reading: { ropeStyle: 'halves', eps: 1e-6 },
    meanings: { plain: { weights }, ...Object.fromEntries(quantized.map((type) => [type, { weights: through(type) }])) },
    variants: Object.fromEntries([...plain, ...quantized].map((type) => [type, variantOf(type)])),
  };
}

/** Two shards under an index, as transformers saves large models (specs/sharded-index#I-1). */
function sharded(tensors: readonly StoredTensor[]): Record<string, Uint8Array> {
  const middle = Math.ceil(tensors.length / 2);
  const shards = [tensors.slice(0, middle), tensors.slice(middle)].map((own, i) => ({ name: `model-0000${i + 1}-of-00002.safetensors`, own }));
  const totalSize = tensors.reduce((sum, { type, values }) => sum + encodeAs(type, values).length, 0);
  return {
    ...Object.fromEntries(shards.map(({ name, own }) => [name, safetensorsFile(own, { format: 'pt' })])),
    'model.safetensors.index.json': jsonFile({ metadata: { total_size: totalSize }, weight_map: Object.fromEntries(shards.flatMap(({ name, own }) => own.map((tensor) => [tensor.name, name]))) }),
  };
}

function qwen2Tiny(): TinyModel {
  const seed = 23;
  const theta = 1_000_000;
  const config: DecoderConfig = { ...sides, kvHeads: 2, sharedClassifier: true };
  const weights = tinyWeights(config, seed, true);
  const tensors = named('hf', weights, 'bf16');
  const configuration = { 'config.json': hfConfig('qwen2', config, 1e-6, theta) };
  return {
    folder: 'qwen2-tiny',
    title: 'A random Qwen 2 with biases, grouped queries and tied embeddings',
    seed, architecture: 'qwen2', config, reading: { ropeStyle: 'halves', eps: 1e-6, theta },
    meanings: { plain: { weights } },
    variants: {
      'safetensors-bf16': { format: 'safetensors', variant: 'safetensors', golden: 'plain', open: 'model.safetensors.index.json', beside: { config: 'config.json' }, files: { ...sharded(tensors), ...configuration } },
      'torch-bf16': { format: 'torch-checkpoint', variant: 'zip', golden: 'plain', open: 'pytorch_model.bin', beside: { config: 'config.json' }, files: { 'pytorch_model.bin': torchFile(tensors), ...configuration } },
    },
  };
}

export const tinyModels = (): readonly TinyModel[] => [llamaTiny(), qwen1Tiny(), qwen2Tiny()];
export const tinyModelsGolden = (): GoldenFiles => new Map(tinyModels().flatMap((model) => [...tinyGolden(model)]));

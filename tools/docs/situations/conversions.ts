/** What conversions lose or refuse, and SmoothQuant exports with one thing wrong. */
import { codecOf } from '@weightspec/codecs';
import { readTensor } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { safetensors } from '@weightspec/safetensors';
import { smoothQuant } from '@weightspec/smoothquant';
import { configOf, fixture, llamaShapes, safetensorsOf, stored, withoutName, type Contents, type Stored } from './contents.js';
import type { Situation } from './situation.js';

const sizes = { dim: 64, hidden: 96, kv: 64, vocab: 40 };
const tied = withoutName(llamaShapes(sizes), 'lm_head.weight');
const at = 'model.layers.0.self_attn.';

interface Change {
  readonly config?: object;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly types?: Readonly<Record<string, string>>;
  readonly to: string;
}
function converting(code: string, { config = {}, shapes = {}, types, to }: Change): Situation {
  const model = safetensorsOf(stored({ ...tied, ...shapes }, types), ['a Llama of one layer', ...Object.entries(shapes).map(([name, shape]) => `with ${name} [${shape.join(', ')}]`), ...Object.entries(types ?? {}).map(([name, type]) => `with ${name} in ${type}`)].join(', '));
  return { code, files: { 'model/config.json': configOf(sizes, 4, 4, { tie_word_embeddings: true, ...config }), 'model/model.safetensors': model }, command: `convert model out --to ${to}` };
}
const qwen = 'ggml-qwen --token-ids 1,1,2,3';

const conversions: readonly Situation[] = [
  converting('CONVERT_LOSS_ROPE_THETA', { config: { rope_theta: 500000 }, to: 'llama2c-v0' }),
  converting('CONVERT_LOSS_NORM_EPS', { config: { rms_norm_eps: 1e-6 }, to: 'llama2c-v2' }),
  converting('CONVERT_LOSS_TOKEN_IDS', { config: { bos_token_id: 128000 }, to: 'llama2c-v0' }),
  converting('CONVERT_LOSS_BIAS', { config: { model_type: 'qwen2' }, shapes: { [`${at}q_proj.bias`]: [64], [`${at}k_proj.bias`]: [64], [`${at}v_proj.bias`]: [64] }, to: 'llama2c-v0' }),
  converting('CONVERT_LOSS_CLASSIFIER', { config: { tie_word_embeddings: false }, shapes: { 'lm_head.weight': [40, 64] }, to: 'llama2c-v1-int8' }),
  converting('CONVERT_LOSS_TENSORS', { shapes: { 'model.layers.0.adapter.weight': [64] }, to: 'llama2c-v0' }),
  converting('CONVERT_GROUPED_QUERIES', { config: { num_key_value_heads: 2, rms_norm_eps: 1e-6 }, shapes: { [`${at}k_proj.weight`]: [32, 64], [`${at}v_proj.weight`]: [32, 64] }, to: qwen }),
  converting('CONVERT_HEAD_SIZE', { config: { head_dim: 32 }, shapes: { [`${at}q_proj.weight`]: [128, 64], [`${at}k_proj.weight`]: [128, 64], [`${at}v_proj.weight`]: [128, 64], [`${at}o_proj.weight`]: [64, 128] }, to: 'llama2c-v0' }),
  converting('CONVERT_TOKEN_IDS_UNKNOWN', { config: { rms_norm_eps: 1e-6 }, to: 'ggml-qwen' }),
  converting('CONVERT_NO_CODEC', { types: { 'model.layers.0.mlp.up_proj.weight': 'F8_E4M3' }, to: 'llama2c-v0' }),
  converting('CONVERT_NO_PLACE', { config: { rms_norm_eps: 1e-6 }, to: `${qwen} --dtype bf16` }),
  converting('CONVERT_ZERO_BIAS', { config: { rms_norm_eps: 1e-6 }, to: qwen }),
  { code: 'CONVERT_REQUANTIZED', files: { 'model-q4_0.bin': fixture('golden/qwen1-tiny/q4_0.bin') }, command: 'convert model-q4_0.bin model-q8_0.bin --to ggml-qwen --dtype q8_0' },
  { code: 'CONVERT_POSITIONS_ASSUMED', files: { 'model/params.json': fixture('golden/llama-tiny/params.json'), 'model/consolidated.00.pth': fixture('golden/llama-tiny/consolidated.00.pth') }, command: 'convert model model.bin --to llama2c-v0' },
];

const small = { dim: 8, hidden: 12, kv: 8, vocab: 6 };
const originalShapes = llamaShapes(small);
const original = safetensorsOf(stored(originalShapes), 'a Llama of one layer');
const linears = Object.keys(originalShapes).filter((name) => name.endsWith('_proj.weight'));
const layer = (name: string): string => name.replace(/\.weight$/, '');
const statisticsOf = (names: readonly string[]): readonly Stored[] => names.map((name) => ({ name: layer(name), shape: [originalShapes[name]![1]!] }));

/** Every tensor of the export of `original`, so that one can be changed. */
async function exported(): Promise<readonly Stored[]> {
  const { checkpoint } = await safetensors.read(memorySource(original.bytes));
  const magnitudes = new Map(linears.map((name) => [layer(name), Float32Array.from({ length: originalShapes[name]![1]! }, (_, i) => 1 + i)]));
  const { tensors } = await smoothQuant(checkpoint!, magnitudes);
  return Promise.all(tensors.map(async (tensor) => ({ name: tensor.name, shape: tensor.shape, type: tensor.dtype.name, bytes: (await readTensor(tensor)).slice() })));
}

type Edit = (tensor: Stored) => readonly Stored[];
const q = `${at}q_proj`;
const down = 'model.layers.0.mlp.down_proj';
const none: Edit = () => [];
const floats = (edit: (values: Float32Array) => void): Edit => (tensor) => {
  const values = new Float32Array(tensor.bytes!.slice().buffer);
  edit(values);
  return [{ ...tensor, bytes: new Uint8Array(values.buffer) }];
};
const codes = (edit: (values: Int8Array) => void): Edit => (tensor) => {
  const values = new Int8Array(tensor.bytes!.slice().buffer);
  edit(values);
  return [{ ...tensor, bytes: new Uint8Array(values.buffer) }];
};
const asOriginal = (scale: number): Edit => ({ name, shape }) => {
  const values = codecOf({ name: 'F32', blockSize: 1, bytesPerBlock: 4 }).quantize(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => scale * (1 + i)));
  return [{ name, shape, type: 'F32', bytes: values }];
};

/** `about`: what was done to `name`. `against`: compared with the original. */
const defects: readonly (readonly [code: string, about: string, name: string, edit: Edit, against?: boolean])[] = [
  ['SMOOTHQUANT_MIGRATION_SCALES', 'as it is', '', none],
  ['SMOOTHQUANT_SCALE_MISSING', 'without q_proj.scale', `${q}.scale`, none],
  ['SMOOTHQUANT_SCALE_FORM', 'with q_proj.scale as [8], not [8, 1]', `${q}.scale`, (tensor) => [{ ...tensor, shape: [8] }]],
  ['SMOOTHQUANT_SCALE_UNPAIRED', 'with model.norm.scale', `${q}.scale`, (tensor) => [tensor, { ...tensor, name: 'model.norm.scale' }]],
  ['SMOOTHQUANT_MIGRATION_FORM', 'with 3 numbers in down_proj.migration_scale', `${down}.migration_scale`, (tensor) => [{ ...tensor, shape: [3], bytes: tensor.bytes!.subarray(0, 12) }]],
  ['SMOOTHQUANT_LAYER_NOT_QUANTIZED', 'with q_proj.weight in F32', `${q}.weight`, asOriginal(1)],
  ['SMOOTHQUANT_CODE_RANGE', 'with a code of −128', `${q}.weight`, codes((values) => values.fill(-128, 0, 1))],
  ['SMOOTHQUANT_ROW_MAXIMUM', 'with half the codes in the first row of q_proj', `${q}.weight`, codes((values) => values.subarray(0, 8).forEach((code, i) => (values[i] = Math.trunc(code / 2))))],
  ['SMOOTHQUANT_SCALE_VALUE', 'with a NaN in q_proj.scale', `${q}.scale`, floats((values) => values.fill(Number.NaN, 3, 4))],
  ['SMOOTHQUANT_SHARED_SCALE', 'with one number of q_proj.migration_scale off by one bit', `${q}.migration_scale`, floats((values) => values.set([values[3]! * (1 + 2 ** -23)], 3))],
  ['SMOOTHQUANT_NOT_NORMALIZED', 'with down_proj.migration_scale times 2', `${down}.migration_scale`, floats((values) => values.forEach((value, i) => (values[i] = 2 * value)))],
  ['SMOOTHQUANT_MIGRATION_PARTIAL', 'without down_proj.migration_scale', `${down}.migration_scale`, none],
  ['SMOOTHQUANT_RECONSTRUCTION', 'with one code of q_proj off by one', `${q}.weight`, codes((values) => values.set([values.find((code) => Math.abs(code) < 100)! + 1], values.findIndex((code) => Math.abs(code) < 100))), true],
  ['SMOOTHQUANT_NOT_FUSED', 'with another input_layernorm', 'model.layers.0.input_layernorm.weight', asOriginal(1), true],
  ['SMOOTHQUANT_KEPT_TENSOR', 'with another embedding', 'model.embed_tokens.weight', asOriginal(1), true],
  ['SMOOTHQUANT_ORIGINAL_MISMATCH', 'without model.norm.weight', 'model.norm.weight', none, true],
];

export async function conversionsAndExports(): Promise<readonly Situation[]> {
  const tensors = await exported();
  const file = (name: string, about: string, edit: Edit): Contents => safetensorsOf(tensors.flatMap((tensor) => (tensor.name === name ? edit(tensor) : [tensor])), `LMDeploy’s int8 export of a Llama of one layer, ${about}`);
  const exports = defects.map(([code, about, name, edit, against]): Situation => ({
    code,
    files: { 'model.safetensors': file(name, about, edit), ...(against ? { 'original.safetensors': original } : {}) },
    command: `validate model.safetensors --deep${against ? ' --original original.safetensors' : ''}`,
  }));
  const making = { command: 'smoothquant original.safetensors statistics.safetensors out' };
  return [
    ...conversions,
    ...exports,
    { code: 'SMOOTHQUANT_STATISTICS', files: { 'original.safetensors': original, 'statistics.safetensors': safetensorsOf(statisticsOf(linears.slice(0, -1)).map((each) => ({ ...each, bytes: new Uint8Array(Float32Array.from({ length: each.shape[0]! }, () => 1).buffer) })), 'those of every layer but down_proj') }, ...making },
    { code: 'SMOOTHQUANT_ORIGINAL', files: { 'original.safetensors': safetensorsOf(stored(withoutName(originalShapes, 'model.layers.0.mlp.up_proj.weight')), 'a Llama of one layer without up_proj'), 'statistics.safetensors': safetensorsOf(statisticsOf(linears).map((each) => ({ ...each, bytes: new Uint8Array(Float32Array.from({ length: each.shape[0]! }, () => 1).buffer) })), 'those of every layer') }, ...making },
  ];
}

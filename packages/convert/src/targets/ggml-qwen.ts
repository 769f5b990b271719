/** qwen.cpp's container: Qwen-1's names, c_attn fused, twelve numbers in the header. Source: qwen.cpp@e532c24 convert.py. */
import { dtype, tensorBytes, type Checkpoint } from '@weightspec/core';
import { ggmlQwen, writeGgmlQwen } from '@weightspec/ggml-qwen';
import { hasQkvBiases } from '@weightspec/models';
import { encodedAhead } from '../encoding.js';
import { objectOf } from '../json.js';
import { constantLosses, ggmlQwenConstants, isBlocked, tensorLosses, type Reporter } from '../losses.js';
import type { ConvertInput, LogicalModel } from '../logical-model.js';
import type { ConversionFile, ConvertOptions, QwenTokenIds } from '../options.js';
import { tensorsIn } from '../recipes.js';
import { f32, floatCodec } from '../views.js';

const defaultType = dtype('F16');

/** Of the published models: <|endoftext|>, twice, and the two of ChatML. */
const QWEN_IDS: QwenTokenIds = { eos: 151643, pad: 151643, imStart: 151644, imEnd: 151645 };

export function ggmlQwenFiles(input: ConvertInput, model: LogicalModel, options: ConvertOptions, report: Reporter): readonly ConversionFile[] {
  const { config, weights } = model;
  const { dtype: type = defaultType, rounding } = options;
  constantLosses(model, ggmlQwenConstants, report);
  tensorLosses(model, report);
  if (!ggmlQwen.variants.includes(type.name.toLowerCase())) report.add('CONVERT_NO_PLACE', `this container has no ${type.name}; it has ${ggmlQwen.variants.join(', ')}`);
  if (config.kvHeads !== config.heads) report.add('CONVERT_GROUPED_QUERIES', `the model has ${config.kvHeads} kv heads for ${config.heads} heads`);
  if (config.headDim * config.heads !== config.dim) report.add('CONVERT_HEAD_SIZE', `the head size is ${config.headDim}, and qwen.cpp computes ${config.dim} / ${config.heads}`);
  for (const [name, { tensor }] of weights) if (!floatCodec(tensor.dtype)) report.add('CONVERT_NO_CODEC', `${name} is ${tensor.dtype.name}`, `/tensors/${name}`);
  const ids = options.tokenIds ?? tokenIdsOf(input, config.vocabSize);
  if (!ids) report.add('CONVERT_TOKEN_IDS_UNKNOWN', 'neither the source nor a file beside it states eos, pad, im_start and im_end');
  if (!hasQkvBiases(config)) report.add('CONVERT_ZERO_BIAS', 'c_attn gets biases of zero: this model has none');
  const quantized = [...weights.values()].find(({ tensor, packed }) => packed || (tensor.dtype.blockSize > 1 && tensor.dtype.name !== type.name));
  if (quantized && type.blockSize > 1) report.add('CONVERT_REQUANTIZED', `the source is ${quantized.storage}; ${type.name} is written`);
  if (!ids || isBlocked(report, options.allowLoss)) return [];

  const { encoder } = options;
  const tensors = tensorsIn(model, 'qwen1', { biases: true, classifier: true }).map((tensor) => (
    encoder && tensor.shape.length === 2 && tensor.dtype.name !== type.name ? encodedAhead(tensor, type, rounding ?? 'ggml', encoder) : tensor
  ));
  const metadata = {
    ggml_type: 0, vocab_size: config.vocabSize, hidden_size: config.dim, num_attention_heads: config.heads, num_kv_heads: config.kvHeads, num_hidden_layers: config.layers,
    intermediate_size: 2 * config.hiddenDim, max_length: options.maxSeqLen ?? config.maxSeqLen,
    eos_token_id: ids.eos, pad_token_id: ids.pad, im_start_id: ids.imStart, im_end_id: ids.imEnd,
  };
  const checkpoint: Checkpoint = { format: 'ggml-qwen', variant: type.name.toLowerCase(), metadata, tensors };
  const byteLength = tensors.reduce((sum, { shape }) => sum + tensorBytes(shape.length === 2 ? type : f32, shape), 0);
  return [{ name: 'model.bin', kind: 'weights', byteLength, write: (sink) => writeGgmlQwen(checkpoint, sink, { dtype: type, rounding }) }];
}

/** By the source's own header, then generation_config.json and config.json, then what qwen.tiktoken or the published vocabulary implies. */
export function tokenIdsOf({ checkpoint, beside }: ConvertInput, vocabSize: number): QwenTokenIds | undefined {
  const stated = [checkpoint.metadata, objectOf(beside?.generationConfig), objectOf(beside?.config ?? checkpoint.metadata.config)];
  const idOf = (...keys: string[]): number | undefined => stated.flatMap((fields) => keys.map((key) => fields?.[key])).find((value) => typeof value === 'number');
  const ranks = beside?.tiktokenRanks;
  const implied = ranks !== undefined ? { eos: ranks, pad: ranks, imStart: ranks + 1, imEnd: ranks + 2 } : vocabSize > QWEN_IDS.imEnd ? QWEN_IDS : undefined;
  const eos = idOf('eos_token_id') ?? implied?.eos;
  const ids = { eos, pad: idOf('pad_token_id') ?? implied?.pad ?? eos, imStart: idOf('im_start_id') ?? implied?.imStart, imEnd: idOf('im_end_id') ?? implied?.imEnd };
  return Object.values(ids).includes(undefined) ? undefined : (ids as QwenTokenIds);
}

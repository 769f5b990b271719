import type { Checkpoint } from '@weightspec/core';
import type { DecoderConfig } from './decoder-config.js';
import { ModelError } from './errors.js';
import { decoderConfigFromHf, stopTokensFromHf } from './hf-config.js';
import { decoderConfigFromMeta } from './meta-params.js';
import { nameSchemeOf, nameTable, type NameScheme } from './names.js';
import { objectOf } from './field-reader.js';
import { schemes } from './schemes/index.js';
import { llama2cTrainingCheckpoint } from './schemes/llama2c.js';
import type { ModelDescription } from './schemes/scheme.js';

/** What a file of tensors alone does not say; found beside it. */
export interface BesideModel {
  /** Hugging Face's config.json, parsed. */
  readonly config?: unknown;
  /** Meta's params.json, parsed. */
  readonly params?: unknown;
  /** Positions to run where params.json is used, which states none. */
  readonly maxSeqLen?: number;
}

/** Whether files of this format say in themselves what to compute, so that nothing beside them is needed. */
export function describesItself({ format }: Checkpoint): boolean {
  return schemes.some((scheme) => scheme.format === format);
}

/**
 * The model that a checkpoint holds: by its own header, or, for files of tensors alone, by `beside` or what an opener put into metadata
 * under the same names, or by the arguments that llama2.c's training stores (`modelArgs`). Names are recognised by the token
 * embedding. Throws ModelError: MODEL_UNKNOWN_FORMAT, MODEL_CONFIG.
 */
export function describeModel(checkpoint: Checkpoint, beside: BesideModel = {}): ModelDescription {
  const scheme = schemes.find(({ format }) => format === checkpoint.format);
  if (scheme) return scheme.describe(checkpoint);

  const modelArgs = objectOf(checkpoint.metadata.modelArgs);
  if (modelArgs) return llama2cTrainingCheckpoint(checkpoint, modelArgs);
  const { config = checkpoint.metadata.config, params = checkpoint.metadata.params, maxSeqLen } = beside;
  if (config === undefined && params === undefined) {
    const known = schemes.map(({ format }) => format).join(', ');
    throw new ModelError('MODEL_UNKNOWN_FORMAT', [`a checkpoint of the format ${JSON.stringify(checkpoint.format)} does not say what to compute, and there is neither a config.json nor a params.json; formats that do: ${known}`]);
  }
  const names = nameSchemeOf(checkpoint.tensors.map(({ name }) => name));
  if (!names) throw new ModelError('MODEL_WEIGHTS', [`there is no token embedding by any of the names ${Object.values(nameTable[0]!).join(', ')}`]);
  if (config === undefined) {
    const vocabSize = checkpoint.tensors.find(({ name }) => name === nameTable[0]![names])?.shape[0];
    return { config: inOrderOf(names, decoderConfigFromMeta(params, { vocabSize, maxSeqLen })), names, stopTokens: [] };
  }
  return { config: inOrderOf(names, decoderConfigFromHf(config)), names, stopTokens: stopTokensFromHf(config) };
}

/** q and k have their rows in the order of whoever named them, whichever configuration lies beside. */
function inOrderOf(names: NameScheme, config: DecoderConfig): DecoderConfig {
  return { ...config, ropeStyle: names === 'meta' ? 'interleaved' : 'halves' };
}

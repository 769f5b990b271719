/** Whether configuration and weights are those of one model (F-4.2 to F-4.6). Headers only. */
import type { Checkpoint, Diagnostic, TensorInfo, WeightHandle } from '@weightspec/core';
import { ModelError, checkDecoderConfig, decoderConfigFromHf, decoderConfigFromMeta, decoderWeights, nameSchemeOf, storedName, weightHandles, type BesideModel, type DecoderConfig, type NameScheme } from '@weightspec/models';
import { Findings, quoted, tensorPointer } from '@weightspec/safetensors';
import { folderDiagnostic, type FolderCode } from './folder-codes.js';

export interface Preflight {
  readonly diagnostics: readonly Diagnostic[];
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  /** Rows of the token embedding, where known. */
  readonly vocabSize?: number;
}

/** Tables and masks that old savers kept among the weights and that every loader ignores. */
const ignorable = /(rotary_emb\.inv_freq|attn\.masked_bias|attn\.bias_mask|^rope\.freqs)$/;

/** Compares the tensors of `checkpoint` with what the configuration beside it implies. `configSource` names the configuration. */
export function checkAgainstConfig(checkpoint: Checkpoint, beside: BesideModel, configSource: string): Preflight {
  const names = nameSchemeOf(checkpoint.tensors.map(({ name }) => name));
  const embedding = names && checkpoint.tensors.find(({ name }) => name === storedName('tok_embeddings.weight', names).name);
  const vocabSize = embedding?.shape[0];
  const findings = new Findings<FolderCode>(configSource, folderDiagnostic);
  let config: DecoderConfig;
  try {
    config = beside.config === undefined ? decoderConfigFromMeta(beside.params, vocabSize === undefined ? {} : { vocabSize }) : decoderConfigFromHf(beside.config);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    findings.add('FOLDER_CONFIG_UNCHECKED', { message: error.problems.join('; ') });
    return { diagnostics: findings.diagnostics(), checked: [], notChecked: ['whether the weights fit the configuration: its model is not known here'], ...(vocabSize === undefined ? {} : { vocabSize }) };
  }
  const nonsense = checkDecoderConfig(config);
  if (nonsense.length > 0) {
    findings.add('FOLDER_CONFIG_INVALID', { message: nonsense.join('; ') });
    return { diagnostics: findings.diagnostics(), checked: [], notChecked: ['whether the weights fit the configuration: it contradicts itself'], ...(vocabSize === undefined ? {} : { vocabSize }) };
  }
  const scheme = names ?? (beside.config === undefined ? 'meta' : config.architecture === 'qwen1' ? 'qwen1' : 'hf');
  const expected = expectedTensors(config, scheme);
  checkExpected(checkpoint, expected, findings);
  checkOthers(checkpoint, expected, config, scheme, findings);
  checkDtype(checkpoint, beside, findings);
  return { diagnostics: findings.diagnostics(), checked: [`${expected.size} names and shapes that ${configSource} implies`], notChecked: [], vocabSize: vocabSize ?? config.vocabSize };
}

/** Shape by the name under which `scheme` stores it. */
function expectedTensors(config: DecoderConfig, scheme: NameScheme): Map<string, readonly number[]> {
  return new Map(decoderWeights(config).map(({ name, shape }) => {
    const stored = storedName(name, scheme);
    // Qwen 1 keeps q, k and v as thirds of one matrix.
    return [stored.name, stored.third === undefined ? shape : [3 * shape[0]!, ...shape.slice(1)]] as const;
  }));
}

function checkExpected(checkpoint: Checkpoint, expected: ReadonlyMap<string, readonly number[]>, findings: Findings<FolderCode>): void {
  const handles = weightHandles(checkpoint);
  for (const [name, shape] of expected) {
    const handle = handles.get(name);
    if (!handle) findings.add('FOLDER_TENSOR_MISSING', { pointer: tensorPointer(name), message: `${quoted(name)} [${shape.join(', ')}] is not in the weights` });
    else if (handle.shape.join() !== shape.join()) findings.add('FOLDER_TENSOR_SHAPE', { ...placeOf(handle), message: `${quoted(name)} is [${handle.shape.join(', ')}]; the configuration implies [${shape.join(', ')}]` }, Object.values(handle.parts)[0]!.location.source.name);
  }
}

const placeOf = ({ name, parts }: WeightHandle) => ({ pointer: tensorPointer(name), byteRange: rangeOf(Object.values(parts)[0]!) });
const rangeOf = ({ location }: TensorInfo): readonly [number, number] => [location.offset, location.offset + location.length];

function checkOthers(checkpoint: Checkpoint, expected: ReadonlyMap<string, readonly number[]>, config: DecoderConfig, scheme: NameScheme, findings: Findings<FolderCode>): void {
  const packed = [...weightHandles(checkpoint).values()].flatMap(({ parts }) => (Object.keys(parts).length > 1 ? Object.values(parts).map(({ name }) => name) : []));
  const partOfPacked = new Set(packed);
  const output = storedName('output.weight', scheme).name;
  for (const tensor of checkpoint.tensors) {
    const { name } = tensor;
    if (expected.has(name) || partOfPacked.has(name) || ignorable.test(name) || name.endsWith('.migration_scale')) continue;
    const finding = { pointer: tensorPointer(name), byteRange: rangeOf(tensor) };
    const source = tensor.location.source.name;
    if (name === output && config.tiedEmbeddings) {
      if (!sharesPlace(tensor, checkpoint.tensors)) findings.add('FOLDER_TIED_OUTPUT', { ...finding, message: `${quoted(name)} is stored, and tie_word_embeddings is true` }, source);
    } else findings.add('FOLDER_TENSOR_UNEXPECTED', { ...finding, message: `${quoted(name)} [${tensor.shape.join(', ')}] is in the weights, and the configuration does not imply it` }, source);
  }
}

/** Whether another tensor has the very same bytes, as in a pickle that keeps shared storage. */
function sharesPlace(tensor: TensorInfo, tensors: readonly TensorInfo[]): boolean {
  const { source, offset, length } = tensor.location;
  return tensors.some((other) => other !== tensor && other.location.source === source && other.location.offset === offset && other.location.length === length);
}

const dtypeOfTorch: Readonly<Record<string, string>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16', float64: 'F64' };

function checkDtype(checkpoint: Checkpoint, { config }: BesideModel, findings: Findings<FolderCode>): void {
  const fields = config as { readonly torch_dtype?: unknown; readonly dtype?: unknown } | undefined;
  const stated = dtypeOfTorch[String(fields?.torch_dtype ?? fields?.dtype)];
  const matrices = checkpoint.tensors.filter(({ shape, dtype }) => shape.length === 2 && /^B?F\d/.test(dtype.name));
  const [first] = matrices;
  if (stated === undefined || !first || matrices.some(({ dtype }) => dtype.name === stated)) return;
  findings.add('FOLDER_DTYPE', { message: `the configuration says ${stated}; ${quoted(first.name)} and ${matrices.length - 1} other matrices are ${[...new Set(matrices.map(({ dtype }) => dtype.name))].join(', ')}` });
}

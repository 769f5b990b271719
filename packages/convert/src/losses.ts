/** What a target’s readers take for granted, against what the source says. */
import type { Diagnostic } from '@weightspec/core';
import { hasQkvBiases } from '@weightspec/models';
import { convertDiagnostic, isLoss, type ConvertCode } from './codes.js';
import { objectOf } from './json.js';
import type { ConvertInput, LogicalModel } from './logical-model.js';

/** Constants that are compiled into a format's readers. */
export interface ReaderConstants {
  readonly format: string;
  readonly ropeTheta: number;
  /** Compared in f32, in which the readers add it. */
  readonly normEps: number;
  readonly biases: boolean;
}

export const llama2cConstants: ReaderConstants = { format: 'llama2.c', ropeTheta: 10000, normEps: 1e-5, biases: false };
export const ggmlQwenConstants: ReaderConstants = { format: 'qwen.cpp', ropeTheta: 10000, normEps: 1e-6, biases: true };

/** run.c starts a text with 1 and stops at it; its tokenizer has 2 for the end. */
const llama2cIds = { bos: [1], eos: [1, 2] };

/** Collects diagnostics about one source. */
export function reporter(source: string) {
  const found: Diagnostic[] = [];
  return {
    found,
    add(code: ConvertCode, message: string, pointer?: string): void {
      found.push(convertDiagnostic(code, source, pointer === undefined ? { message } : { message, pointer }));
    },
  };
}
export type Reporter = ReturnType<typeof reporter>;

/** Whether something was found that forbids writing. */
export const isBlocked = ({ found }: Reporter, allowLoss = false): boolean => found.some((diagnostic) => diagnostic.severity === 'error' && !(allowLoss && isLoss(diagnostic)));

/** Losses that follow from the constants of the target's readers. */
export function constantLosses({ config }: LogicalModel, { format, ropeTheta, normEps, biases }: ReaderConstants, report: Reporter): void {
  if (config.ropeTheta !== ropeTheta) report.add('CONVERT_LOSS_ROPE_THETA', `the model's RoPE base is ${config.ropeTheta}; ${format} always uses ${ropeTheta}`);
  if (Math.fround(config.normEps) !== Math.fround(normEps)) report.add('CONVERT_LOSS_NORM_EPS', `the model's RMSNorm eps is ${Number(config.normEps.toPrecision(7))}; ${format} always uses ${normEps}`);
  if (!biases && hasQkvBiases(config)) report.add('CONVERT_LOSS_BIAS', `the ${3 * config.layers} biases of q, k and v would be left out: ${format} has none`);
}

/** Tensors that no weight of the architecture is. */
export function tensorLosses({ others }: LogicalModel, report: Reporter): void {
  if (others.length === 0) return;
  const shown = others.slice(0, 5).map((name) => JSON.stringify(name)).join(', ');
  report.add('CONVERT_LOSS_TENSORS', `${others.length} tensors are no weights of this architecture: ${shown}${others.length > 5 ? ', …' : ''}`);
}

/** Ids that a config.json states and run.c does not know. */
export function llama2cTokenLosses({ beside, checkpoint }: ConvertInput, report: Reporter): void {
  const config = objectOf(beside?.config ?? checkpoint.metadata.config);
  for (const kind of ['bos', 'eos'] as const) {
    const stated = config?.[`${kind}_token_id`];
    const ids = (Array.isArray(stated) ? stated : [stated]).filter((id): id is number => typeof id === 'number');
    if (ids.some((id) => !llama2cIds[kind].includes(id))) report.add('CONVERT_LOSS_TOKEN_IDS', `${kind}_token_id is ${ids.join(', ')}; run.c has ${llama2cIds[kind].join(' and ')}`);
  }
  const own = ['eos_token_id', 'im_end_id'].filter((key) => typeof checkpoint.metadata[key] === 'number');
  if (own.length > 0) report.add('CONVERT_LOSS_TOKEN_IDS', `${own.map((key) => `${key} is ${JSON.stringify(checkpoint.metadata[key])}`).join(' and ')}; run.c stops at 1`);
}

/** What a conversion cannot do, or would lose. Clauses: docs/convert.md. Codes are permanent; one cause each. */
import { diagnosticFactory, type CodeTable, type Diagnostic, type Severity } from '@weightspec/core';

const entry = (clause: string, severity: Severity, summary: string, rationale: string, hint: string) => ({ severity, summary, clause: `docs/convert#${clause}`, rationale, hint });
const loss = (summary: string, rationale: string, hint = 'Give --allow-loss if the loss is meant.') => entry('what-an-edge-would-lose', 'error', summary, rationale, hint);

export const convertCodes = {
  CONVERT_LOSS_ROPE_THETA: loss('The target’s readers use another RoPE base, and it cannot be stored', 'llama2.c and qwen.cpp rotate with a base of 10000; with another model the output is fluent nonsense, from some distance on.', 'Convert to safetensors or torch, whose config.json states it; or give --allow-loss if your reader is changed to use the base.'),
  CONVERT_LOSS_NORM_EPS: loss('The target’s readers use another RMSNorm eps, and it cannot be stored', 'run.c adds 1e-5 and qwen.cpp 1e-6: logits shift a little in every layer.'),
  CONVERT_LOSS_TOKEN_IDS: loss('The target has no place for special token ids that differ from those its readers use', 'run.c starts with the id 1 and stops there; a model with other ids never stops.'),
  CONVERT_LOSS_BIAS: loss('The target has no place for the biases of q, k and v', 'Qwen’s attention is far off without its biases.', 'Convert to a format that has biases; the result would be another model.'),
  CONVERT_LOSS_CLASSIFIER: loss('The target has no place for a classifier of its own', 'v1-int8 files always use the token embedding as classifier; an untied model then gives noise.', 'Use llama2c-v2, which holds both.'),
  CONVERT_LOSS_TENSORS: loss('The target has no place for some tensors', 'Tensors that are no weight of the architecture would be left out silently.', 'Look at their names; give --allow-loss to leave them out.'),
  CONVERT_GROUPED_QUERIES: entry('targets', 'error', 'The target cannot hold grouped-query attention', 'qwen.cpp’s c_attn has three equal parts; a model with fewer kv heads does not fit.', 'Convert to another format.'),
  CONVERT_HEAD_SIZE: entry('targets', 'error', 'The target cannot state a head size other than dim / heads', 'Readers compute the head size from the two and would read the matrices at wrong places.', 'Convert to safetensors or torch, whose config.json has head_dim.'),
  CONVERT_TOKEN_IDS_UNKNOWN: entry('targets', 'error', 'The target needs special token ids that the source does not state', 'A guessed end-of-text id gives a model that never stops.', 'Give --token-ids EOS,PAD,IM_START,IM_END, or put generation_config.json and qwen.tiktoken beside the source.'),
  CONVERT_NO_CODEC: entry('element-types', 'error', 'A tensor of a type that cannot be turned into the target’s', 'Integers and 8-bit floats have no agreed scale here; reading them as something else is noise.', 'Convert to safetensors or torch without --dtype, which keeps such tensors as they are.'),
  CONVERT_NO_PLACE: entry('element-types', 'error', 'The target has no such element type', 'A file with a type that its readers do not know cannot be read by anybody.', 'Leave --dtype out, or choose a type that the message names.'),
  CONVERT_REQUANTIZED: entry('element-types', 'warning', 'Quantized weights are quantized again', 'The errors of two roundings add up; quantizing the original weights once is better.', 'Convert from the original weights where you have them.'),
  CONVERT_POSITIONS_ASSUMED: entry('targets', 'info', 'The number of positions is assumed', 'Meta’s params.json does not state it; the original converter writes 2048.', 'Give --max-seq-len if you know better.'),
  CONVERT_ZERO_BIAS: entry('targets', 'info', 'Biases of zero are added', 'The target always has biases of q, k and v; zeros change nothing.', 'Nothing needs to be done.'),
} as const satisfies CodeTable;

export type ConvertCode = keyof typeof convertCodes;

export const convertDiagnostic = diagnosticFactory(convertCodes);

export const isLoss = ({ code }: Pick<Diagnostic, 'code'>): boolean => code.startsWith('CONVERT_LOSS_');

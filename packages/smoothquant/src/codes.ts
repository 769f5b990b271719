/** Codes of SmoothQuant exports: what breaks specs/smoothquant, and what cannot be smoothed. */
import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (id: string): string => `specs/smoothquant#${id}`;

const exportAgain = 'Export the model again from the original weights and its activation statistics.';

export const smoothquantCodes = {
  SMOOTHQUANT_SCALE_MISSING: {
    severity: 'error', clause: clause('S-1.1'),
    summary: 'An int8 weight has no scale.',
    rationale: 'Codes without a scale mean nothing; a loader that takes them as they are computes with weights of ±127.',
    hint: 'In a sharded model the scale may be in another shard: check the folder. Otherwise export the model again.',
  },
  SMOOTHQUANT_SCALE_FORM: {
    severity: 'error', clause: clause('S-1.1'),
    summary: 'A scale is not F32 of the shape [out, 1].',
    rationale: 'A scale of another shape broadcasts over columns instead of rows, without an error.',
    hint: exportAgain,
  },
  SMOOTHQUANT_SCALE_UNPAIRED: {
    severity: 'error', clause: clause('S-1.1'),
    summary: 'A scale or migration scale belongs to no int8 weight.',
    rationale: 'Either the weight was replaced by one of another type and is scaled twice, or it is missing.',
    hint: exportAgain,
  },
  SMOOTHQUANT_MIGRATION_FORM: {
    severity: 'error', clause: clause('S-1.2'),
    summary: 'A migration scale is not F32 of the shape [in].',
    rationale: 'It says how columns of the weight were scaled, so it has one number a column.',
    hint: exportAgain,
  },
  SMOOTHQUANT_MIGRATION_SCALES: {
    severity: 'info', clause: clause('S-1.6'),
    summary: 'The export has migration scales, which some loaders do not take.',
    rationale: 'They are fused already. Loaders that stack q, k and v (vLLM) stop with a KeyError on them, and one that divides activations by them computes nonsense.',
    hint: 'For such a loader, make a copy without them: it computes the same.',
  },
  SMOOTHQUANT_LAYER_NOT_QUANTIZED: {
    severity: 'warning', clause: clause('S-1.5'),
    summary: 'A linear layer of the decoder is not int8, while others are.',
    rationale: 'LMDeploy replaces all of them; its loader expects int8 and a scale everywhere.',
    hint: exportAgain,
  },
  SMOOTHQUANT_CODE_RANGE: {
    severity: 'error', clause: clause('S-2.1'),
    summary: 'A weight has the code -128.',
    rationale: 'The scale is the largest magnitude divided by 127, so that -128 cannot come out: the tensor is damaged, or another quantizer wrote it.',
    hint: exportAgain,
  },
  SMOOTHQUANT_ROW_MAXIMUM: {
    severity: 'error', clause: clause('S-2.2'),
    summary: 'A row has a scale, but no code of magnitude 127; or codes, but the scale 0.',
    rationale: 'Weight and scale do not belong together: rows are shifted, or one of the two was replaced.',
    hint: exportAgain,
  },
  SMOOTHQUANT_SCALE_VALUE: {
    severity: 'error', clause: clause('S-2.3'),
    summary: 'A scale is negative, NaN or infinite, or a migration scale is not above 0.',
    rationale: 'It spoils its row, or its column, and with it every logit. Upstream writes NaN for rows of zeros.',
    hint: 'Rows of zeros need the scale 0; `weightspec smoothquant` writes it so.',
  },
  SMOOTHQUANT_SHARED_SCALE: {
    severity: 'error', clause: clause('S-2.4'),
    summary: 'Layers with the same input have different migration scales.',
    rationale: 'Their input is divided once, so that only one of the scales can be the one that was fused.',
    hint: exportAgain,
  },
  SMOOTHQUANT_NOT_NORMALIZED: {
    severity: 'warning', clause: clause('S-2.5'),
    summary: 'The largest and smallest number of a migration scale do not multiply to 1.',
    rationale: 'LMDeploy normalizes it; another one was made by another tool, whose other rules are unknown.',
    hint: exportAgain,
  },
  SMOOTHQUANT_MIGRATION_PARTIAL: {
    severity: 'warning', clause: clause('S-2.6'),
    summary: 'Some quantized layers have a migration scale, and others have none.',
    rationale: 'Tensors were lost, or only part of a model was smoothed.',
    hint: 'Keep all of them or none.',
  },
  SMOOTHQUANT_RECONSTRUCTION: {
    severity: 'error', clause: clause('S-2.7'),
    summary: 'A weight is further than half a step from the smoothed original.',
    rationale: 'Rounding is never off by more: the weight is that of another model, or was smoothed with other scales than those in the file.',
    hint: 'Check that the original is the one that was quantized.',
  },
  SMOOTHQUANT_NOT_FUSED: {
    severity: 'error', clause: clause('S-2.8'),
    summary: 'A norm or bias is not the original divided by the migration scale of what follows it.',
    rationale: 'The weights after it are multiplied by the scale; without the division here, activations are too large by it.',
    hint: exportAgain,
  },
  SMOOTHQUANT_KEPT_TENSOR: {
    severity: 'error', clause: clause('S-2.9'),
    summary: 'A tensor that is not quantized differs from the original in f16.',
    rationale: 'Embeddings, final norm and classifier are only rounded: others are those of another model.',
    hint: 'Check that the original is the one that was quantized.',
  },
  SMOOTHQUANT_ORIGINAL_MISMATCH: {
    severity: 'error', clause: clause('S-2.7'),
    summary: 'Export and original do not have the same tensors.',
    rationale: 'There is nothing to compare with.',
    hint: 'Check that the original is the one that was quantized.',
  },
  SMOOTHQUANT_STATISTICS: {
    severity: 'error', clause: clause('S-3.1'),
    summary: 'Activation statistics are missing, have another width than the layer, or are no magnitudes.',
    rationale: 'A guessed or shifted channel scales weights at random; NaN spoils its whole group.',
    hint: 'Collect them with this model: `weightspec calibrate`.',
  },
  SMOOTHQUANT_ORIGINAL: {
    severity: 'error', clause: clause('S-4.3'),
    summary: 'The original cannot be smoothed: a layer is missing or unknown, or is stored in a type that is not F32, F16 or BF16.',
    rationale: 'A layer that is left out would get an input that was divided for the others.',
    hint: 'Smooth a Llama, Qwen2 or Qwen with Hugging Face\'s names, before it is quantized otherwise.',
  },
} as const satisfies CodeTable;

export type SmoothquantCode = keyof typeof smoothquantCodes;

export const smoothquantDiagnostic = diagnosticFactory(smoothquantCodes);

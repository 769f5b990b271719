/** Converts weight files between formats, streaming and exact, and compares them across formats. Clauses: docs/convert.md. */
export { convertCodes, isLoss, type ConvertCode } from './codes.js';
export { planConversion, runConversion, type ConversionOutputs, type RunOptions } from './convert.js';
export { encodeChunk, type Encoder, type EncodeRequest } from './encoding.js';
export { logicalModel, weightIn, type BesideConversion, type ConvertInput, type LogicalModel, type LogicalWeight } from './logical-model.js';
export { targets, type ConversionFile, type ConversionPlan, type ConvertOptions, type QwenTokenIds, type Target } from './options.js';
export { asType, contiguous, permuted, unpacked, zeros } from './views.js';
export { compare, type ComparedTensor, type CompareOptions, type Comparison, type Difference, type Explanation, type SideSummary, type TensorSummary } from './compare/index.js';

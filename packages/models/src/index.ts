/** Decoder architectures as Programs, and how each file format spells their weights and their configuration. */
export * from './decoder-config.js';
export * from './decoder.js';
export * from './describe.js';
export * from './errors.js';
export * from './hf-config.js';
export * from './lmdeploy-int8.js';
export * from './meta-params.js';
export * from './meta-shards.js';
export * from './model.js';
export * from './names.js';
export * from './rope-permutation.js';
export * from './stacked.js';
export * from './trace-points.js';
export * from './weight-views.js';
export { ggmlQwenScheme } from './schemes/ggml-qwen.js';
export { llama2cScheme } from './schemes/llama2c.js';
export type { ModelDescription, ModelScheme } from './schemes/scheme.js';

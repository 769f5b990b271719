/** Decoder architectures as Programs, and how each file format spells their weights and their configuration. */
export * from './decoder-config.js';
export * from './errors.js';
export * from './llama.js';
export * from './model.js';
export { llama2cScheme } from './schemes/llama2c.js';
export type { ModelScheme } from './schemes/scheme.js';

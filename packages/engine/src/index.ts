/** Load a checkpoint, prefill, decode with a KV cache, sample. */
export * from './errors.js';
export * from './load.js';
export * from './generate.js';
export * from './logits.js';
export * from './trace.js';
export * from './sampling/sampler.js';
export { XorShiftStar } from './sampling/xorshift.js';

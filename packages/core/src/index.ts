/** The types every Weightspec package shares. No dependencies, no node:*. */
export * from './byte-source.js';
export * from './dtype.js';
export * from './checkpoint.js';
export * from './contiguous.js';
export * from './diagnostic.js';
export * from './format.js';
export * from './program.js';
export * from './codec.js';

/** The list of weight-file formats, and what can be done with a file before its format is known: detect, open, validate. */
export * from './list.js';
export * from './codes.js';
export * from './imposters.js';
export * from './detect.js';
export * from './open.js';
export * from './validate.js';

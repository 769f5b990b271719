/** Tokenizers that weight files need. */
export * from './tokenizer.js';
export * from './score-bpe.js';
export * from './text-stream.js';

/** Tokenizers that weight files need. */
export * from './tokenizer.js';
export * from './score-bpe.js';
export { createByteStream, createTextStream, type ByteStream, type TextFilter, type TextStream } from './text-stream.js';
export { parseTiktokenRanks, readTiktokenRanks, looksLikeTiktokenRanks, type TiktokenRanks, type TiktokenRanksResult } from './tiktoken-ranks.js';
export { tiktokenCodes } from './codes.js';
export * from './tiktoken.js';
export * from './pre-tokenizer.js';
export * from './llama3.js';
export * from './qwen.js';

/** llama2.c weight files and tokenizer.bin: read, validate, write. Specification: specs/llama2c. */
import type { Format } from '@weightspec/core';
import { llama2cCodes } from './codes.js';
import { detect } from './detect.js';
import { AK42_HEADER_BYTES } from './header.js';
import { variants } from './layout.js';
import { read } from './read.js';
import { validate } from './validate.js';
import { write } from './write.js';

export const llama2c: Format = {
  id: 'llama2c',
  title: 'llama2.c weights',
  variants,
  extensions: ['.bin'],
  codes: llama2cCodes,
  detectBytes: AK42_HEADER_BYTES,
  detect,
  read,
  validate,
  write,
};

export { llama2cTokenizer, readTokenizerBin, writeTokenizerBin, type TokenizerBin, type TokenizerGeneration } from './tokenizer-bin.js';
export { llama2cCodes, tokenizerCodes } from './codes.js';
export { planLlama2c, writeLlama2c, type WriteOptions, type WritePlan as Llama2cWritePlan } from './write.js';
export { variants as llama2cVariants, type Variant as Llama2cVariant } from './layout.js';

/** qwen.cpp's GGML container: read, validate, write. Specification: specs/ggml-qwen. */
import type { Detection, Format } from '@weightspec/core';
import { ggmlQwenCodes } from './codes.js';
import { magicOf, plausibleFields, readConfig } from './header.js';
import { HEADER_BYTES, ggmlTypes } from './layout.js';
import { read } from './read.js';
import { validate } from './validate.js';
import { write } from './write.js';

function detect(head: Uint8Array): Detection | undefined {
  const magic = magicOf(head);
  if (magic === 'exact') return { confidence: 'certain', evidence: 'bytes "ggml" (67 67 6D 6C) at 0' };
  // ggml's other containers differ from this magic by one letter too: only a sensible header tells damage from kinship.
  if (magic === 'damaged' && head.length >= HEADER_BYTES && plausibleFields(readConfig(head)) >= 7) return { confidence: 'possible', evidence: 'three of the four magic bytes "ggml", and a plausible configuration' };
  return undefined;
}

export const ggmlQwen: Format = {
  id: 'ggml-qwen',
  title: 'qwen.cpp GGML container',
  variants: [...ggmlTypes.values()].map((type) => type.name.toLowerCase()),
  extensions: ['.bin'],
  codes: ggmlQwenCodes,
  detectBytes: HEADER_BYTES,
  detect,
  read,
  validate,
  write,
};

export { ggmlQwenCodes } from './codes.js';
export { writeGgmlQwen, type WriteOptions as GgmlQwenWriteOptions } from './write.js';

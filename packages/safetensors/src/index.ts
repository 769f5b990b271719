/** safetensors: read, validate, write. Specification: specs/safetensors. */
import type { Format } from '@weightspec/core';
import { safetensorsCodes } from './codes.js';
import { DETECT_BYTES, detect } from './detect.js';
import { VARIANT, read } from './read.js';
import { validate } from './validate.js';
import { write } from './write.js';

export const safetensors: Format = {
  id: 'safetensors',
  title: 'safetensors',
  variants: [VARIANT],
  extensions: ['.safetensors'],
  codes: safetensorsCodes,
  detectBytes: DETECT_BYTES,
  detect,
  read,
  validate,
  write,
};

export { safetensorsCodes, type SafetensorsCode } from './codes.js';
export { scanContents, type ContentReport } from './contents.js';
export { memberBeyond } from './count-members.js';
export { dtypeNames, safetensorsDtypes } from './dtypes.js';
export { Findings, quoted, tensorPointer } from './findings.js';
export { JsonError, JsonReader, type JsonFault, type JsonType } from './json-reader.js';
export { firstInvalidUtf8 } from './utf8.js';
export { NAMES_UNCHECKED } from './validate.js';
export { canonicalOrder, encodeHeader, writeSafetensors, type WriteSafetensorsOptions } from './write.js';

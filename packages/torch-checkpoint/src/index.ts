/** PyTorch checkpoints: read, validate, write, without ever running what they hold. Specification: specs/torch-checkpoint. */
import type { Format } from '@weightspec/core';
import { torchCodes } from './codes.js';
import { DETECT_BYTES, detect } from './detect.js';
import { read } from './read.js';
import { validate } from './validate.js';
import { write } from './write.js';

export const torchCheckpoint: Format = {
  id: 'torch-checkpoint',
  title: 'PyTorch checkpoint',
  variants: ['zip', 'legacy'],
  extensions: ['.pth', '.pt', '.bin', '.ckpt'],
  codes: torchCodes,
  detectBytes: DETECT_BYTES,
  detect,
  read,
  validate,
  write,
};

export { torchCodes } from './codes.js';
export { legacyStorages, type LegacyStorage } from './legacy.js';
export { limits as torchLimits } from './limits.js';
export type { TorchTensorInfo } from './tensor.js';
export { writeTorch, type Flavor as TorchFlavor, type TorchWriteOptions } from './write.js';

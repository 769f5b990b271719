/**
 * Whole forwards against goldens, for any backend: every backend's tests call this. Test code, which builds leave out; import it by
 * its path, `../../engine/src/testing/index.js`.
 */
import type { Backend } from '@weightspec/core';
import { llama2cGoldens } from './llama2c-goldens.js';
import { modelsGoldens } from './models-goldens.js';
import type { GoldenOptions } from './options.js';
import { ownGoldens } from './own-goldens.js';
import { qwen1Goldens } from './qwen1-goldens.js';
import { torchGoldens } from './torch-goldens.js';

export * from './options.js';

/** Goldens of this project, and those of the shared data where it is there; without it they are named as skipped. */
export function engineGoldens(backend: Backend, options: GoldenOptions = {}): void {
  ownGoldens(backend);
  llama2cGoldens(backend, options);
  modelsGoldens(backend, options);
  qwen1Goldens(backend, options);
  torchGoldens(backend);
}

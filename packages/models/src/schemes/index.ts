import { llama2cScheme } from './llama2c.js';
import type { ModelScheme } from './scheme.js';

/** One row a format whose checkpoints can be run. */
export const schemes: readonly ModelScheme[] = [llama2cScheme];

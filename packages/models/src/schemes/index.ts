import { ggmlQwenScheme } from './ggml-qwen.js';
import { llama2cScheme } from './llama2c.js';
import type { ModelScheme } from './scheme.js';

/** One row a format that says in itself what model it holds. */
export const schemes: readonly ModelScheme[] = [llama2cScheme, ggmlQwenScheme];

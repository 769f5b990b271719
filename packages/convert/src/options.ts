import type { DType, Diagnostic, ByteSink, Rounding } from '@weightspec/core';
import type { NameScheme } from '@weightspec/models';
import type { Encoder } from './encoding.js';

export const targets = ['llama2c-v0', 'llama2c-v1-int8', 'llama2c-v1-fp32', 'llama2c-v2', 'ggml-qwen', 'safetensors', 'torch'] as const;
export type Target = (typeof targets)[number];

/** Special ids that qwen.cpp's header holds. */
export interface QwenTokenIds {
  readonly eos: number;
  readonly pad: number;
  readonly imStart: number;
  readonly imEnd: number;
}

export interface ConvertOptions {
  /** ggml-qwen: type of the matrices, default F16. safetensors and torch: type of all floats, default their own (F32 for quantized ones). */
  readonly dtype?: DType;
  /** How ggml-qwen's blocks are rounded: as ggml does (default) or as qwen.cpp's converter does. */
  readonly rounding?: Rounding;
  /** llama2.c's int8 variants: weights per scale. */
  readonly groupSize?: number;
  /** llama2.c's int8 variants: groups as export.py makes them, across rows too. */
  readonly compat?: 'upstream';
  /** Positions that the target states. Default: the source's, or 2048 where it has none. */
  readonly maxSeqLen?: number;
  /** safetensors and torch: bytes of tensors a file at most. Default: 5 · 10⁹, as transformers has it. */
  readonly shardBytes?: number;
  /** safetensors and torch: whose names. Default: the source's, and Hugging Face's for Meta's. */
  readonly names?: NameScheme;
  readonly tokenIds?: QwenTokenIds;
  /** Where ggml-qwen's blocks and llama2.c's int8 are computed, such as worker threads. Default: here. The bytes are the same. */
  readonly encoder?: Encoder;
  /** safetensors and torch: false leaves out the migration scales of a SmoothQuant export, which are fused already (specs/smoothquant#S-1.6). */
  readonly migrationScales?: boolean;
  /** Write also what would lose something; losses then are warnings. */
  readonly allowLoss?: boolean;
}

/** One file that a conversion makes. */
export interface ConversionFile {
  /** Base name, e.g. `model-00001-of-00002.safetensors`. */
  readonly name: string;
  readonly kind: 'weights' | 'config' | 'index';
  /** Exact for llama2.c files; otherwise that of the tensors alone, without headers. */
  readonly byteLength: number;
  /** Streams the file. Throws DiagnosticError for weights that cannot be encoded. */
  write(sink: ByteSink): Promise<void>;
}

/** What a conversion will do, before a byte is written. */
export interface ConversionPlan {
  readonly target: Target;
  /** Losses first: errors unless they are allowed. Nothing can be written while there is an error. */
  readonly diagnostics: readonly Diagnostic[];
  /** In the order in which they appear: an index comes last. Empty when there are errors. */
  readonly files: readonly ConversionFile[];
}

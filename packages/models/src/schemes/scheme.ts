import type { Checkpoint } from '@weightspec/core';
import type { DecoderConfig } from '../decoder-config.js';
import type { NameScheme } from '../names.js';

/** What must be known of a checkpoint beside its tensors to run it. */
export interface ModelDescription {
  readonly config: DecoderConfig;
  readonly names: NameScheme;
  /** Ids that end a text. */
  readonly stopTokens: readonly number[];
}

/** A file format that says in itself what model it holds: a row in `schemes/index.ts`. */
export interface ModelScheme {
  /** `Checkpoint.format` that this is for. */
  readonly format: string;
  /** The description, from metadata and shapes. Throws ModelError (MODEL_CONFIG) when something is missing. */
  describe(checkpoint: Checkpoint): ModelDescription;
}

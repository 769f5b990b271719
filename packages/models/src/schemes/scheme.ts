import type { Checkpoint } from '@weightspec/core';
import type { DecoderConfig } from '../decoder-config.js';

/** How one file format spells a model: a row in `schemes/index.ts`. */
export interface ModelScheme {
  /** `Checkpoint.format` that this is for. */
  readonly format: string;
  /** The configuration, from metadata or from shapes. Throws ModelError (MODEL_CONFIG) when something is missing. */
  configOf(checkpoint: Checkpoint): DecoderConfig;
  /** The checkpoint's name for a weight that the program knows by its Meta name. */
  nameOf(metaName: string): string;
}

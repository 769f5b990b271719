/** What the fuzzer needs to know of one reader. */
import type { Mutation } from './mutate.js';

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Target {
  readonly name: string;
  /** Reads inputs to start from. */
  seeds(): readonly Seed[];
  readonly mutate: Mutation;
  /**
   * Puts one input through the reader and everything that follows a successful read. Resolves with what was seen (codes, variant …),
   * from which the fuzzer tells new behaviour; throws for what a reader must never do.
   */
  run(bytes: Uint8Array): Promise<string>;
}

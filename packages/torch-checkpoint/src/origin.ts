/** What `read` remembers of a file beyond the plain Checkpoint: enough to check it deeply and to write it again. */
import type { Checkpoint, TensorLocation } from '@weightspec/core';
import type { Storage, Value } from './values.js';
import type { PlacedMember } from './zip.js';
import type { ByteSource } from '@weightspec/core';

export interface Origin {
  /** The value that the pickle holds. */
  readonly root: Value;
  readonly source: ByteSource;
  /** By storage key. */
  readonly storages: ReadonlyMap<string, { readonly storage: Storage; readonly location: TensorLocation }>;
  readonly zip?: {
    readonly archiveName: string;
    readonly members: readonly PlacedMember[];
    readonly withoutCrc: boolean;
    /** `.data/serialization_id` and the like, by name below the archive's folder. */
    readonly records: ReadonlyMap<string, string>;
  };
}

/** By identity: a copy with other tensors has no origin, and is written from its tensors. */
const origins = new WeakMap<Checkpoint, Origin>();

export const rememberOrigin = (checkpoint: Checkpoint, origin: Origin): void => void origins.set(checkpoint, origin);
export const originOf = (checkpoint: Checkpoint): Origin | undefined => origins.get(checkpoint);

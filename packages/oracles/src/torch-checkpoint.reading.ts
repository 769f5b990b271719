/** What the independent readings of a PyTorch checkpoint say, in terms in which they can be compared. */

/** One member of the archive, as its records tell it. Offsets and lengths in bytes of the file. */
export interface TorchMember {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly headerOffset: number;
  readonly dataOffset: number;
  readonly compressedLength: number;
  /** Uncompressed. */
  readonly length: number;
}

export interface TorchTensorPlace {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In elements; null where they are row-major without gaps, dimensions of one and empty tensors left aside. */
  readonly strides: readonly number[] | null;
  readonly storageKey: string;
  /** In elements from the start of the storage's record. */
  readonly storageOffset: number;
  /** First byte, in the file or (deflated) in the inflated member; of an empty tensor that of its storage. */
  readonly offset: number;
  /** From the first element to the end of the last one. */
  readonly length: number;
  readonly deflated: boolean;
}

export type TorchContainerReading = { readonly accepted: true; readonly members: readonly TorchMember[] } | { readonly accepted: false; readonly reason: string };

export type TorchReading =
  | { readonly accepted: true; readonly container: 'zip' | 'legacy'; readonly tensors: readonly TorchTensorPlace[] }
  | {
      readonly accepted: false;
      readonly reason: string;
      /** The tool behind this reading stops at what the clauses allow: no verdict. */
      readonly undecided?: boolean;
    };

/** Thrown for bytes that break a clause. */
export class TorchRefused extends Error {}

/** Thrown where the tool behind a reading cannot follow. */
export class TorchUndecided extends Error {}

export function demand(holds: boolean, clause: string): asserts holds {
  if (!holds) throw new TorchRefused(clause);
}

/** T-2.4: elements from the first to the last, 0 in an empty tensor. In BigInt, because sizes may be anything. */
export function spanOf(shape: readonly bigint[], strides: readonly bigint[]): bigint {
  return shape.includes(0n) ? 0n : shape.reduce((span, n, i) => span + (n - 1n) * strides[i]!, 1n);
}

/** Whether each step past a dimension of more than one is as long as everything inside it. */
export function isRowMajor(shape: readonly bigint[], strides: readonly bigint[]): boolean {
  let inside = 1n;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i]! !== 1n && strides[i]! !== inside) return shape.includes(0n);
    inside *= shape[i]!;
  }
  return true;
}

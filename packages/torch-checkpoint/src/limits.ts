/** Limits of this reader, far above any real model; together they keep every file below 200 MB of memory (clause K-4). */
export const limits = {
  /** Members of a zip archive. */
  members: 65_536,
  centralDirectoryBytes: 2 ** 24,
  memberNameBytes: 4_096,
  /** data.pkl, or the five pickles of a legacy stream together. */
  pickleBytes: 2 ** 24,
  /** Opcodes in one pickle. */
  opcodes: 4_000_000,
  /** Strings, tuples, containers, floats and tensors that one pickle may make. */
  objects: 500_000,
  stack: 131_072,
  marks: 1_000,
  memo: 1_000_000,
  /** Nesting of containers. */
  depth: 64,
  tensors: 50_000,
  /** Dimensions of one tensor; torch itself stops at 64. */
  rank: 64,
  /** version, byteorder and the like. */
  smallRecordBytes: 64,
  /** Uncompressed over compressed size of a deflated member of more than a megabyte. */
  expansion: 200,
} as const;

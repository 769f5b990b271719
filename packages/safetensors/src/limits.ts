/** What is refused for its size alone (docs/limits.md). All of them lie far above any real file. Clauses S-1.2, S-2.6, S-3.6, S-3.10. */

/** The reference's own limit. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Tensors, and `__metadata__`. The largest published models have some 100,000, in many files. */
export const MAX_MEMBERS = 262_144;
export const MAX_NAME_BYTES = 4096;
/** Of one tensor. */
export const MAX_DIMENSIONS = 1024;
/** Of all tensors together: sixteen each for as many as there may be. */
export const MAX_DIMENSIONS_IN_ALL = 4_194_304;
export const MAX_METADATA_ENTRIES = 65_536;
export const MAX_METADATA_BYTES = 16_777_216;

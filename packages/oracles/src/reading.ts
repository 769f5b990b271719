/** What an oracle makes of a llama2.c file, in terms that can be compared with any other reader. */

export const llama2cVariants = ['v0', 'v1-fp32', 'v1-int8', 'v1-experimental', 'v2', 'v2-contiguous'] as const;
export type Llama2cVariant = (typeof llama2cVariants)[number];

/** Fields as the file spells them; vocab_size without its sign, shared_classifier as a boolean. */
export interface Llama2cHeader {
  readonly version?: number;
  readonly dim: number;
  readonly hidden_dim: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads: number;
  readonly vocab_size: number;
  readonly max_seq_len: number;
  readonly shared_classifier: boolean;
  /** Only in the layouts with one group size for all matrices. */
  readonly group_size?: number;
  readonly header_bytes: number;
}

/** Where one tensor lies: absolute byte offset and byte length. */
export interface TensorPlace {
  readonly name: string;
  readonly dtype: 'F32' | 'I8';
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export type Llama2cReading =
  | { readonly accepted: true; readonly variant: Llama2cVariant; readonly header: Llama2cHeader; /** In file order. */ readonly directory: readonly TensorPlace[] }
  | { readonly accepted: false; readonly variant?: Llama2cVariant; readonly reason: string };

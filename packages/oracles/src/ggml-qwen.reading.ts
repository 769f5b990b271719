/** What an oracle makes of a qwen.cpp container, in terms that can be compared with any other reader. */

/** The header's fields in file order, as the format spells them (specs/ggml-qwen#G-2.2). */
export const ggmlQwenFields = [
  'ggml_type', 'vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers',
  'intermediate_size', 'max_length', 'eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id',
] as const;
export type GgmlQwenHeader = Readonly<Record<(typeof ggmlQwenFields)[number], number>>;

/** Where one tensor's data lies: absolute byte offset and byte length. */
export interface GgmlQwenTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export type GgmlQwenReading =
  | { readonly accepted: true; readonly header: GgmlQwenHeader; /** Whether intermediate_size is twice the MLP's width, as qwen.cpp demands (G-2.7). */ readonly doubled: boolean; /** In file order. */ readonly directory: readonly GgmlQwenTensor[] }
  | { readonly accepted: false; readonly reason: string };

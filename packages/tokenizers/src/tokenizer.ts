export interface EncodeOptions {
  /** Put the BOS id first, where the vocabulary has one. Default false. */
  readonly bos?: boolean;
  /** Put the EOS id last, where the vocabulary has one. Default false. */
  readonly eos?: boolean;
  /**
   * Take control tokens that are spelled in the text (`<|im_end|>`) as such. Default false: they are text like any other, so
   * that whoever wrote it cannot end a turn. Vocabularies without spelled control tokens ignore it.
   */
  readonly control?: boolean;
}

/** Text ↔ token ids. Implementations hold their vocabulary and no state between calls. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
  /** Id of the control token spelled so. Absent in vocabularies that have none by name. */
  controlId?(spelling: string): number | undefined;
  /** Ids of `text`. Throws TokenizerError when this vocabulary cannot encode it. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Bytes that `id` stands for after `previous` (undefined at the start of a text). One character may be spread over
   * several tokens, so single results need not be valid UTF-8: see createTextStream. Throws RangeError for an id outside the vocabulary.
   */
  decodeToken(previous: number | undefined, id: number): Uint8Array;
  /** Text of a whole sequence. BOS and EOS give no text; broken UTF-8 becomes U+FFFD. */
  decode(ids: readonly number[]): string;
}

/**
 * Ids that end a text: the model's own, or where nothing beside the weights names any (Meta's params.json), those of the vocabulary.
 * Llama 3's tokenizer.py has these two.
 */
export function stopTokensFor({ stopTokens }: { readonly stopTokens: readonly number[] }, tokenizer: Tokenizer | undefined): readonly number[] {
  if (stopTokens.length > 0) return stopTokens;
  return [tokenizer?.eosId, tokenizer?.controlId?.('<|eot_id|>')].filter((id) => id !== undefined);
}

/** A vocabulary that cannot do what was asked. */
export class TokenizerError extends Error {
  override readonly name = 'TokenizerError';
  constructor(
    readonly code: 'TOKENIZER_NO_SCORES' | 'TOKENIZER_NO_BYTE_TOKEN',
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

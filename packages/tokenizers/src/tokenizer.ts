export interface EncodeOptions {
  /** Put the BOS id first. Default false. */
  readonly bos?: boolean;
  /** Put the EOS id last. Default false. */
  readonly eos?: boolean;
}

/** Text ↔ token ids. Implementations hold their vocabulary and no state between calls. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosId?: number;
  readonly eosId?: number;
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

meta:
  id: llama2c_tokenizer_gen5
  title: llama2.c tokenizer.bin, generation 5
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  The longest piece's length, then per token its score, its length and its bytes. Byte tokens are the text `<0x00>` to
  `<0xFF>`; in generation 4 they are `chr(b)`. The framing is the same: a parser made from this file accepts both (T-2.7).
  This is what run.c has read since 2023-08-14.
  Not `valid:` rules because they are only warnings: a max_token_length that is too large (T-2.2), scores that are not finite (T-2.3),
  which tokens stand at ids 0–258 (T-1.6, T-2.5).
  Pieces are bytes, not strings, because text that is not UTF-8 is only a warning (T-2.6).
doc-ref:
  - README.md T-1.5
  - https://github.com/karpathy/llama2.c/blob/350e04fe/tokenizer.py export
  - https://github.com/karpathy/llama2.c/blob/350e04fe/run.c build_tokenizer
seq:
  - id: max_token_length
    type: u4
    doc: The length of the longest piece. Larger than that is only a warning.
    doc-ref: README.md T-2.2
  - id: tokens
    type: token(max_token_length)
    repeat: eos
    doc: To the end of the file; their number is not stored. The id of a token is its index.
    doc-ref: README.md T-2.1
  - id: check_num_tokens
    type: llama2c_types::check(tokens.size >= 1 and tokens.size <= 524288)
    doc-ref: README.md T-2.4
types:
  token:
    params:
      - id: max_token_length
        type: u4
    seq:
      - id: score
        type: f4
      - id: len_piece
        type: u4
        valid:
          expr: _.as<s8> <= (65535).as<s8> and _.as<s8> <= max_token_length.as<s8>
        doc: run.c sizes a buffer with max_token_length and writes past it when a piece is longer.
        doc-ref: README.md T-2.2, T-2.4
      - id: piece
        size: len_piece

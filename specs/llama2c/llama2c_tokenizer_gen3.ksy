meta:
  id: llama2c_tokenizer_gen3
  title: llama2.c tokenizer.bin, generation 3
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  Per token its length, its score and its bytes.
  Not `valid:` rules because they are only warnings: scores that are not finite (T-2.3), which tokens stand at ids 0–258 (T-1.6, T-2.5).
  Pieces are bytes, not strings, because text that is not UTF-8 is only a warning (T-2.6).
doc-ref:
  - README.md T-1.3
  - https://github.com/karpathy/llama2.c/blob/d503e52/tokenizer.py export
seq:
  - id: tokens
    type: token
    repeat: eos
    doc: To the end of the file; their number is not stored. The id of a token is its index.
    doc-ref: README.md T-2.1
  - id: check_num_tokens
    type: llama2c_types::check(tokens.size >= 1 and tokens.size <= 524288)
    doc-ref: README.md T-2.4
types:
  token:
    seq:
      - id: len_piece
        type: u4
        valid:
          expr: _.as<s8> <= (65535).as<s8>
        doc-ref: README.md T-2.4
      - id: score
        type: f4
      - id: piece
        size: len_piece

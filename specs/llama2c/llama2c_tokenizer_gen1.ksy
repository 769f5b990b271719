meta:
  id: llama2c_tokenizer_gen1
  title: llama2.c tokenizer.bin, generation 1
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  A table of offsets into one blob of text; no scores. The one generation that stores the number of tokens (plus one).
  Not `valid:` rules because they are only warnings: which tokens stand at ids 0–258 (T-1.6, T-2.5).
  Pieces are bytes, not strings, because text that is not UTF-8 is only a warning (T-2.6).
doc-ref:
  - README.md T-1.1
  - https://github.com/karpathy/llama2.c/blob/f40b4e9/export_tokenizer.py
seq:
  - id: num_offsets
    type: u4
    valid:
      expr: _.as<s8> >= (2).as<s8> and _.as<s8> <= (4194305).as<s8>
    doc: One more than there are tokens, so that the last one has an end.
    doc-ref: README.md T-1.1, T-2.4
  - id: offsets
    type: u4
    repeat: expr
    repeat-expr: num_offsets
    valid:
      expr: '_index == 0 ? _ == 0 : (_ >= offsets[_index - 1] and (_.as<s8> - offsets[_index - 1].as<s8>).as<s8> <= (65535).as<s8>)'
    doc: From the start of the blob. The first is 0, none decreases, and no piece is longer than 65,535 bytes.
    doc-ref: README.md T-1.1, T-2.4
  - id: check_size
    type: llama2c_types::check((ofs_blob + offsets.last.as<s8>).as<s8> == _io.size.as<s8>)
    doc-ref: README.md T-1.1, T-2.1
instances:
  num_tokens:
    value: num_offsets - 1
  ofs_blob:
    value: ((4).as<s8> + (num_offsets.as<s8> * (4).as<s8>).as<s8>).as<s8>
  tokens:
    type: token((ofs_blob + offsets[_index].as<s8>).as<s8>, (offsets[_index + 1] - offsets[_index]).as<s8>)
    repeat: expr
    repeat-expr: num_tokens
types:
  token:
    params:
      - id: ofs_piece
        type: s8
      - id: len_piece
        type: s8
    instances:
      piece:
        pos: ofs_piece
        size: len_piece

meta:
  id: llama2c_ak42_header
  title: llama2.c weight files, the 256-byte "ak42" header of versions 1 and 2
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  The header alone: what follows depends on the layout, which this header does not always name (see README.md C-5).

  Only errors are `valid:` rules. Warnings, which a parser made from this file does not see: shared_classifier other
  than 0 and 1 (C-3.4; C readers take any non-zero value for true), and padding that is not zero (C-3.6).
  max_seq_len is not constrained by anything else in the file (C-3.7).
doc-ref:
  - README.md C-3
  - https://github.com/karpathy/llama2.c/blob/350e04fe/export.py version1_export, version2_export
seq:
  - id: magic
    type: u4
    valid: 0x616b3432
    doc: The bytes read `24ka`. Bytes `ak42` mean a big-endian file, which no known reader accepts (C-1.1).
    doc-ref: README.md C-3.1
  - id: version
    type: s4
    valid:
      any-of: [1, 2]
    doc-ref: README.md C-3.2
  - id: config
    type: llama2c_types::config(false)
    doc-ref: README.md C-3.3
  - id: shared_classifier
    type: u1
    doc: Writers before 2023-08-21 always wrote 1 and dropped a separate classifier.
    doc-ref: README.md C-3.4
  - id: group_size
    type: s4
    valid:
      min: 0
    doc: Unaligned, at offset 37. Zero in v1-fp32 and v1-experimental, positive in the int8 layouts.
    doc-ref: README.md C-3.5, C-6.2
  - id: reserved
    size: 215
    doc-ref: README.md C-3.6
instances:
  is_shared:
    value: shared_classifier != 0

meta:
  id: blocks
  title: Blocks of 32 elements
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  One block of each quantized element type. Codes are in the order of README.md C-2.1: byte j of `qs` holds those of elements j (low
  nibble) and j + 16 (high nibble). What they stand for is C-2.3.
doc-ref: README.md C-2
types:
  q4_0:
    doc: (q - 8) * d
    seq:
      - id: d
        type: u2
        doc: The scale, f16.
      - id: qs
        size: 16
  q4_1:
    doc: q * d + m
    seq:
      - id: d
        type: u2
      - id: m
        type: u2
        doc: The minimum, f16.
      - id: qs
        size: 16
  q5_0:
    doc: (q - 16) * d
    seq:
      - id: d
        type: u2
      - id: qh
        type: u4
        doc: Bit i is bit 4 of the code of element i (C-2.2).
      - id: qs
        size: 16
  q5_1:
    doc: q * d + m
    seq:
      - id: d
        type: u2
      - id: m
        type: u2
      - id: qh
        type: u4
      - id: qs
        size: 16
  q8_0:
    doc: q * d
    seq:
      - id: d
        type: u2
      - id: qs
        type: s1
        repeat: expr
        repeat-expr: 32

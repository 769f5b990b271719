meta:
  id: torch_legacy
  title: PyTorch checkpoint, the stream of torch before 1.6
  file-extension:
    - pth
    - pt
    - bin
  application: PyTorch
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  What a record layout can say of the legacy stream: the magic number pickle, the protocol version pickle, and the storages at its end.
  The three pickles between them have no stated length; running the machine of README.md K tells it, and the key list and the
  persistent ids in them tell where each storage starts. `storage_data` reads from there, given those offsets.
doc-ref:
  - README.md L
  - https://github.com/pytorch/pytorch/blob/v1.13.1/torch/serialization.py _legacy_save
seq:
  - id: magic
    type: magic_pickle
    doc-ref: README.md L-1.2
  - id: version
    type: version_pickle
    doc-ref: README.md L-1.2
types:
  pickle_start:
    seq:
      - id: proto
        type: u1
        valid: 0x80
      - id: protocol
        type: u1
        valid:
          min: 2
          max: 4
        doc-ref: README.md K-1.1
      - id: frame_opcode
        type: u1
        valid: 0x95
        if: protocol == 4
      - id: len_frame
        type: u8
        if: protocol == 4
  magic_pickle:
    seq:
      - id: start
        type: pickle_start
      - id: body
        contents: [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]
        doc: LONG1, ten bytes, STOP.
  version_pickle:
    seq:
      - id: start
        type: pickle_start
      - id: body
        contents: [0x4d, 0xe9, 0x03, 0x2e]
        doc: BININT2 1001, STOP.
  storage_data:
    params:
      - id: len_element
        type: u4
    doc: One storage behind the pickles.
    doc-ref: README.md L-1.5
    seq:
      - id: num_elements
        type: u8
      - id: data
        size: num_elements * len_element

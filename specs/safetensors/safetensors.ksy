meta:
  id: safetensors
  title: safetensors container
  file-extension: safetensors
  application: safetensors
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  The header length, the header as text, and where the data begins. What the text says is JSON, which this language cannot
  express: the grammar and its rules are clauses S-2 to S-5 of README.md.
doc-ref:
  - README.md S-1
  - https://github.com/huggingface/safetensors/blob/v0.8.0/safetensors/src/tensor.rs
seq:
  - id: len_header
    type: u8
    valid:
      max: 100000000
    doc-ref: README.md S-1.2
  - id: header
    size: len_header
    doc: UTF-8 JSON (S-2, S-3), padded with spaces. Bytes, because a runtime's decoder may mend what is to be refused.
    doc-ref: README.md S-1.3
instances:
  ofs_data:
    value: ((8).as<u8> + len_header.as<u8>).as<u8>
    doc: Offsets in the header count from here.
    doc-ref: README.md S-1.3
  len_data:
    value: (_io.size.as<u8> - ofs_data.as<u8>).as<u8>
    doc: The data goes to the end of the file; it is not read.
    doc-ref: README.md S-5.6

meta:
  id: llama2c_v1_experimental
  title: llama2.c weight files, the experimental v1 of the int8 branch
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  Written by two commits of the branch feature/int8 (17 August 2023): 5e2e5b2 with a header of 128 bytes, e9cbe3e with 256.
  Each matrix carries its own group size, so a reader must walk the file to find the next one. The scales are the largest
  absolute weights of their groups: a weight is value · scale / 127.
  The classifier is always shared.
doc-ref:
  - README.md C-4.7, C-5.4
  - https://github.com/karpathy/llama2.c/blob/e9cbe3e/model.py Transformer.export
params:
  - id: len_header
    type: s4
    doc: 128 or 256. Nothing in the file says which; the walk ends at the end of the file with the right one only.
seq:
  - id: magic
    type: u4
    valid: 0x616b3432
    doc-ref: README.md C-3.1
  - id: check_len_header
    type: llama2c_types::check(len_header == 128 or len_header == 256)
  - id: version
    type: s4
    valid: 1
  - id: config
    type: llama2c_types::config(false)
    doc-ref: README.md C-3.3
  - id: shared_classifier
    type: u1
    valid: 1
    doc: Both commits wrote the constant 1. Another value is taken for a damaged v1-fp32 file.
    doc-ref: README.md C-4.7
  - id: group_size
    type: s4
    valid: 0
    doc: Padding in this layout; a group size here means v1-int8.
    doc-ref: README.md C-3.5, C-5.3
  - id: reserved
    size: len_header - 41
  - id: attention_norm
    type: llama2c_types::f32_vectors(len_header, config.n_layers, config.dim)
    doc-ref: README.md C-4.1
  - id: ffn_norm
    type: llama2c_types::f32_vectors(attention_norm.ofs_end, config.n_layers, config.dim)
  - id: norm
    type: llama2c_types::f32_vector(ffn_norm.ofs_end, config.dim)
  - id: tok_embeddings
    type: matrix(norm.ofs_end, config.num_vocab, config.dim)
    doc-ref: README.md C-4.2
  - id: wq
    type: 'matrix(_index == 0 ? tok_embeddings.ofs_end : wq[_index - 1].ofs_end, config.dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: wk
    type: 'matrix(_index == 0 ? wq.last.ofs_end : wk[_index - 1].ofs_end, config.kv_dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: wv
    type: 'matrix(_index == 0 ? wk.last.ofs_end : wv[_index - 1].ofs_end, config.kv_dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: wo
    type: 'matrix(_index == 0 ? wv.last.ofs_end : wo[_index - 1].ofs_end, config.dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: w1
    type: 'matrix(_index == 0 ? wo.last.ofs_end : w1[_index - 1].ofs_end, config.hidden_dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: w2
    type: 'matrix(_index == 0 ? w1.last.ofs_end : w2[_index - 1].ofs_end, config.dim, config.hidden_dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: w3
    type: 'matrix(_index == 0 ? w2.last.ofs_end : w3[_index - 1].ofs_end, config.hidden_dim, config.dim)'
    repeat: expr
    repeat-expr: config.n_layers
  - id: check_size
    type: llama2c_types::check(size_expected == _io.size.as<s8>)
    doc-ref: README.md C-1.3, C-4.7, C-5.4
instances:
  size_expected:
    value: w3.last.ofs_end
types:
  matrix:
    doc: A group size, int8 values, and the largest absolute weight of each group.
    doc-ref: README.md C-4.7; quantize_q80 in model.py at e9cbe3e
    params:
      - id: ofs
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
    instances:
      len_values:
        value: (num_rows * num_columns).as<s8>
      group_size:
        pos: ofs
        type: u4
        valid:
          expr: _ != 0 and len_values % _.as<s8> == 0
        doc-ref: README.md C-6.2
      num_scales:
        value: (len_values / group_size.as<s8>).as<s8>
      ofs_values:
        value: (ofs + (4).as<s8>).as<s8>
      ofs_scales:
        value: (ofs_values + len_values).as<s8>
      len_scales:
        value: (num_scales * (4).as<s8>).as<s8>
      ofs_end:
        value: (ofs_scales + len_scales).as<s8>
      values:
        pos: ofs_values
        size: len_values
      scales:
        pos: ofs_scales
        type: f4
        repeat: expr
        repeat-expr: num_scales

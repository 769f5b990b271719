meta:
  id: llama2c_v1_fp32
  title: llama2.c weight files, v1 in f32
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
    - llama2c_ak42_header
doc: |
  The 256-byte header, the norms, then the matrices, all f32. No frequency tables. In use since 4df5e2e (2023-08).
  Version 1 with a group size is another layout (v1-int8), and with another size possibly a third (v1-experimental).
doc-ref:
  - README.md C-4.1, C-4.2, C-4.3
  - https://github.com/karpathy/llama2.c/blob/350e04fe/export.py version1_export
seq:
  - id: header
    type: llama2c_ak42_header
  - id: check_version
    type: llama2c_types::check(header.version == 1 and header.group_size == 0)
    doc-ref: README.md C-4.3, C-5.2
  - id: attention_norm
    type: llama2c_types::f32_vectors(256, header.config.n_layers, header.config.dim)
    doc-ref: README.md C-4.1
  - id: ffn_norm
    type: llama2c_types::f32_vectors(attention_norm.ofs_end, header.config.n_layers, header.config.dim)
  - id: norm
    type: llama2c_types::f32_vector(ffn_norm.ofs_end, header.config.dim)
  - id: tok_embeddings
    type: llama2c_types::f32_matrix(norm.ofs_end, header.config.num_vocab, header.config.dim)
    doc-ref: README.md C-4.2
  - id: wq
    type: llama2c_types::f32_matrices(tok_embeddings.ofs_end, header.config.n_layers, header.config.dim, header.config.dim)
  - id: wk
    type: llama2c_types::f32_matrices(wq.ofs_end, header.config.n_layers, header.config.kv_dim, header.config.dim)
  - id: wv
    type: llama2c_types::f32_matrices(wk.ofs_end, header.config.n_layers, header.config.kv_dim, header.config.dim)
  - id: wo
    type: llama2c_types::f32_matrices(wv.ofs_end, header.config.n_layers, header.config.dim, header.config.dim)
  - id: w1
    type: llama2c_types::f32_matrices(wo.ofs_end, header.config.n_layers, header.config.hidden_dim, header.config.dim)
  - id: w2
    type: llama2c_types::f32_matrices(w1.ofs_end, header.config.n_layers, header.config.dim, header.config.hidden_dim)
  - id: w3
    type: llama2c_types::f32_matrices(w2.ofs_end, header.config.n_layers, header.config.hidden_dim, header.config.dim)
  - id: output
    type: llama2c_types::f32_matrix(w3.ofs_end, header.config.num_vocab, header.config.dim)
    if: not header.is_shared
    doc-ref: README.md C-3.4, C-4.2
  - id: check_size_countable
    type: llama2c_types::check(size_expected <= header.config.max_countable)
    doc-ref: README.md C-1.7
  - id: check_size
    type: llama2c_types::check(size_expected == _io.size.as<s8>)
    doc-ref: README.md C-1.3, C-4.3
instances:
  size_expected:
    value: '(header.is_shared ? w3.ofs_end : output.ofs_end).as<s8>'

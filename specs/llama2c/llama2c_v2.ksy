meta:
  id: llama2c_v2
  title: llama2.c weight files, v2 (grouped int8, read by runq.c)
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
    - llama2c_ak42_header
doc: |
  The 256-byte header, the norms in f32, then matrix by matrix its int8 values and its f32 scales. Since 6e52df9 (October 2023).
  llama2c_v2_contiguous has the same header and the same size: only the content tells them apart (C-5.5), so this
  description accepts every v2 file.
doc-ref:
  - README.md C-4.1, C-4.2, C-4.5
  - https://github.com/karpathy/llama2.c/blob/350e04fe/export.py version2_export
  - https://github.com/karpathy/llama2.c/blob/350e04fe/runq.c memory_map_weights, init_quantized_tensors
seq:
  - id: header
    type: llama2c_ak42_header
  - id: check_version
    type: llama2c_types::check(header.version == 2)
    doc-ref: README.md C-4.5
  - id: check_group_size
    type: llama2c_types::check(header.group_size >= 1)
    doc-ref: README.md C-6.2
  - id: attention_norm
    type: llama2c_types::f32_vectors(256, header.config.n_layers, header.config.dim)
    doc-ref: README.md C-4.1
  - id: ffn_norm
    type: llama2c_types::f32_vectors(attention_norm.ofs_end, header.config.n_layers, header.config.dim)
  - id: norm
    type: llama2c_types::f32_vector(ffn_norm.ofs_end, header.config.dim)
  - id: tok_embeddings
    type: llama2c_types::int8_matrices_interleaved(norm.ofs_end, 1, header.config.num_vocab, header.config.dim, header.group_size)
    doc: One "layer".
    doc-ref: README.md C-4.2
  - id: wq
    type: llama2c_types::int8_matrices_interleaved(tok_embeddings.ofs_end, header.config.n_layers, header.config.dim, header.config.dim, header.group_size)
  - id: wk
    type: llama2c_types::int8_matrices_interleaved(wq.ofs_end, header.config.n_layers, header.config.kv_dim, header.config.dim, header.group_size)
  - id: wv
    type: llama2c_types::int8_matrices_interleaved(wk.ofs_end, header.config.n_layers, header.config.kv_dim, header.config.dim, header.group_size)
  - id: wo
    type: llama2c_types::int8_matrices_interleaved(wv.ofs_end, header.config.n_layers, header.config.dim, header.config.dim, header.group_size)
  - id: w1
    type: llama2c_types::int8_matrices_interleaved(wo.ofs_end, header.config.n_layers, header.config.hidden_dim, header.config.dim, header.group_size)
  - id: w2
    type: llama2c_types::int8_matrices_interleaved(w1.ofs_end, header.config.n_layers, header.config.dim, header.config.hidden_dim, header.group_size)
  - id: w3
    type: llama2c_types::int8_matrices_interleaved(w2.ofs_end, header.config.n_layers, header.config.hidden_dim, header.config.dim, header.group_size)
  - id: output
    type: llama2c_types::int8_matrices_interleaved(w3.ofs_end, 1, header.config.num_vocab, header.config.dim, header.group_size)
    if: not header.is_shared
    doc-ref: README.md C-3.4, C-4.2
  - id: check_size_countable
    type: llama2c_types::check(size_expected <= header.config.max_countable)
    doc-ref: README.md C-1.7
  - id: check_size
    type: llama2c_types::check(size_expected == _io.size.as<s8>)
    doc-ref: README.md C-1.3, C-4.5
instances:
  size_expected:
    value: '(header.is_shared ? w3.ofs_end : output.ofs_end).as<s8>'

meta:
  id: llama2c_v1_int8
  title: llama2.c weight files, v1 in grouped int8
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
    - llama2c_ak42_header
doc: |
  The 256-byte header, the norms in f32, all int8 values of all matrices, then all their f32 scales.
  Written by 7f551db and 4212bd6 (August 2023) only. The classifier is always shared.
  The same header in front of the body of v2 is an error that only the content shows (C-5.6): not expressible here.
  Behind a header with version 2 the same body is llama2c_v2_contiguous.
doc-ref:
  - README.md C-4.1, C-4.2, C-4.4
  - https://github.com/karpathy/llama2.c/blob/4212bd6/export.py version1_export
seq:
  - id: header
    type: llama2c_ak42_header
  - id: check_version
    type: llama2c_types::check(header.version == 1)
    doc-ref: README.md C-4.4, C-5.3
  - id: check_group_size
    type: llama2c_types::check(header.group_size >= 1)
    doc-ref: README.md C-6.2
  - id: check_shared
    type: llama2c_types::check(header.is_shared)
    doc: The exporters of this layout wrote 1 and no classifier.
    doc-ref: README.md C-4.4
  - id: attention_norm
    type: llama2c_types::f32_vectors(256, header.config.n_layers, header.config.dim)
    doc-ref: README.md C-4.1
  - id: ffn_norm
    type: llama2c_types::f32_vectors(attention_norm.ofs_end, header.config.n_layers, header.config.dim)
  - id: norm
    type: llama2c_types::f32_vector(ffn_norm.ofs_end, header.config.dim)
  - id: tok_embeddings
    type: llama2c_types::int8_matrix(norm.ofs_end, ofs_scales, header.config.num_vocab, header.config.dim, header.group_size)
    doc-ref: README.md C-4.2
  - id: wq
    type: llama2c_types::int8_matrices_contiguous(tok_embeddings.ofs_values_end, tok_embeddings.ofs_scales_end, header.config.n_layers, header.config.dim, header.config.dim, header.group_size)
  - id: wk
    type: llama2c_types::int8_matrices_contiguous(wq.ofs_values_end, wq.ofs_scales_end, header.config.n_layers, header.config.kv_dim, header.config.dim, header.group_size)
  - id: wv
    type: llama2c_types::int8_matrices_contiguous(wk.ofs_values_end, wk.ofs_scales_end, header.config.n_layers, header.config.kv_dim, header.config.dim, header.group_size)
  - id: wo
    type: llama2c_types::int8_matrices_contiguous(wv.ofs_values_end, wv.ofs_scales_end, header.config.n_layers, header.config.dim, header.config.dim, header.group_size)
  - id: w1
    type: llama2c_types::int8_matrices_contiguous(wo.ofs_values_end, wo.ofs_scales_end, header.config.n_layers, header.config.hidden_dim, header.config.dim, header.group_size)
  - id: w2
    type: llama2c_types::int8_matrices_contiguous(w1.ofs_values_end, w1.ofs_scales_end, header.config.n_layers, header.config.dim, header.config.hidden_dim, header.group_size)
  - id: w3
    type: llama2c_types::int8_matrices_contiguous(w2.ofs_values_end, w2.ofs_scales_end, header.config.n_layers, header.config.hidden_dim, header.config.dim, header.group_size)
  - id: check_size_countable
    type: llama2c_types::check(size_expected <= header.config.max_countable)
    doc-ref: README.md C-1.7
  - id: check_size
    type: llama2c_types::check(size_expected == _io.size.as<s8>)
    doc-ref: README.md C-1.3, C-4.4
instances:
  num_attention_weights:
    value: ((2).as<s8> * (header.config.d * (header.config.d + header.config.k).as<s8>).as<s8>).as<s8>
    doc: Of one layer.
  num_feed_forward_weights:
    value: ((3).as<s8> * (header.config.d * header.config.h).as<s8>).as<s8>
    doc: Of one layer.
  num_layer_weights:
    value: (num_attention_weights + num_feed_forward_weights).as<s8>
  num_vocab_weights:
    value: (header.config.v * header.config.d).as<s8>
    doc: Of the embeddings alone; the classifier is always shared.
  num_weights:
    value: (num_vocab_weights + (num_layer_weights * header.config.l).as<s8>).as<s8>
    doc: Q, all matrix weights.
    doc-ref: README.md C-1
  ofs_scales:
    value: (norm.ofs_end + num_weights).as<s8>
    doc: The scales of every matrix lie behind the values of all of them.
    doc-ref: README.md C-4.4
  size_expected:
    value: w3.ofs_scales_end

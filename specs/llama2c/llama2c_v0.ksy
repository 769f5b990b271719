meta:
  id: llama2c_v0
  title: llama2.c weight files, v0 ("legacy")
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
  imports:
    - llama2c_types
doc: |
  28 bytes of dimensions, then every tensor in f32, layer by layer within each kind, with no padding and no names.
  There is no magic number: a file is v0 when its dimensions are sound and its size is exact (C-5.1).
  Not expressible here, and only worth a note: what the frequency tables hold (C-2.5), whether weights are finite (C-7.1).
doc-ref:
  - README.md C-2
  - https://github.com/karpathy/llama2.c/blob/350e04fe/export.py legacy_export
  - https://github.com/karpathy/llama2.c/blob/350e04fe/run.c read_checkpoint, memory_map_weights
seq:
  - id: config
    type: llama2c_types::config(true)
    doc-ref: README.md C-2.1
  - id: check_frequencies_countable
    type: llama2c_types::check((config.max_seq_len.as<s8> * config.head_size.as<s8>).as<s8> <= config.max_countable)
    doc-ref: README.md C-1.7
  - id: tok_embeddings
    type: llama2c_types::f32_matrix(28, config.num_vocab, config.dim)
    doc-ref: README.md C-2.3
  - id: attention_norm
    type: llama2c_types::f32_vectors(tok_embeddings.ofs_end, config.n_layers, config.dim)
  - id: wq
    type: llama2c_types::f32_matrices(attention_norm.ofs_end, config.n_layers, config.dim, config.dim)
  - id: wk
    type: llama2c_types::f32_matrices(wq.ofs_end, config.n_layers, config.kv_dim, config.dim)
  - id: wv
    type: llama2c_types::f32_matrices(wk.ofs_end, config.n_layers, config.kv_dim, config.dim)
  - id: wo
    type: llama2c_types::f32_matrices(wv.ofs_end, config.n_layers, config.dim, config.dim)
  - id: ffn_norm
    type: llama2c_types::f32_vectors(wo.ofs_end, config.n_layers, config.dim)
  - id: w1
    type: llama2c_types::f32_matrices(ffn_norm.ofs_end, config.n_layers, config.hidden_dim, config.dim)
  - id: w2
    type: llama2c_types::f32_matrices(w1.ofs_end, config.n_layers, config.dim, config.hidden_dim)
  - id: w3
    type: llama2c_types::f32_matrices(w2.ofs_end, config.n_layers, config.hidden_dim, config.dim)
  - id: norm
    type: llama2c_types::f32_vector(w3.ofs_end, config.dim)
  - id: freqs_cos
    type: llama2c_types::f32_matrix(norm.ofs_end, config.max_seq_len, config.head_size / 2)
    doc: Always written; run.c has ignored both tables since August 2023.
    doc-ref: README.md C-2.5
  - id: freqs_sin
    type: llama2c_types::f32_matrix(freqs_cos.ofs_end, config.max_seq_len, config.head_size / 2)
    doc-ref: README.md C-2.5
  - id: output
    type: llama2c_types::f32_matrix(freqs_sin.ofs_end, config.num_vocab, config.dim)
    if: not is_shared
    doc-ref: README.md C-2.2
  - id: check_size_countable
    type: llama2c_types::check(size_expected <= config.max_countable)
    doc-ref: README.md C-1.7
  - id: check_size
    type: llama2c_types::check(size_expected == _io.size.as<s8>)
    doc: Shorter is truncated, longer has trailing bytes; both are errors.
    doc-ref: README.md C-1.3, C-2.4
instances:
  is_shared:
    value: config.vocab_size > 0
    doc-ref: README.md C-2.2
  size_expected:
    value: '(is_shared ? freqs_sin.ofs_end : output.ofs_end).as<s8>'
    doc-ref: README.md C-2.4

meta:
  id: llama2c_types
  title: Structures shared by the weight files of llama2.c
  file-extension: bin
  application: llama2.c
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  Not a file of its own: the seven dimensions, the tensors and the `check` that the layouts beside this file import.

  Tensors are *places*, not data: a tensor type takes its offset as a parameter and reads nothing while the file is
  parsed. Its bytes are the instances `data`, `values` and `scales`, read when somebody asks for them. A parser made
  from these files therefore opens a checkpoint of any size by reading its header only, in every target language.

  Arithmetic. Offsets and lengths are signed 64-bit. The compiler takes the result of any arithmetic for a 32-bit integer
  (Java, C++), and Rust even cuts both operands to 32 bits unless their types are the same. So both operands of every
  operation on offsets and lengths are s8, and every result is cast back: `(num_elements * (4).as<s8>).as<s8>`.
  Dimensions are i32, so a product of two fits in 64 bits; the `check_…` rules of `config` bound the products of three by
  division before they are made, so that nothing wraps. JavaScript computes in doubles, exact up to the limit of 2^53 − 1.
doc-ref:
  - README.md C-1
  - https://github.com/karpathy/llama2.c/blob/350e04fe/export.py
types:
  check:
    doc: |
      A rule about several fields. Occupies no bytes; parsing fails unless `holds`. (A zero-length field with a `valid:`
      would say the same, but its Rust does not compile; so the rule hangs on byte 0, which every file has.)
    params:
      - id: holds
        type: bool
    seq:
      - id: enforced
        size: 'carrier >= 0 ? 0 : 0'
    instances:
      carrier:
        pos: 0
        type: u1
        valid:
          expr: holds
  config:
    doc: The seven dimensions, 28 bytes.
    doc-ref: README.md C-2.1, C-3.3; struct.pack('iiiiiii', ...) in export.py
    params:
      - id: is_v0
        type: bool
        doc: Whether the sign of vocab_size is a flag.
    seq:
      - id: dim
        type: s4
        valid:
          min: 1
        doc-ref: README.md C-1.4
      - id: hidden_dim
        type: s4
        valid:
          min: 1
        doc-ref: README.md C-1.4
      - id: n_layers
        type: s4
        valid:
          min: 1
          max: 4096
        doc-ref: README.md C-1.4, C-1.7
      - id: n_heads
        type: s4
        valid:
          expr: _ >= 1 and dim % _ == 0 and dim / _ % 2 == 0
        doc: At least 1, divides dim, and leaves an even head size.
        doc-ref: README.md C-1.4, C-1.5, C-1.6
      - id: n_kv_heads
        type: s4
        valid:
          expr: _ >= 1 and _ <= n_heads and n_heads % _ == 0
        doc-ref: README.md C-1.4, C-1.5
      - id: vocab_size
        type: s4
        valid:
          expr: 'is_v0 ? (_ != 0 and _ != -2147483648) : _ >= 1'
        doc: In v0 a negative value says that the classifier is not shared; the ak42 header has a flag of its own.
        doc-ref: README.md C-2.2, C-3.3
      - id: max_seq_len
        type: s4
        valid:
          min: 1
        doc-ref: README.md C-1.4
      - id: check_vocab_countable
        type: check((v * d).as<s8> <= max_countable)
        doc-ref: README.md C-1.7
      - id: check_attention_countable
        type: check((d * d).as<s8> <= (max_countable / l).as<s8>)
        doc-ref: README.md C-1.7
      - id: check_feed_forward_countable
        type: check((d * h).as<s8> <= (max_countable / l).as<s8>)
        doc-ref: README.md C-1.7
    instances:
      num_vocab:
        value: 'vocab_size < 0 ? -vocab_size : vocab_size'
        doc: V, the number of vocabulary entries.
      head_size:
        value: dim / n_heads
        doc: hs
      kv_dim:
        value: n_kv_heads * head_size
        doc: k, never larger than dim.
      d:
        value: dim.as<s8>
        doc: This and the next are the symbols of README.md C-1, in 64 bits.
      h:
        value: hidden_dim.as<s8>
      l:
        value: n_layers.as<s8>
      k:
        value: kv_dim.as<s8>
      v:
        value: num_vocab.as<s8>
      max_countable:
        value: (9007199254740991).as<s8>
        doc: 2^53 − 1.
        doc-ref: README.md C-1.7
  f32_vector:
    doc: One f32 tensor [num_elements].
    params:
      - id: ofs
        type: s8
      - id: num_elements
        type: s8
    instances:
      len_data:
        value: (num_elements * (4).as<s8>).as<s8>
      ofs_end:
        value: (ofs + len_data).as<s8>
      data:
        pos: ofs
        size: len_data
  f32_matrix:
    doc: One f32 tensor [num_rows, num_columns], row-major.
    doc-ref: README.md C-1.2
    params:
      - id: ofs
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
    instances:
      num_elements:
        value: (num_rows * num_columns).as<s8>
      len_data:
        value: (num_elements * (4).as<s8>).as<s8>
      ofs_end:
        value: (ofs + len_data).as<s8>
      data:
        pos: ofs
        size: len_data
  f32_vectors:
    doc: The same f32 vector of every layer, one behind another.
    params:
      - id: ofs
        type: s8
      - id: num_layers
        type: s8
      - id: num_elements
        type: s8
    instances:
      len_layer:
        value: (num_elements * (4).as<s8>).as<s8>
      len_data:
        value: (len_layer * num_layers).as<s8>
      ofs_end:
        value: (ofs + len_data).as<s8>
      layers:
        type: f32_vector((ofs + (len_layer * _index.as<s8>).as<s8>).as<s8>, num_elements)
        repeat: expr
        repeat-expr: num_layers
  f32_matrices:
    doc: The same f32 matrix of every layer, one behind another.
    params:
      - id: ofs
        type: s8
      - id: num_layers
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
    instances:
      num_elements:
        value: (num_rows * num_columns).as<s8>
      len_layer:
        value: (num_elements * (4).as<s8>).as<s8>
      len_data:
        value: (len_layer * num_layers).as<s8>
      ofs_end:
        value: (ofs + len_data).as<s8>
      layers:
        type: f32_matrix((ofs + (len_layer * _index.as<s8>).as<s8>).as<s8>, num_rows, num_columns)
        repeat: expr
        repeat-expr: num_layers
  int8_matrix:
    doc: |
      One quantized matrix: num_rows · num_columns int8 values, and one f32 scale for each `group_size` of them, counted
      over the flattened matrix. A weight is value · scale.
    doc-ref: README.md C-6.1, C-6.2; quantize_q80 in export.py
    params:
      - id: ofs_values
        type: s8
      - id: ofs_scales
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
      - id: group_size
        type: s8
    seq:
      - id: check_whole_groups
        type: check(len_values % group_size == 0)
        doc: |
          Only this is an error. A group size that does not divide dim or hidden_dim lets groups straddle rows, which
          is readable but misread by runq.c (a warning, C-6.3).
        doc-ref: README.md C-6.2
    instances:
      len_values:
        value: (num_rows * num_columns).as<s8>
      num_scales:
        value: (len_values / group_size).as<s8>
      len_scales:
        value: (num_scales * (4).as<s8>).as<s8>
      ofs_values_end:
        value: (ofs_values + len_values).as<s8>
      ofs_scales_end:
        value: (ofs_scales + len_scales).as<s8>
      values:
        pos: ofs_values
        size: len_values
      scales:
        pos: ofs_scales
        type: f4
        repeat: expr
        repeat-expr: num_scales
  int8_matrices_interleaved:
    doc: The same quantized matrix of every layer; each layer's values are followed by its scales.
    doc-ref: README.md C-4.5; version2_export in export.py since 6e52df9
    params:
      - id: ofs
        type: s8
      - id: num_layers
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
      - id: group_size
        type: s8
    seq:
      - id: check_whole_groups
        type: check(len_values % group_size == 0)
        doc-ref: README.md C-6.2
    instances:
      len_values:
        value: (num_rows * num_columns).as<s8>
      num_scales:
        value: (len_values / group_size).as<s8>
      len_layer:
        value: (len_values + (num_scales * (4).as<s8>).as<s8>).as<s8>
      len_data:
        value: (len_layer * num_layers).as<s8>
      ofs_end:
        value: (ofs + len_data).as<s8>
      layers:
        type: int8_matrix((ofs + (len_layer * _index.as<s8>).as<s8>).as<s8>, ((ofs + (len_layer * _index.as<s8>).as<s8>).as<s8> + len_values).as<s8>, num_rows, num_columns, group_size)
        repeat: expr
        repeat-expr: num_layers
  int8_matrices_contiguous:
    doc: The same quantized matrix of every layer; values and scales lie in different parts of the file.
    doc-ref: README.md C-4.4, C-4.6; version2_export in export.py before 6e52df9
    params:
      - id: ofs_values
        type: s8
      - id: ofs_scales
        type: s8
      - id: num_layers
        type: s8
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
      - id: group_size
        type: s8
    seq:
      - id: check_whole_groups
        type: check(len_values % group_size == 0)
        doc-ref: README.md C-6.2
    instances:
      len_values:
        value: (num_rows * num_columns).as<s8>
      num_scales:
        value: (len_values / group_size).as<s8>
      len_scales:
        value: (num_scales * (4).as<s8>).as<s8>
      ofs_values_end:
        value: (ofs_values + (len_values * num_layers).as<s8>).as<s8>
      ofs_scales_end:
        value: (ofs_scales + (len_scales * num_layers).as<s8>).as<s8>
      layers:
        type: int8_matrix((ofs_values + (len_values * _index.as<s8>).as<s8>).as<s8>, (ofs_scales + (len_scales * _index.as<s8>).as<s8>).as<s8>, num_rows, num_columns, group_size)
        repeat: expr
        repeat-expr: num_layers

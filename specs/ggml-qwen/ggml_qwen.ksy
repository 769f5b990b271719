meta:
  id: ggml_qwen
  title: qwen.cpp's GGML container
  file-extension: bin
  application: qwen.cpp
  license: Apache-2.0
  ks-version: 0.11
  encoding: ASCII
  endian: le
doc: |
  A 52-byte header, then the tensors of a Qwen-1 model in a fixed order, each behind a record header with its name,
  dimensions and type. There is neither a count nor a table of contents: the header fixes the list, so every name,
  dimension, type and offset has one right value, and each of them is checked.

  Tensors are *places*, not data: a record's header is read at the offset that the records before it give; its bytes are
  the instance `data`, read when somebody asks for them. A file of any size is opened by reading its headers only.

  Not a failure here, because only worth a warning: intermediate_size not doubled (G-2.7, see `is_intermediate_doubled`),
  token ids outside the vocabulary (G-2.9), a very large max_length (G-2.10), padding that is not zero (G-3.4), and what
  the tensors hold (G-4).

  Arithmetic. The compiler takes the result of any arithmetic for a 32-bit integer (Java, C++), and Rust even cuts both
  operands to 32 bits unless their types are the same. So both operands of every operation on offsets and lengths are s8,
  and every result is cast back. Each tensor must end inside the file before the next one is placed, and its length is
  bounded by division before it is made: so nothing wraps.
doc-ref:
  - README.md
  - https://github.com/QwenLM/qwen.cpp/blob/e532c24/qwen.cpp ModelLoader::read_tensor
  - https://github.com/QwenLM/qwen.cpp/blob/e532c24/qwen_cpp/convert.py dump_tensor
seq:
  - id: magic
    contents: ggml
    doc-ref: README.md G-2.1
  - id: header
    type: header
  - id: check_size_countable
    type: check(_io.size.as<s8> <= max_countable)
    doc: The derived size is the file's own, or the file is refused for that.
    doc-ref: README.md G-1.4
  - id: wte
    type: matrix(52, name_wte, header.vocab_size, header.hidden_size)
    doc: The token embeddings.
    doc-ref: README.md G-3.2
  - id: layers
    type: 'layer(_index, _index == 0 ? wte.ofs_end : layers[_index - 1].ofs_end)'
    repeat: expr
    repeat-expr: header.num_hidden_layers
    doc-ref: README.md G-3.2
  - id: ln_f
    type: vector(layers[header.num_hidden_layers - 1].ofs_end, name_ln_f, header.hidden_size)
  - id: lm_head
    type: matrix(ln_f.ofs_end, name_lm_head, header.vocab_size, header.hidden_size)
    doc: The classifier; never tied to the embeddings.
  - id: check_size
    type: check(lm_head.ofs_end == _io.size.as<s8>)
    doc: A longer file has trailing bytes. (A shorter one fails at the tensor that it cuts.)
    doc-ref: README.md G-1.3
instances:
  max_countable:
    value: (9007199254740991).as<s8>
    doc: 2^53 − 1.
    doc-ref: README.md G-1.4
  name_wte:
    value: '"transformer.wte.weight"'
    doc: Instances, because the Rust of a literal argument does not compile.
  name_ln_f:
    value: '"transformer.ln_f.weight"'
  name_lm_head:
    value: '"lm_head.weight"'
  is_intermediate_doubled:
    value: layers[0].num_ffn == header.intermediate_size / 2
    doc: Where not, the file can be read, but qwen.cpp refuses it (a warning).
    doc-ref: README.md G-2.7
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
  header:
    doc: The configuration, twelve i32 from offset 4 on.
    doc-ref: README.md G-2.2; struct.pack in convert.py dump_config
    seq:
      - id: ggml_type
        type: s4
        valid:
          any-of: [0, 1, 2, 3, 6, 7, 8]
        doc: The type of every matrix, 0 F32, 1 F16, 2 Q4_0, 3 Q4_1, 6 Q5_0, 7 Q5_1, 8 Q8_0.
        doc-ref: README.md G-2.3
      - id: vocab_size
        type: s4
        valid:
          min: 1
        doc-ref: README.md G-2.4
      - id: hidden_size
        type: s4
        valid:
          expr: _ >= 1 and _ % block_size == 0
        doc-ref: README.md G-2.4, G-2.8
      - id: num_attention_heads
        type: s4
        valid:
          expr: _ >= 1 and hidden_size % _ == 0 and hidden_size / _ % 2 == 0
        doc: Divides hidden_size and leaves an even head size.
        doc-ref: README.md G-2.4, G-2.5
      - id: num_kv_heads
        type: s4
        valid:
          expr: _ == num_attention_heads
        doc-ref: README.md G-2.4, G-2.6
      - id: num_hidden_layers
        type: s4
        valid:
          min: 1
          max: 4096
        doc-ref: README.md G-2.4, G-1.4
      - id: intermediate_size
        type: s4
        valid:
          expr: _ >= 1 and _ % 2 == 0 and _ / 2 % block_size == 0
        doc: Twice the width of the MLP.
        doc-ref: README.md G-2.4, G-2.7, G-2.8
      - id: max_length
        type: s4
        valid:
          min: 1
        doc-ref: README.md G-2.4, G-2.10
      - id: eos_token_id
        type: s4
        doc-ref: README.md G-2.9
      - id: pad_token_id
        type: s4
      - id: im_start_id
        type: s4
      - id: im_end_id
        type: s4
    instances:
      block_size:
        value: 'ggml_type <= 1 ? 1 : 32'
        doc: Elements per block of a matrix.
        doc-ref: README.md G-4.1
      len_block:
        value: 'ggml_type == 0 ? 4 : ggml_type == 1 ? 2 : ggml_type == 2 ? 18 : ggml_type == 3 ? 20 : ggml_type == 6 ? 22 : ggml_type == 7 ? 24 : 34'
        doc: Bytes per block of a matrix.
        doc-ref: README.md G-4.1
      head_size:
        value: hidden_size / num_attention_heads
  layer:
    doc: The eight tensors of one layer.
    doc-ref: README.md G-3.2; dump_state_dict in convert.py
    params:
      - id: index
        type: s4
      - id: ofs
        type: s8
        doc: Of its first record.
    seq:
      - id: ln_1
        type: vector(ofs, prefix + "ln_1.weight", hidden)
      - id: attn_c_attn_weight
        type: matrix(ln_1.ofs_end, prefix + "attn.c_attn.weight", ((3).as<s8> * hidden).as<s8>, hidden)
        doc: The rows are q | k | v.
        doc-ref: README.md G-3.2, G-5.1
      - id: attn_c_attn_bias
        type: vector(attn_c_attn_weight.ofs_end, prefix + "attn.c_attn.bias", ((3).as<s8> * hidden).as<s8>)
      - id: attn_c_proj
        type: matrix(attn_c_attn_bias.ofs_end, prefix + "attn.c_proj.weight", hidden, hidden)
      - id: ln_2
        type: vector(attn_c_proj.ofs_end, prefix + "ln_2.weight", hidden)
      - id: mlp_w1
        type: matrix(ln_2.ofs_end, prefix + "mlp.w1.weight", num_ffn, hidden)
      - id: mlp_w2
        type: matrix(mlp_w1.ofs_end, prefix + "mlp.w2.weight", num_ffn, hidden)
        doc: The gate.
        doc-ref: README.md G-3.2, G-5.1
      - id: mlp_c_proj
        type: matrix(mlp_w2.ofs_end, prefix + "mlp.c_proj.weight", hidden, num_ffn)
    instances:
      prefix:
        value: '"transformer.h." + index.to_s + "."'
      hidden:
        value: _root.header.hidden_size.as<s8>
      intermediate:
        value: _root.header.intermediate_size
      num_rows_w1:
        pos: (ln_2.ofs_end + (4 + (prefix + "mlp.w1.weight").length + 4).as<s8>).as<s8>
        type: s4
        doc: As its record says, before anything is demanded of it.
        doc-ref: README.md G-3.1
      num_rows_first_w1:
        value: 'index == 0 ? num_rows_w1 : _root.layers[0].num_rows_w1'
      num_ffn:
        value: 'num_rows_first_w1 == intermediate ? intermediate : intermediate / 2'
        doc: Width of the MLP, by the record of layer 0. The header's number itself is a warning, any other number an error.
        doc-ref: README.md G-2.7, G-3.2
      ofs_end:
        value: mlp_c_proj.ofs_end
  vector:
    doc: A record with one dimension; always f32.
    doc-ref: README.md G-3.1, G-3.3
    params:
      - id: ofs
        type: s8
      - id: name
        type: str
      - id: num_elements
        type: s8
    seq:
      - id: check_inside
        type: check((ofs_data + len_data).as<s8> <= _io.size.as<s8>)
        doc: The record's header is read and checked on the way.
        doc-ref: README.md G-1.3
    instances:
      record:
        pos: ofs
        type: vector_record(name, num_elements)
      ofs_padding:
        value: (ofs + record.len.as<s8>).as<s8>
      ofs_data:
        value: (((ofs_padding + (15).as<s8>).as<s8> / (16).as<s8>).as<s8> * (16).as<s8>).as<s8>
        doc: The next multiple of 16 of the absolute offset.
        doc-ref: README.md G-3.1
      len_data:
        value: (num_elements * (4).as<s8>).as<s8>
      ofs_end:
        value: (ofs_data + len_data).as<s8>
      padding:
        pos: ofs_padding
        size: (ofs_data - ofs_padding).as<s8>
        doc: Zero; anything else is a warning.
        doc-ref: README.md G-3.4
      data:
        pos: ofs_data
        size: len_data
        doc-ref: README.md G-4.1
  matrix:
    doc: A record with two dimensions [num_rows, num_columns]; row-major, each row whole blocks of the header's type.
    doc-ref: README.md G-3.1, G-3.3
    params:
      - id: ofs
        type: s8
      - id: name
        type: str
      - id: num_rows
        type: s8
      - id: num_columns
        type: s8
    seq:
      - id: check_countable
        type: check(num_rows <= (_root.max_countable / len_row).as<s8>)
        doc-ref: README.md G-1.4
      - id: check_inside
        type: check((ofs_data + len_data).as<s8> <= _io.size.as<s8>)
        doc: The record's header is read and checked on the way.
        doc-ref: README.md G-1.3
    instances:
      record:
        pos: ofs
        type: matrix_record(name, num_rows, num_columns)
      ofs_padding:
        value: (ofs + record.len.as<s8>).as<s8>
      ofs_data:
        value: (((ofs_padding + (15).as<s8>).as<s8> / (16).as<s8>).as<s8> * (16).as<s8>).as<s8>
        doc: The next multiple of 16 of the absolute offset.
        doc-ref: README.md G-3.1
      len_row:
        value: ((num_columns / _root.header.block_size.as<s8>).as<s8> * _root.header.len_block.as<s8>).as<s8>
        doc-ref: README.md G-2.8, G-4.1
      len_data:
        value: (num_rows * len_row).as<s8>
      ofs_end:
        value: (ofs_data + len_data).as<s8>
      padding:
        pos: ofs_padding
        size: (ofs_data - ofs_padding).as<s8>
        doc: Zero; anything else is a warning.
        doc-ref: README.md G-3.4
      data:
        pos: ofs_data
        size: len_data
        doc-ref: README.md G-4.1
  vector_record:
    doc: What stands before the padding and the data of a vector. Each field has one right value.
    doc-ref: README.md G-3.1; dump_tensor in convert.py
    params:
      - id: expected_name
        type: str
      - id: expected_elements
        type: s8
    seq:
      - id: len_name
        type: s4
        valid:
          expr: _ == expected_name.length
        doc-ref: README.md G-3.1
      - id: name
        type: str
        size: len_name
        valid: expected_name
        doc-ref: README.md G-3.2
      - id: num_dimensions
        type: s4
        valid: 1
        doc-ref: README.md G-3.1
      - id: num_elements
        type: s4
        valid:
          expr: _.as<s8> == expected_elements
        doc-ref: README.md G-3.2
      - id: ggml_type
        type: s4
        valid: 0
        doc-ref: README.md G-3.3
    instances:
      len:
        value: 4 + len_name + 12
  matrix_record:
    doc: What stands before the padding and the data of a matrix. Each field has one right value.
    doc-ref: README.md G-3.1; dump_tensor in convert.py
    params:
      - id: expected_name
        type: str
      - id: expected_rows
        type: s8
      - id: expected_columns
        type: s8
    seq:
      - id: len_name
        type: s4
        valid:
          expr: _ == expected_name.length
        doc-ref: README.md G-3.1
      - id: name
        type: str
        size: len_name
        valid: expected_name
        doc-ref: README.md G-3.2
      - id: num_dimensions
        type: s4
        valid: 2
        doc-ref: README.md G-3.1
      - id: num_rows
        type: s4
        valid:
          expr: _.as<s8> == expected_rows
        doc-ref: README.md G-3.2
      - id: num_columns
        type: s4
        valid:
          expr: _.as<s8> == expected_columns
        doc-ref: README.md G-3.2
      - id: ggml_type
        type: s4
        valid:
          expr: _ == _root.header.ggml_type
        doc-ref: README.md G-3.3
    instances:
      len:
        value: 4 + len_name + 16

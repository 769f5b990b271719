/**
 * The fixed records of the formats, field by field. Generated from specs/ by `npm run docs`; do not edit.
 * A size is a primitive type of Kaitai Struct, a number of bytes, or the field of the record that holds that number.
 */
export const layouts = {
  llama2c_v0: [['dim', 's4'], ['hidden_dim', 's4'], ['n_layers', 's4'], ['n_heads', 's4'], ['n_kv_heads', 's4'], ['vocab_size', 's4'], ['max_seq_len', 's4']],
  llama2c_ak42_header: [['magic', 'u4'], ['version', 's4'], ['dim', 's4'], ['hidden_dim', 's4'], ['n_layers', 's4'], ['n_heads', 's4'], ['n_kv_heads', 's4'], ['vocab_size', 's4'], ['max_seq_len', 's4'], ['shared_classifier', 'u1'], ['group_size', 's4'], ['reserved', 215]],
  llama2c_tokenizer_gen1: [['num_offsets', 'u4']],
  llama2c_tokenizer_gen2: [],
  llama2c_tokenizer_gen3: [],
  llama2c_tokenizer_gen4: [['max_token_length', 'u4']],
  llama2c_tokenizer_gen5: [['max_token_length', 'u4']],
  'llama2c_tokenizer_gen2.token': [['len_piece', 'u4'], ['piece', 'len_piece']],
  'llama2c_tokenizer_gen3.token': [['len_piece', 'u4'], ['score', 'f4'], ['piece', 'len_piece']],
  'llama2c_tokenizer_gen4.token': [['score', 'f4'], ['len_piece', 'u4'], ['piece', 'len_piece']],
  'llama2c_tokenizer_gen5.token': [['score', 'f4'], ['len_piece', 'u4'], ['piece', 'len_piece']],
  ggml_qwen: [['magic', 4], ['ggml_type', 's4'], ['vocab_size', 's4'], ['hidden_size', 's4'], ['num_attention_heads', 's4'], ['num_kv_heads', 's4'], ['num_hidden_layers', 's4'], ['intermediate_size', 's4'], ['max_length', 's4'], ['eos_token_id', 's4'], ['pad_token_id', 's4'], ['im_start_id', 's4'], ['im_end_id', 's4']],
  'ggml_qwen.vector_record': [['len_name', 's4'], ['name', 'len_name'], ['num_dimensions', 's4'], ['num_elements', 's4'], ['ggml_type', 's4']],
  'ggml_qwen.matrix_record': [['len_name', 's4'], ['name', 'len_name'], ['num_dimensions', 's4'], ['num_rows', 's4'], ['num_columns', 's4'], ['ggml_type', 's4']],
  safetensors: [['len_header', 'u8'], ['header', 'len_header']],
  'torch_zip.end_of_central_directory': [['signature', 'u4'], ['disk', 'u2'], ['directory_disk', 'u2'], ['num_entries_on_disk', 'u2'], ['num_entries', 'u2'], ['len_directory', 'u4'], ['ofs_directory', 'u4'], ['len_comment', 'u2']],
  'torch_zip.zip64_locator': [['signature', 'u4'], ['disk', 'u4'], ['ofs_zip64_end', 'u8'], ['num_disks', 'u4']],
  'torch_zip.zip64_end': [['signature', 'u4'], ['len_rest', 'u8'], ['made_by', 'u2'], ['needed', 'u2'], ['disk', 'u4'], ['directory_disk', 'u4'], ['num_entries_on_disk', 'u8'], ['num_entries', 'u8'], ['len_directory', 'u8'], ['ofs_directory', 'u8']],
  'torch_zip.central_entry': [['signature', 'u4'], ['made_by', 'u2'], ['needed', 'u2'], ['flags', 'u2'], ['method', 'u2'], ['time', 'u2'], ['date', 'u2'], ['crc', 'u4'], ['len_compressed', 'u4'], ['len_uncompressed', 'u4'], ['len_name', 'u2'], ['len_extra', 'u2'], ['len_comment', 'u2'], ['disk', 'u2'], ['internal_attributes', 'u2'], ['external_attributes', 'u4'], ['ofs_header', 'u4'], ['name', 'len_name'], ['extra', 'len_extra']],
  'torch_zip.local_header': [['signature', 'u4'], ['needed', 'u2'], ['flags', 'u2'], ['method', 'u2'], ['time', 'u2'], ['date', 'u2'], ['crc', 'u4'], ['len_compressed', 'u4'], ['len_uncompressed', 'u4'], ['len_name', 'u2'], ['len_extra', 'u2'], ['name', 'len_name'], ['extra', 'len_extra']],
  'torch_zip.extra_field': [['id', 'u2'], ['len_body', 'u2'], ['body', 'len_body']],
} as const satisfies Readonly<Record<string, readonly (readonly [name: string, size: number | string])[]>>;

export type LayoutName = keyof typeof layouts;

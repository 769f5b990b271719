/** Every diagnostic code of qwen.cpp's GGML container. Clauses: specs/ggml-qwen/README.md. Codes are permanent; one cause each. */
import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (id: string): string => `specs/ggml-qwen#${id}`;

export const ggmlQwenCodes = {
  GGML_QWEN_HEADER_TRUNCATED: {
    severity: 'error', clause: clause('G-2.2'),
    summary: 'The file ends inside its 52-byte header.',
    rationale: 'The C++ reader copies the configuration out of the mapping without a length test.',
    hint: 'Download or convert the file again; compare its size with the original.',
  },
  GGML_QWEN_BAD_MAGIC: {
    severity: 'error', clause: clause('G-2.1'),
    summary: 'Nearly, but not exactly, the magic bytes "ggml".',
    rationale: 'qwen.cpp refuses the file with "bad magic" and no further word.',
    hint: 'If only the magic is damaged, restoring the bytes 67 67 6D 6C mends the file.',
  },
  GGML_QWEN_BIG_ENDIAN: {
    severity: 'error', clause: clause('G-1.1'),
    summary: 'The configuration reads as sensible numbers only when byte-swapped.',
    rationale: 'The C++ reader does not swap bytes and aborts on the sizes it computes.',
    hint: 'Convert the model again on a little-endian machine.',
  },
  GGML_QWEN_TYPE: {
    severity: 'error', clause: clause('G-2.3'),
    summary: 'ggml_type is not one of 0, 1, 2, 3, 6, 7, 8.',
    rationale: 'ggml indexes a table with it: qwen.cpp dies of SIGFPE or SIGSEGV.',
    hint: 'The types of this container are F32 0, F16 1, Q4_0 2, Q4_1 3, Q5_0 6, Q5_1 7, Q8_0 8.',
  },
  GGML_QWEN_NOT_POSITIVE: {
    severity: 'error', clause: clause('G-2.4'),
    summary: 'A dimension in the header is zero or negative.',
    rationale: 'The C++ reader divides by it or allocates a negative size, and crashes.',
    hint: 'The header is damaged: convert the model again.',
  },
  GGML_QWEN_HEADS_DIVIDE_HIDDEN: {
    severity: 'error', clause: clause('G-2.5'),
    summary: 'num_attention_heads does not divide hidden_size.',
    rationale: 'qwen.cpp stops with "corrupted kv cache", or computes with a truncated head size.',
    hint: 'Compare hidden_size and num_attention_heads with the model\'s config.json.',
  },
  GGML_QWEN_HEAD_SIZE_ODD: {
    severity: 'error', clause: clause('G-2.5'),
    summary: 'The head size hidden_size / num_attention_heads is odd.',
    rationale: 'RoPE rotates pairs of elements.',
    hint: 'Compare hidden_size and num_attention_heads with the model\'s config.json.',
  },
  GGML_QWEN_KV_HEADS: {
    severity: 'error', clause: clause('G-2.6'),
    summary: 'num_kv_heads differs from num_attention_heads.',
    rationale: 'qwen.cpp accepts the file and computes wrong logits: c_attn always has three equal parts.',
    hint: 'Set num_kv_heads (offset 20) to num_attention_heads; grouped-query attention does not exist in this container.',
  },
  GGML_QWEN_INTERMEDIATE_ODD: {
    severity: 'error', clause: clause('G-2.7'),
    summary: 'intermediate_size is odd.',
    rationale: 'The field is twice the MLP\'s width; an odd one is rounded down silently.',
    hint: 'Write twice the number of rows of mlp.w1.weight.',
  },
  GGML_QWEN_INTERMEDIATE_NOT_DOUBLED: {
    severity: 'warning', clause: clause('G-2.7'),
    summary: 'intermediate_size is the MLP\'s width itself, not twice that.',
    rationale: 'The file agrees with itself and can be read, but qwen.cpp halves the field and stops at mlp.w1.weight with a shape mismatch.',
    hint: 'Write twice the number of rows of mlp.w1.weight at offset 28.',
  },
  GGML_QWEN_ROW_BLOCKS: {
    severity: 'error', clause: clause('G-2.8'),
    summary: 'A row length is not a multiple of 32 in a quantized type.',
    rationale: 'Blocks of 32 would straddle rows, which ggml cannot multiply.',
    hint: 'Use F16 or F32 for this model.',
  },
  GGML_QWEN_TOO_MANY_LAYERS: {
    severity: 'error', clause: clause('G-1.4'),
    summary: 'num_hidden_layers is above the limit of 4,096.',
    rationale: 'The C++ reader allocates all layers before it reads the first tensor.',
    hint: 'The header is damaged: convert the model again.',
  },
  GGML_QWEN_SIZE_OVERFLOW: {
    severity: 'error', clause: clause('G-1.4'),
    summary: 'The size that the header implies is not countable (above 2^53 − 1 bytes).',
    rationale: 'Products of damaged dimensions wrap around in C and then pass size checks by accident.',
    hint: 'The header is damaged: convert the model again.',
  },
  GGML_QWEN_TOKEN_ID: {
    severity: 'warning', clause: clause('G-2.9'),
    summary: 'A special token id is negative or not below vocab_size.',
    rationale: 'Generation compares ids with it to know when to stop, and never will.',
    hint: 'Compare with the generation_config.json and the tokenizer of the model.',
  },
  GGML_QWEN_MAX_LENGTH_LARGE: {
    severity: 'warning', clause: clause('G-2.10'),
    summary: 'max_length is above 1,048,576 positions.',
    rationale: 'qwen.cpp allocates its key–value cache for all of them when it opens the file, and fails.',
    hint: 'Compare max_length with seq_length in the model\'s config.json.',
  },
  GGML_QWEN_NOT_CHECKABLE: {
    severity: 'info', clause: clause('G-2.9'),
    summary: 'Fields that nothing else in the file constrains.',
    rationale: 'max_length and the token ids enter no size; wrong ones within range cannot be found out from the file.',
    hint: 'Compare them with the model\'s configuration if they matter to you.',
  },
  GGML_QWEN_TRUNCATED: {
    severity: 'error', clause: clause('G-1.3'),
    summary: 'The file ends before the tensors that its header promises.',
    rationale: 'The C++ reader reads past its mapping and crashes, or computes with other memory.',
    hint: 'Download or convert the file again and compare the sizes.',
  },
  GGML_QWEN_TRAILING_BYTES: {
    severity: 'error', clause: clause('G-1.3'),
    summary: 'Bytes follow the last tensor.',
    rationale: 'The list of tensors is fixed: extra bytes mean that the header lies (too few layers) or that files were joined.',
    hint: 'Compare num_hidden_layers with the model\'s config.json.',
  },
  GGML_QWEN_NAME_LENGTH: {
    severity: 'error', clause: clause('G-3.1'),
    summary: 'A tensor\'s name has another length than the expected name.',
    rationale: 'The first wrong record shows where header and content part; believing a huge length would read far past the file.',
    hint: 'Check num_hidden_layers and the record before this one.',
  },
  GGML_QWEN_NAME: {
    severity: 'error', clause: clause('G-3.2'),
    summary: 'A tensor has another name than the fixed order demands.',
    rationale: 'The container has no table of contents; a tensor in the wrong place makes every later one unreadable.',
    hint: 'Check that the file holds a Qwen-1 model and that num_hidden_layers is right.',
  },
  GGML_QWEN_DIMENSION_COUNT: {
    severity: 'error', clause: clause('G-3.1'),
    summary: 'A tensor has another number of dimensions than its name implies.',
    rationale: 'qwen.cpp stops here too; the record is damaged.',
    hint: 'Convert the model again.',
  },
  GGML_QWEN_SHAPE: {
    severity: 'error', clause: clause('G-3.2'),
    summary: 'A tensor\'s dimensions contradict the header.',
    rationale: 'One of the two lies. Where the first record disagrees, it is usually the header.',
    hint: 'Compare both numbers with the model\'s config.json.',
  },
  GGML_QWEN_TENSOR_TYPE: {
    severity: 'error', clause: clause('G-3.3'),
    summary: 'A tensor has another type than the header demands.',
    rationale: 'Matrices have the header\'s type, vectors F32; qwen.cpp stops here too.',
    hint: 'Convert the model again with one type.',
  },
  GGML_QWEN_PADDING: {
    severity: 'warning', clause: clause('G-3.4'),
    summary: 'Padding bytes before a tensor\'s data are not zero.',
    rationale: 'No reader looks at them, but no writer in use leaves anything there.',
    hint: 'Find out which tool wrote something there; convert again to be sure.',
  },
  GGML_QWEN_WEIGHT_NOT_FINITE: {
    severity: 'warning', clause: clause('G-4.1'),
    summary: 'A weight or a block\'s scale is NaN or infinite.',
    rationale: 'It spreads to every logit.',
    hint: 'Look at the conversion that wrote it (f16 overflow of a scale is the usual cause).',
  },
  GGML_QWEN_ZEROED_TAIL: {
    severity: 'warning', clause: clause('G-4.2'),
    summary: 'The last tensors of the file are all zero.',
    rationale: 'A download or copy that was preallocated and interrupted ends in zeros with the right size.',
    hint: 'Compare a checksum with the original.',
  },
  GGML_QWEN_ROUNDING: {
    severity: 'info', clause: clause('G-4.3'),
    summary: 'Which quantizer wrote the blocks, as far as a block of zeros tells.',
    rationale: 'Files of the published converter and of ggml differ in rare blocks; bit-exact comparison needs the right one.',
    hint: 'Give the same rounding when you reproduce the file.',
  },
  GGML_QWEN_Q5_0_PRODUCER: {
    severity: 'info', clause: clause('G-4.4'),
    summary: 'A Q5_0 file, which the published converter cannot write.',
    rationale: 'Its q5_0 packing has a slice error in every commit and always throws.',
    hint: 'Ask which tool wrote the file; its rounding need not be the converter\'s.',
  },
} as const satisfies CodeTable;

export const ggmlQwenDiagnostic = diagnosticFactory(ggmlQwenCodes);

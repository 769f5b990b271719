/**
 * Every diagnostic code of llama2.c weight files. Codes are permanent; one cause each.
 * Clauses: specs/llama2c/README.md. Severities: errors make a file something else than it claims, or unsafe to read;
 * warnings are readable files that some reader in use would read differently; infos are facts worth knowing.
 */
import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (id: string): string => `specs/llama2c#${id}`;

export const llama2cCodes = {
  LLAMA2C_HEADER_TRUNCATED: {
    severity: 'error', clause: clause('C-2.1'),
    summary: 'The file ends inside its header.',
    rationale: 'A v0 header is 28 bytes, an ak42 header 256. Nothing about the model is known before the header is complete.',
    hint: 'Download or export the file again; compare its size with the original.',
  },
  LLAMA2C_BAD_MAGIC: {
    severity: 'error', clause: clause('C-3.1'),
    summary: 'Nearly, but not exactly, the ak42 magic number.',
    rationale: 'One damaged magic byte makes every reader fall back to the v0 layout and read dimensions from the wrong places.',
    hint: 'The first four bytes should be 32 34 6B 61 ("24ka"). If only they are damaged, restoring them mends the file.',
  },
  LLAMA2C_BIG_ENDIAN: {
    severity: 'error', clause: clause('C-1.1'),
    summary: 'The magic number is byte-swapped: the file was written big-endian.',
    rationale: 'No reader of llama2.c swaps bytes; all dimensions and weights would be misread.',
    hint: 'Export the model again on a little-endian machine, or swap every 4-byte word behind the magic.',
  },
  LLAMA2C_BAD_VERSION: {
    severity: 'error', clause: clause('C-3.2'),
    summary: 'The ak42 header names a version that does not exist.',
    rationale: 'Only versions 1 and 2 were ever written behind this magic (version 0 has no magic).',
    hint: 'Check which exporter wrote the file; if only the version field is damaged, the size tells which layout follows.',
  },
  LLAMA2C_NOT_POSITIVE: {
    severity: 'error', clause: clause('C-1.4'),
    summary: 'A dimension in the header is zero or negative.',
    rationale: 'run.c and runq.c divide by the dimensions without a test and crash, or allocate a negative size.',
    hint: 'The header is damaged or was written by a broken exporter: export the model again.',
  },
  LLAMA2C_VOCAB_SIZE: {
    severity: 'error', clause: clause('C-2.2'),
    summary: 'vocab_size is 0, or −2^31, whose absolute value does not exist.',
    rationale: 'run.c takes abs(vocab_size), which is undefined for INT_MIN and stays negative.',
    hint: 'The header is damaged: export the model again.',
  },
  LLAMA2C_VOCAB_NEGATIVE: {
    severity: 'error', clause: clause('C-3.3'),
    summary: 'vocab_size is negative behind an ak42 header.',
    rationale: 'Only v0 uses the sign as a flag. legacy_export negates vocab_size in place, so that a v1 or v2 export after it in the same process writes it negative; runq.c then reads nonsense.',
    hint: 'Export again in a fresh process, without a v0 export before it.',
  },
  LLAMA2C_HEADS_DIVIDE_DIM: {
    severity: 'error', clause: clause('C-1.5'),
    summary: 'n_heads does not divide dim.',
    rationale: 'The head size dim / n_heads would be truncated and every offset behind it wrong.',
    hint: 'Compare dim and n_heads with the model\'s configuration.',
  },
  LLAMA2C_KV_HEADS_EXCEED_HEADS: {
    severity: 'error', clause: clause('C-1.5'),
    summary: 'n_kv_heads is larger than n_heads.',
    rationale: 'run.c computes n_heads / n_kv_heads = 0 and divides by it.',
    hint: 'Compare n_kv_heads with the model\'s configuration; without grouped-query attention it equals n_heads.',
  },
  LLAMA2C_KV_HEADS_DIVIDE_HEADS: {
    severity: 'error', clause: clause('C-1.5'),
    summary: 'n_kv_heads does not divide n_heads.',
    rationale: 'Query heads could not be shared out evenly over key and value heads.',
    hint: 'Compare n_heads and n_kv_heads with the model\'s configuration.',
  },
  LLAMA2C_HEAD_SIZE_ODD: {
    severity: 'error', clause: clause('C-1.6'),
    summary: 'The head size dim / n_heads is odd.',
    rationale: 'RoPE rotates pairs; run.c would read one element past each head.',
    hint: 'Compare dim and n_heads with the model\'s configuration.',
  },
  LLAMA2C_TOO_MANY_LAYERS: {
    severity: 'error', clause: clause('C-1.7'),
    summary: 'n_layers is above the limit of 4,096.',
    rationale: 'A directory of more layers than any model has would only exhaust memory.',
    hint: 'The header is damaged: export the model again.',
  },
  LLAMA2C_SIZE_OVERFLOW: {
    severity: 'error', clause: clause('C-1.7'),
    summary: 'The size that the header implies is not countable (above 2^53 − 1 bytes).',
    rationale: 'Products of damaged dimensions wrap around in C and then pass size checks by accident.',
    hint: 'The header is damaged: export the model again.',
  },
  LLAMA2C_TRUNCATED: {
    severity: 'error', clause: clause('C-1.3'),
    summary: 'The file is shorter than its header implies.',
    rationale: 'run.c maps the file and reads past its end: it crashes, or prints <unk> with no error.',
    hint: 'Download or export the file again and compare the sizes.',
  },
  LLAMA2C_TRAILING_BYTES: {
    severity: 'error', clause: clause('C-1.3'),
    summary: 'The file is longer than its header implies.',
    rationale: 'Extra bytes mean that the header, the layout or the file is not what it claims; readers ignore them silently.',
    hint: 'Check the header\'s fields against the model, or that two files were not joined.',
  },
  LLAMA2C_GROUP_SIZE_NOT_POSITIVE: {
    severity: 'error', clause: clause('C-6.2'),
    summary: 'group_size is zero or negative in an int8 layout.',
    rationale: 'runq.c divides by it.',
    hint: 'The int8 layouts need a positive group size at offset 37 (unaligned); 64 and 32 are usual.',
  },
  LLAMA2C_GROUP_SIZE_INDIVISIBLE: {
    severity: 'error', clause: clause('C-6.2'),
    summary: 'group_size does not divide a tensor\'s element count.',
    rationale: 'The number of scales would not be whole; every offset behind that tensor would be wrong.',
    hint: 'Compare group_size with the one given to the exporter.',
  },
  LLAMA2C_GROUPS_RAGGED: {
    severity: 'warning', clause: clause('C-6.3'),
    summary: 'group_size does not divide dim or hidden_dim: groups straddle rows.',
    rationale: 'export.py tests dim only; runq.c assumes whole groups in each row and silently computes wrong products (llama2.c issues 532 and 533).',
    hint: 'Export again with a group size that divides both dim and hidden_dim.',
  },
  LLAMA2C_V1_INT8_UNSHARED: {
    severity: 'error', clause: clause('C-4.4'),
    summary: 'A v1-int8 header says that the classifier is not shared.',
    rationale: 'The v1-int8 exporters always wrote shared = 1 and no classifier; readers of that layout would look for one that is not there.',
    hint: 'Export the model as v2, which can hold an untied classifier.',
  },
  LLAMA2C_SHARED_FLAG: {
    severity: 'warning', clause: clause('C-3.4'),
    summary: 'shared_classifier is neither 0 nor 1.',
    rationale: 'C readers take any non-zero value as true, others compare with 1.',
    hint: 'Set the byte at offset 36 to 1 (shared) or 0.',
  },
  LLAMA2C_HEADER_PADDING: {
    severity: 'warning', clause: clause('C-3.6'),
    summary: 'Header bytes that should be zero are not.',
    rationale: 'Later fields would be put there; today\'s readers skip them.',
    hint: 'Set the padding to zero, or find out which tool wrote something there.',
  },
  LLAMA2C_LAYOUT_MISMATCH: {
    severity: 'error', clause: clause('C-5.6'),
    summary: 'The header says v1-int8, but scales and values alternate as in v2.',
    rationale: 'Both layouts have the same size; a reader that trusts the header reads scales as weights and babbles.',
    hint: 'If the body is right, the version at offset 4 should be 2.',
  },
  LLAMA2C_V2_LAYOUT_AMBIGUOUS: {
    severity: 'warning', clause: clause('C-5.5'),
    summary: 'Both v2 layouts fit the content; the interleaved one is assumed.',
    rationale: 'Header and size are equal in both layouts, and the bytes sampled do not decide (they are all zero).',
    hint: 'Weights that are all zero are rarely meant: check the file with --deep.',
  },
  LLAMA2C_INT8_LAYOUT_IMPLAUSIBLE: {
    severity: 'error', clause: clause('C-5.5'),
    summary: 'Neither the interleaved nor the contiguous place holds plausible scales.',
    rationale: 'Scales are finite, not negative and zero only for all-zero groups. Where neither reading has them, the body is damaged or has another layout.',
    hint: 'Export the model again; check that the file was not transferred in text mode.',
  },
  LLAMA2C_V2_CONTIGUOUS: {
    severity: 'warning', clause: clause('C-4.6'),
    summary: 'A v2 file in the contiguous layout of August–October 2023.',
    rationale: 'Today\'s runq.c expects interleaved scales behind the same header and prints garbage.',
    hint: 'Rewrite it in the interleaved layout (variant v2) before giving it to runq.c.',
  },
  LLAMA2C_EXPERIMENTAL: {
    severity: 'info', clause: clause('C-4.7'),
    summary: 'The experimental v1 layout of the int8 branch.',
    rationale: 'It was never on llama2.c\'s master branch; no released reader knows it.',
    hint: 'Rewrite it as v2 for runq.c.',
  },
  LLAMA2C_NOT_CHECKABLE: {
    severity: 'info', clause: clause('C-3.7'),
    summary: 'A field that nothing else in the file constrains.',
    rationale: 'max_seq_len of v1 and v2 files enters no size: a wrong value cannot be found out from the file.',
    hint: 'Compare it with the model\'s configuration if it matters to you.',
  },
  LLAMA2C_ROPE_THETA: {
    severity: 'warning', clause: clause('C-2.5'),
    summary: 'The frequency tables were made with a rope_theta other than 10000.',
    rationale: 'run.c computes its own rotation with 10000, because no layout stores theta: a model trained with another value babbles.',
    hint: 'Use an engine that takes rope_theta, or a format that stores it.',
  },
  LLAMA2C_FREQ_TABLE: {
    severity: 'info', clause: clause('C-2.5'),
    summary: 'The frequency tables hold something other than cosines and sines of positions.',
    rationale: 'run.c ignores the tables since August 2023; older versions read them.',
    hint: 'Harmless for run.c; export again if an old reader is to use the file.',
  },
  LLAMA2C_SCALE_INVALID: {
    severity: 'warning', clause: clause('C-6.4'),
    summary: 'A scale is NaN, infinite or negative, or zero for a group with non-zero values.',
    rationale: 'One such scale turns a whole matrix product into NaN, or silently drops weights.',
    hint: 'Quantize the model again from weights that are finite.',
  },
  LLAMA2C_GROUP_NOT_NORMALIZED: {
    severity: 'warning', clause: clause('C-6.5'),
    summary: 'The largest |q| of a non-zero group is not 127.',
    rationale: 'The exporters always reach 127. Other values mean another quantizer, moved scales or damaged values.',
    hint: 'Compare with the original weights.',
  },
  LLAMA2C_VALUE_MINUS_128: {
    severity: 'warning', clause: clause('C-6.6'),
    summary: 'A quantized value is −128.',
    rationale: 'The exporters write −127 to 127; kernels that rely on it overflow.',
    hint: 'Quantize the model again.',
  },
  LLAMA2C_WEIGHT_NOT_FINITE: {
    severity: 'warning', clause: clause('C-7.1'),
    summary: 'A weight is NaN or infinite.',
    rationale: 'It spreads to every logit.',
    hint: 'Look at the training or conversion that wrote it (f16 overflow is the usual cause).',
  },
  LLAMA2C_ZEROED_TAIL: {
    severity: 'warning', clause: clause('C-7.2'),
    summary: 'The last tensors of the file are all zero.',
    rationale: 'A download or copy that was preallocated and interrupted ends in zeros with the right size.',
    hint: 'Compare a checksum with the original.',
  },
  LLAMA2C_WRITE_GROUP_SIZE: {
    severity: 'error', clause: clause('C-6.3'),
    summary: 'Refused to write: the group size does not divide dim and hidden_dim.',
    rationale: 'runq.c would read such a file silently wrong.',
    hint: 'Choose a group size that divides both, or ask for upstream compatibility to reproduce its ragged groups.',
  },
  LLAMA2C_WRITE_UNTIED: {
    severity: 'error', clause: clause('C-4.4'),
    summary: 'Refused to write: this layout cannot hold a separate classifier.',
    rationale: 'v1-int8 and v1-experimental always share the classifier with the token embedding; dropping output.weight changes the model.',
    hint: 'Write v2 instead, or allow the loss explicitly.',
  },
  LLAMA2C_WRITE_TENSOR: {
    severity: 'error', clause: clause('C-1.9'),
    summary: 'Refused to write: a tensor that the layout needs is missing, has another shape, or a dtype that cannot be written.',
    rationale: 'A file with a tensor left out would have the right header and the wrong size.',
    hint: 'Check that the source is a llama-architecture checkpoint with Meta tensor names.',
  },
} as const satisfies CodeTable;

export const tokenizerCodes = {
  LLAMA2C_TOKENIZER_TRUNCATED: {
    severity: 'error', clause: clause('T-2.1'),
    summary: 'A token record runs past the end of the file, or bytes are left that are no record.',
    rationale: 'run.c checks each read, but reports only "failed read".',
    hint: 'Export or download the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_EMPTY: {
    severity: 'error', clause: clause('T-2.4'),
    summary: 'The tokenizer has no tokens.',
    rationale: 'Nothing can be encoded or decoded.',
    hint: 'Export the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_OFFSETS: {
    severity: 'error', clause: clause('T-1.1'),
    summary: 'The offsets of a gen1 tokenizer decrease or leave the blob.',
    rationale: 'Readers of that generation subtract neighbouring offsets and would copy a negative length.',
    hint: 'Export the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_LIMIT: {
    severity: 'error', clause: clause('T-2.4'),
    summary: 'A piece is longer than 65,535 bytes, or there are more than 524,288 tokens.',
    rationale: 'Such a length is a damaged field, and believing it would exhaust memory.',
    hint: 'Export the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_MAX_LENGTH_SMALL: {
    severity: 'error', clause: clause('T-2.2'),
    summary: 'max_token_length is smaller than the longest piece.',
    rationale: 'run.c sizes its merge buffer with it and writes past the end.',
    hint: 'Export the tokenizer again, or set the first u32 to the longest piece\'s length.',
  },
  LLAMA2C_TOKENIZER_MAX_LENGTH_LARGE: {
    severity: 'warning', clause: clause('T-2.2'),
    summary: 'max_token_length is larger than the longest piece.',
    rationale: 'Only memory is wasted, but no exporter writes this: pieces may be missing.',
    hint: 'Compare the number of tokens with the model\'s vocab_size.',
  },
  LLAMA2C_TOKENIZER_SCORE: {
    severity: 'warning', clause: clause('T-2.3'),
    summary: 'A score is NaN or infinite.',
    rationale: 'Merges compare scores; NaN makes a piece unreachable.',
    hint: 'Export the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_BYTE_TOKENS: {
    severity: 'warning', clause: clause('T-2.5'),
    summary: 'ids 3–258 are not the 256 byte tokens.',
    rationale: 'encode falls back to byte + 3 for characters without a piece and would print something else.',
    hint: 'Use a vocabulary trained with byte fallback.',
  },
  LLAMA2C_TOKENIZER_UTF8: {
    severity: 'warning', clause: clause('T-2.6'),
    summary: 'A piece is not valid UTF-8.',
    rationale: 'The exporters encode text; other bytes mean damage.',
    hint: 'Export the tokenizer again.',
  },
  LLAMA2C_TOKENIZER_OLD_GENERATION: {
    severity: 'info', clause: clause('T-1.5'),
    summary: 'A tokenizer.bin of an earlier generation than run.c reads today.',
    rationale: 'run.c of 2023-08-14 and later misreads generations 1–3, and prints byte tokens of generation 4 wrongly.',
    hint: 'Export it again with today\'s tokenizer.py.',
  },
} as const satisfies CodeTable;

export const llama2cDiagnostic = diagnosticFactory(llama2cCodes);
export const tokenizerDiagnostic = diagnosticFactory(tokenizerCodes);

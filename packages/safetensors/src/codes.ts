/**
 * Every diagnostic code of safetensors files. Codes are permanent; one cause each. Clauses: specs/safetensors/README.md.
 * Errors are what the reference reader refuses, and what is ambiguous or uncountable; warnings are what it takes although
 * its own specification does not allow it, and content that is rarely meant.
 */
import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (id: string): string => `specs/safetensors#${id}`;

const downloadAgain = 'Download or export the file again; compare its size and checksum with the original.';
const writerBroken = 'The tool that wrote the file is at fault: write it again with the safetensors library.';

export const safetensorsCodes = {
  SAFETENSORS_LENGTH_TRUNCATED: {
    severity: 'error', clause: clause('S-1.1'),
    summary: 'The file is shorter than the 8 bytes of its header length.',
    rationale: 'Nothing about the file is known before the header length is complete.',
    hint: downloadAgain,
  },
  SAFETENSORS_HEADER_TOO_LARGE: {
    severity: 'error', clause: clause('S-1.2'),
    summary: 'The header length is above the limit of 100,000,000 bytes.',
    rationale: 'A damaged or hostile length would make a reader allocate the whole memory; the reference reader has the same limit.',
    hint: 'The first 8 bytes are damaged, or this is no safetensors file.',
  },
  SAFETENSORS_LENGTH_BIG_ENDIAN: {
    severity: 'error', clause: clause('S-1.2'),
    summary: 'The header length is byte-swapped: it was written big-endian.',
    rationale: 'Every reader takes the length as little-endian and would look for a header of exabytes.',
    hint: 'Reverse the first 8 bytes. If a big-endian machine wrote the file, the tensors may be swapped too: export it again.',
  },
  SAFETENSORS_HEADER_TRUNCATED: {
    severity: 'error', clause: clause('S-1.3'),
    summary: 'The file ends inside its header.',
    rationale: 'A cut download has lost the directory of tensors.',
    hint: downloadAgain,
  },
  SAFETENSORS_HEADER_NOT_UTF8: {
    severity: 'error', clause: clause('S-2.1'),
    summary: 'The header is not UTF-8.',
    rationale: 'Readers that replace bad bytes silently rename tensors; the reference reader refuses the file.',
    hint: writerBroken,
  },
  SAFETENSORS_BOM: {
    severity: 'error', clause: clause('S-2.1'),
    summary: 'The header starts with a byte order mark.',
    rationale: 'JSON has none; the reference reader refuses the file where others skip the mark.',
    hint: 'Remove the three bytes EF BB BF and lower the header length by 3.',
  },
  SAFETENSORS_JSON_SYNTAX: {
    severity: 'error', clause: clause('S-2.2'),
    summary: 'The header is not JSON.',
    rationale: 'Lenient parsers disagree about what such a header says.',
    hint: writerBroken,
  },
  SAFETENSORS_JSON_DEPTH: {
    severity: 'error', clause: clause('S-2.3'),
    summary: 'The header is nested more than 127 levels deep.',
    rationale: 'Recursive parsers overflow their stack; the reference reader stops here too.',
    hint: 'No writer nests a header more than three levels: look at where the file comes from.',
  },
  SAFETENSORS_JSON_CONTROL_CHARACTER: {
    severity: 'error', clause: clause('S-2.2'),
    summary: 'A string of the header holds a raw control character.',
    rationale: 'JSON wants them escaped; lenient parsers take them, strict ones refuse the file.',
    hint: writerBroken,
  },
  SAFETENSORS_JSON_LONE_SURROGATE: {
    severity: 'error', clause: clause('S-2.4'),
    summary: 'A string of the header holds half of a surrogate pair.',
    rationale: 'It is no Unicode text: JavaScript keeps it, Python cannot print it, Rust refuses it.',
    hint: writerBroken,
  },
  SAFETENSORS_STRING_TOO_LONG: {
    severity: 'error', clause: clause('S-2.6'),
    summary: 'A string of the header is longer than 16,777,216 bytes.',
    rationale: 'A text of a hundred megabytes only exhausts memory.',
    hint: 'Keep such data in a file of its own, or in a tensor.',
  },
  SAFETENSORS_TOO_MANY_TENSORS: {
    severity: 'error', clause: clause('S-3.10'),
    summary: 'The header has more than 262,144 members.',
    rationale: 'Their directory would take hundreds of megabytes of memory; the largest published models have some 100,000 tensors, in many files.',
    hint: 'Spread the tensors over several files with an index, or stack them. If no tool of yours wrote this file, it is damaged or hostile.',
  },
  SAFETENSORS_NAME_TOO_LONG: {
    severity: 'error', clause: clause('S-3.10'),
    summary: 'The name of a tensor is longer than 4,096 bytes.',
    rationale: 'Names of real tensors have some hundred; a longer one hides something, or exhausts memory.',
    hint: 'Rename the tensor.',
  },
  SAFETENSORS_METADATA_TOO_LARGE: {
    severity: 'error', clause: clause('S-3.10'),
    summary: '__metadata__ has more than 65,536 entries or 16,777,216 bytes.',
    rationale: 'It is held as a whole, and no tool writes so much.',
    hint: 'Keep such data in a file of its own, or in a tensor.',
  },
  SAFETENSORS_HEADER_NOT_OBJECT: {
    severity: 'error', clause: clause('S-3.1'),
    summary: 'The header is JSON, but not an object.',
    rationale: 'The header maps tensor names to where they lie; there is nothing to read in anything else.',
    hint: writerBroken,
  },
  SAFETENSORS_TRAILING_HEADER_BYTES: {
    severity: 'error', clause: clause('S-2.5'),
    summary: 'Something other than white space follows the JSON object in the header.',
    rationale: 'Padding with NUL instead of spaces, or a second document, is refused by the reference reader and ignored by others.',
    hint: 'Pad the header with spaces (0x20).',
  },
  SAFETENSORS_WHITESPACE_BEFORE: {
    severity: 'warning', clause: clause('S-2.5'),
    summary: 'White space precedes the opening brace of the header.',
    rationale: 'The specification says that the header begins with "{"; the reference reader does not look, others do.',
    hint: 'Write the file again with the safetensors library.',
  },
  SAFETENSORS_WHITESPACE_AFTER: {
    severity: 'warning', clause: clause('S-2.5'),
    summary: 'The header is padded with white space other than spaces.',
    rationale: 'The specification allows spaces (0x20) only.',
    hint: 'Write the file again with the safetensors library.',
  },
  SAFETENSORS_DUPLICATE_KEY: {
    severity: 'error', clause: clause('S-3.2'),
    summary: 'A key stands twice in one object of the header.',
    rationale: 'Some readers take the first, some the last, so that one file holds two models.',
    hint: 'Find out which tensor is meant and write the file again.',
  },
  SAFETENSORS_TENSOR_INFO: {
    severity: 'error', clause: clause('S-3.3'),
    summary: 'What the header says of a tensor is not an object.',
    rationale: 'Without dtype, shape and offsets there is no tensor.',
    hint: writerBroken,
  },
  SAFETENSORS_TENSOR_INFO_FORM: {
    severity: 'warning', clause: clause('S-3.4'),
    summary: 'A tensor is described in a form that only the reference reader takes: an array, or a dtype as an object.',
    rationale: 'Rust\'s deserializer accepts these by accident; every other reader fails.',
    hint: 'Write the file again with the safetensors library.',
  },
  SAFETENSORS_MISSING_FIELD: {
    severity: 'error', clause: clause('S-3.3'),
    summary: 'A tensor lacks dtype, shape or data_offsets.',
    rationale: 'All three are needed to find and understand its bytes.',
    hint: writerBroken,
  },
  SAFETENSORS_UNKNOWN_FIELD: {
    severity: 'warning', clause: clause('S-3.3'),
    summary: 'A tensor has a member other than dtype, shape and data_offsets.',
    rationale: 'The reference reader ignores it; a strict one refuses the file, and a later version may give it a meaning.',
    hint: 'Move what it says into __metadata__.',
  },
  SAFETENSORS_FIELD_TYPE: {
    severity: 'error', clause: clause('S-3.3'),
    summary: 'A field of a tensor has the wrong JSON type.',
    rationale: 'A shape as a string or an offset as null is read as another number by lenient readers.',
    hint: writerBroken,
  },
  SAFETENSORS_NOT_UNSIGNED: {
    severity: 'error', clause: clause('S-3.5'),
    summary: 'A dimension or offset is not written as an unsigned 64-bit integer.',
    rationale: '64.0, 1e2 and -1 are numbers to JavaScript and errors to the reference reader.',
    hint: writerBroken,
  },
  SAFETENSORS_UNKNOWN_DTYPE: {
    severity: 'error', clause: clause('S-4.1'),
    summary: 'A dtype that safetensors does not have.',
    rationale: 'Without the size of an element nothing can be checked; readers that guess it show noise.',
    hint: 'The names are upper case: BOOL, U8, F16, BF16, F32 … (specs/safetensors, S-4.1).',
  },
  SAFETENSORS_TOO_MANY_DIMENSIONS: {
    severity: 'error', clause: clause('S-3.6'),
    summary: 'A tensor has more than 1,024 dimensions, or all together more than 4,194,304.',
    rationale: 'Tensor libraries stop at 64; a longer list only exhausts memory.',
    hint: writerBroken,
  },
  SAFETENSORS_METADATA_TYPE: {
    severity: 'error', clause: clause('S-3.7'),
    summary: '__metadata__ is not an object of strings.',
    rationale: 'The reference reader refuses the whole file for one number in it.',
    hint: 'Turn the values into strings.',
  },
  SAFETENSORS_METADATA_NULL: {
    severity: 'warning', clause: clause('S-3.7'),
    summary: '__metadata__ is null.',
    rationale: 'The reference reader takes it for absent; others fail.',
    hint: 'Leave __metadata__ out.',
  },
  SAFETENSORS_OFFSETS_REVERSED: {
    severity: 'error', clause: clause('S-5.1'),
    summary: 'A tensor ends before it begins.',
    rationale: 'The length would be negative, or wrap around to a huge one.',
    hint: writerBroken,
  },
  SAFETENSORS_NOT_COUNTABLE: {
    severity: 'error', clause: clause('S-5.2'),
    summary: 'An offset is above 2^53 − 1, or the size that a shape implies overflows 64 bits.',
    rationale: 'Products that wrap around pass size checks by accident.',
    hint: 'The header is damaged or hostile.',
  },
  SAFETENSORS_NOT_WHOLE_BYTES: {
    severity: 'error', clause: clause('S-5.3'),
    summary: 'The elements of a tensor do not fill whole bytes.',
    rationale: 'Types of 4 and 6 bits are packed; a half-filled last byte has no defined layout.',
    hint: 'Pad the last dimension to a multiple of 2 (4 bits) or 4 (6 bits).',
  },
  SAFETENSORS_SIZE_MISMATCH: {
    severity: 'error', clause: clause('S-5.4'),
    summary: 'The data of a tensor is longer or shorter than its dtype and shape imply.',
    rationale: 'Either the shape or the offsets are wrong; a reader that trusts one of them reads another tensor\'s bytes.',
    hint: writerBroken,
  },
  SAFETENSORS_LARGE_DIMENSION: {
    severity: 'warning', clause: clause('S-5.2'),
    summary: 'An empty tensor has a dimension above 2^53 − 1.',
    rationale: 'Readers that keep numbers as doubles report another shape.',
    hint: 'No real tensor has such a dimension: look at the tool that wrote the file.',
  },
  SAFETENSORS_OVERLAP: {
    severity: 'error', clause: clause('S-5.5'),
    summary: 'Two tensors share bytes.',
    rationale: 'Writing one changes the other; the reference reader refuses the file.',
    hint: 'Tied weights are stored once in this format; write the file again with the safetensors library.',
  },
  SAFETENSORS_HOLE: {
    severity: 'error', clause: clause('S-5.5'),
    summary: 'Bytes of the data belong to no tensor.',
    rationale: 'A hole can hide a second file in this one; the reference reader refuses it.',
    hint: writerBroken,
  },
  SAFETENSORS_TRUNCATED: {
    severity: 'error', clause: clause('S-5.6'),
    summary: 'The file ends before its last tensor does.',
    rationale: 'A cut download: several viewers show such a file as sound.',
    hint: downloadAgain,
  },
  SAFETENSORS_TRAILING_BYTES: {
    severity: 'error', clause: clause('S-5.6'),
    summary: 'Bytes follow the last tensor.',
    rationale: 'They can hold anything, such as a zip archive that another tool opens instead.',
    hint: 'Find out what was appended; cutting the file at the end of the last tensor mends it.',
  },
  SAFETENSORS_UNALIGNED: {
    severity: 'warning', clause: clause('S-5.7'),
    summary: 'A tensor does not start at a multiple of its element size.',
    rationale: 'Readers that map the file cannot use it in place: some copy, some fail, some crash.',
    hint: 'Write the file again with the safetensors library, which pads the header and orders tensors by element size.',
  },
  SAFETENSORS_WEIGHT_NOT_FINITE: {
    severity: 'warning', clause: clause('S-6.1'),
    summary: 'A weight is NaN or infinite.',
    rationale: 'It spreads to every logit.',
    hint: 'Look at the training or conversion that wrote it (f16 overflow is the usual cause).',
  },
  SAFETENSORS_ZEROED_TAIL: {
    severity: 'warning', clause: clause('S-6.2'),
    summary: 'The end of the data is all zeros.',
    rationale: 'A download or copy that was preallocated and interrupted ends in zeros with the right size.',
    hint: 'Compare a checksum with the original.',
  },
  SAFETENSORS_ALL_ZERO_TENSORS: {
    severity: 'info', clause: clause('S-6.3'),
    summary: 'Some tensors hold nothing but zeros.',
    rationale: 'Fresh biases and adapters are zero; a weight matrix rarely is.',
    hint: 'Check that these tensors are meant to be zero.',
  },
  SAFETENSORS_WRITE_NAME: {
    severity: 'error', clause: clause('S-7.3'),
    summary: 'Refused to write: a tensor name that the format cannot hold.',
    rationale: 'Names are unique, are Unicode text of at most 4,096 bytes, and are not __metadata__.',
    hint: 'Rename the tensor.',
  },
  SAFETENSORS_WRITE_TENSOR: {
    severity: 'error', clause: clause('S-7.3'),
    summary: 'Refused to write: a tensor whose dtype or shape safetensors cannot hold, or whose bytes do not fill its shape.',
    rationale: 'Block-quantized types have no name in this format, and a wrong size would make an invalid file.',
    hint: 'Dequantize the tensor first, or choose a format that has its type.',
  },
  SAFETENSORS_WRITE_METADATA: {
    severity: 'error', clause: clause('S-7.3'),
    summary: 'Refused to write: metadata that is not all strings, or beyond its limits.',
    rationale: 'The reference reader refuses files with any other value, and this reader more than 65,536 entries or 16,777,216 bytes.',
    hint: 'Turn the values into strings, and keep large ones elsewhere.',
  },
  SAFETENSORS_WRITE_HEADER_TOO_LARGE: {
    severity: 'error', clause: clause('S-1.2'),
    summary: 'Refused to write: the header would be longer than 100,000,000 bytes, or have more than 262,144 members or 4,194,304 dimensions.',
    rationale: 'The file would be refused when it is read.',
    hint: 'Spread the tensors over several files with an index.',
  },
} as const satisfies CodeTable;

export type SafetensorsCode = keyof typeof safetensorsCodes;

export const safetensorsDiagnostic = diagnosticFactory(safetensorsCodes);

/**
 * Every diagnostic code of `*.index.json` files. Codes are permanent; one cause each. Clauses: specs/sharded-index/README.md.
 * What is wrong inside a shard has the codes of the shard's own format.
 */
import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (id: string): string => `specs/sharded-index#${id}`;
const saveAgain = 'Save the model again, or fetch the index and all shards from one place.';

export const shardedIndexCodes = {
  SHARDED_INDEX_TOO_LARGE: {
    severity: 'error', clause: clause('I-1.1'),
    summary: 'The index is longer than 100,000,000 bytes.',
    rationale: 'An index is text that is read as a whole; no model has one of more than a few megabytes.',
    hint: 'Check that this is the index and not a shard.',
  },
  SHARDED_INDEX_NOT_UTF8: {
    severity: 'error', clause: clause('I-1.2'),
    summary: 'The index is not UTF-8, or starts with a byte order mark.',
    rationale: 'Readers that replace bad bytes look for tensors and files of other names.',
    hint: saveAgain,
  },
  SHARDED_INDEX_JSON_SYNTAX: {
    severity: 'error', clause: clause('I-1.2'),
    summary: 'The index is not JSON.',
    rationale: 'A cut download or a page in place of the file names no shards.',
    hint: 'Fetch the index again; a Git LFS pointer or an HTML page may lie in its place.',
  },
  SHARDED_INDEX_JSON_DEPTH: {
    severity: 'error', clause: clause('I-1.2'),
    summary: 'The index is nested more than 127 levels deep.',
    rationale: 'Recursive parsers overflow their stack.',
    hint: 'No writer nests an index more than a few levels: look at where the file comes from.',
  },
  SHARDED_INDEX_LONE_SURROGATE: {
    severity: 'error', clause: clause('I-1.2'),
    summary: 'A string of the index holds half of a surrogate pair.',
    rationale: 'It is no Unicode text, and no file or tensor can have this name.',
    hint: saveAgain,
  },
  SHARDED_INDEX_STRING_TOO_LONG: {
    severity: 'error', clause: clause('I-1.3'),
    summary: 'A string of the index is longer than 16,777,216 bytes.',
    rationale: 'No tensor and no file has such a name; it only exhausts memory.',
    hint: 'The index is damaged or hostile.',
  },
  SHARDED_INDEX_TOO_MANY_TENSORS: {
    severity: 'error', clause: clause('I-2.5'),
    summary: 'The index, or its shards together, have more than 524,288 tensors.',
    rationale: 'Their directory would take hundreds of megabytes of memory; the largest published models have some 200,000.',
    hint: 'The index is damaged or hostile.',
  },
  SHARDED_INDEX_METADATA_TOO_LARGE: {
    severity: 'error', clause: clause('I-2.5'),
    summary: 'metadata is longer than 1,048,576 bytes.',
    rationale: 'It is held as a whole; real ones hold a few numbers.',
    hint: 'Keep such data in a file of its own.',
  },
  SHARDED_INDEX_NOT_OBJECT: {
    severity: 'error', clause: clause('I-2.1'),
    summary: 'The index is JSON, but not an object.',
    rationale: 'There is no map of tensors in anything else.',
    hint: 'Name the file that ends in .index.json.',
  },
  SHARDED_INDEX_DUPLICATE_KEY: {
    severity: 'error', clause: clause('I-2.2'),
    summary: 'A key stands twice in one object of the index.',
    rationale: 'JSON parsers keep one of the two without a word: a tensor would be taken from one shard or another.',
    hint: 'Find out which shard holds the tensor and remove the other line.',
  },
  SHARDED_INDEX_NO_WEIGHT_MAP: {
    severity: 'error', clause: clause('I-2.3'),
    summary: 'The index has no weight_map.',
    rationale: 'It is the map from tensors to shards; without it nothing can be opened.',
    hint: saveAgain,
  },
  SHARDED_INDEX_NO_METADATA: {
    severity: 'warning', clause: clause('I-2.3'),
    summary: 'The index has no metadata.',
    rationale: 'transformers stops with a KeyError; other readers do not look.',
    hint: 'Add "metadata": {"total_size": …}.',
  },
  SHARDED_INDEX_UNKNOWN_KEY: {
    severity: 'warning', clause: clause('I-2.3'),
    summary: 'The index has a member other than metadata and weight_map.',
    rationale: 'No reader looks at it; it may be a misspelt one.',
    hint: 'Move what it says into metadata.',
  },
  SHARDED_INDEX_FIELD_TYPE: {
    severity: 'error', clause: clause('I-2.4'),
    summary: 'metadata or weight_map is not an object, or a shard is not a string.',
    rationale: 'A reader fails here with a message about types, or joins a number to a path.',
    hint: saveAgain,
  },
  SHARDED_INDEX_EMPTY: {
    severity: 'warning', clause: clause('I-2.4'),
    summary: 'weight_map names no tensor.',
    rationale: 'Loaders then leave every weight at its random start.',
    hint: saveAgain,
  },
  SHARDED_INDEX_SHARD_NAME: {
    severity: 'error', clause: clause('I-3.1'),
    summary: 'The name of a shard is not a plain file name.',
    rationale: 'Loaders join it to a folder or a URL without a check: "../" reads files outside the model, an absolute path or a URL replaces the folder.',
    hint: 'Do not open this model with other tools before you know who wrote the index. A shard lies beside its index and is named without any folder.',
  },
  SHARDED_INDEX_SHARD_CASE: {
    severity: 'error', clause: clause('I-3.2'),
    summary: 'Two shards have names that differ only in letter case.',
    rationale: 'On macOS and Windows both are one file.',
    hint: 'Rename one of them, in the folder and in the index.',
  },
  SHARDED_INDEX_SHARD_KIND: {
    severity: 'warning', clause: clause('I-3.3'),
    summary: 'The name of a shard ends in neither .safetensors nor .bin, .pt or .pth.',
    rationale: 'Loaders choose the reader by the ending, and take what they do not know for a pickle.',
    hint: 'Rename the shard after what it is.',
  },
  SHARDED_INDEX_MIXED_KINDS: {
    severity: 'warning', clause: clause('I-3.4'),
    summary: 'The index names safetensors and pickled shards.',
    rationale: 'Loaders choose one reader for the whole index and fail, or load half of the model.',
    hint: 'Convert the model to safetensors as a whole.',
  },
  SHARDED_INDEX_NUMBERING: {
    severity: 'warning', clause: clause('I-3.5'),
    summary: 'The numbers in the shards\' names have gaps, or disagree about how many there are.',
    rationale: 'A shard may be missing from index and folder alike; tools that count files by the name then wait for or skip one.',
    hint: 'Look for the missing shard where the model comes from.',
  },
  SHARDED_INDEX_TOO_MANY_SHARDS: {
    severity: 'error', clause: clause('I-3.6'),
    summary: 'The index names more than 10,000 shards.',
    rationale: 'Each would be opened; the largest published models have a few hundred.',
    hint: 'The index is damaged or hostile.',
  },
  SHARDED_INDEX_SHARD_MISSING: {
    severity: 'error', clause: clause('I-4.1'),
    summary: 'A shard that the index names is not there.',
    rationale: 'Some loaders leave its tensors out without a word, and the model babbles.',
    hint: 'Download the shard; several tools take an interrupted download for a complete one.',
  },
  SHARDED_INDEX_SHARD_CONTENT: {
    severity: 'error', clause: clause('I-4.2'),
    summary: 'A shard is of another format than its name says.',
    rationale: 'Loaders choose the reader by the ending: a pickle called .safetensors fails, and a safetensors file called .bin is unpickled.',
    hint: 'Rename the shard, in the folder and in the index.',
  },
  SHARDED_INDEX_TENSOR_MISSING: {
    severity: 'error', clause: clause('I-4.3'),
    summary: 'A tensor is not in the shard that the index names for it.',
    rationale: 'Loaders that look the tensor up fail; others leave it at its random start.',
    hint: saveAgain,
  },
  SHARDED_INDEX_TENSOR_TWICE: {
    severity: 'error', clause: clause('I-4.4'),
    summary: 'A tensor is in two shards.',
    rationale: 'Loaders that read whole shards keep the one that they happen to read last.',
    hint: 'Shards of two versions of a model may have been mixed: fetch all of them from one place.',
  },
  SHARDED_INDEX_TENSOR_UNMAPPED: {
    severity: 'warning', clause: clause('I-4.5'),
    summary: 'A shard holds a tensor that the index does not name.',
    rationale: 'Loaders that read whole shards use it, those that go by the index do not.',
    hint: 'Add the tensor to weight_map, or remove it from the shard.',
  },
  SHARDED_INDEX_NO_TOTAL_SIZE: {
    severity: 'info', clause: clause('I-5.1'),
    summary: 'metadata has no total_size.',
    rationale: 'It is not needed to load the model; some tools show it or plan memory by it.',
    hint: 'Add the byte length of all tensors as metadata.total_size.',
  },
  SHARDED_INDEX_TOTAL_SIZE_TYPE: {
    severity: 'warning', clause: clause('I-5.1'),
    summary: 'total_size or total_parameters is not an unsigned integer.',
    rationale: 'Old savers wrote floats; strict readers refuse them.',
    hint: 'Write it as an integer.',
  },
  SHARDED_INDEX_TOTAL_SIZE: {
    severity: 'warning', clause: clause('I-5.2'),
    summary: 'total_size is not the byte length of the tensors.',
    rationale: 'Loaders ignore it, but tools plan memory by it; and a wrong one often means that a shard was replaced. An old converter wrote the parameter count times 2.',
    hint: 'If all shards are right, write the number of bytes that was counted.',
  },
  SHARDED_INDEX_TOTAL_PARAMETERS: {
    severity: 'warning', clause: clause('I-5.3'),
    summary: 'total_parameters is not the number of elements of the tensors.',
    rationale: 'A wrong count often means that a shard was replaced.',
    hint: 'If all shards are right, write the number that was counted.',
  },
} as const satisfies CodeTable;

export type ShardedIndexCode = keyof typeof shardedIndexCodes;

export const shardedIndexDiagnostic = diagnosticFactory(shardedIndexCodes);

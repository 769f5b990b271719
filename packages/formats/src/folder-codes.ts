import { diagnosticFactory, type CodeEntry, type CodeTable, type Severity } from '@weightspec/core';

/** Codes about a folder as a whole: which model is in it, and whether configuration, weights and tokenizer fit. Clauses: specs/formats/README.md, sections 3 and 4. */
const entry = (severity: Severity, clause: string, summary: string, rationale: string, hint: string): CodeEntry => ({ severity, summary, clause: `specs/formats#${clause}`, rationale, hint });

const fetchAgain = 'Fetch the whole folder again from one place.';

export const folderCodes = {
  FOLDER_NO_MODEL: entry('error', 'F-3.1', 'No model in this folder', 'A folder without weights is often a clone without Git LFS, or a download that stopped before the large files.', 'Name the folder that holds the weight files.'),
  FOLDER_SEVERAL_MODELS: entry('error', 'F-3.2', 'Several weight files, and nothing that says which is the model', 'Taking the first by name would silently check or run another model than the one meant.', 'Name one of the files.'),
  FOLDER_OTHER_MODELS: entry('info', 'F-3.1', 'The folder holds the model in other files too', 'Loaders take the first that they look for, and not all look in the same order.', 'Name a file to check it alone.'),
  FOLDER_INDEX_MISSING: entry('error', 'F-3.3', 'Shards without an index', 'Nothing says which shard holds which tensor, or whether all are there; transformers refuses the folder.', 'Fetch the file that ends in .index.json too.'),
  FOLDER_SHARD_UNLISTED: entry('warning', 'F-3.3', 'A file named like a shard that the model does not use', 'Shards of another version may be left over; loaders that take all files of a kind (vLLM, SGLang) then mix two models.', 'Remove the file if it is not part of this model.'),
  FOLDER_SHARD_GAP: entry('error', 'F-3.4', 'A part of Meta\'s checkpoint is missing', 'Every part holds a slice of every matrix; without one no matrix is whole.', fetchAgain),
  FOLDER_SHARDS_DIFFER: entry('error', 'F-3.4', 'The parts of Meta\'s checkpoint do not join', 'Parts of two models, or one saved differently, give matrices of the wrong shape.', fetchAgain),
  FOLDER_INCOMPLETE_DOWNLOAD: entry('warning', 'F-3.5', 'Left-overs of a download that did not end', 'A tool that renames files when they are complete leaves these when it is interrupted.', 'Let the download finish, or remove the left-overs.'),
  FOLDER_CONFIG_MISSING: entry('warning', 'F-4.1', 'No configuration beside the weights', 'Tensors say what is stored, not what to compute: loaders refuse the folder, or guess.', 'Fetch config.json (Meta: params.json) too.'),
  FOLDER_CONFIG_JSON: entry('error', 'F-4.1', 'The configuration is not JSON, or is ambiguous', 'A cut file or a key that stands twice makes loaders fail or disagree.', 'Fetch the configuration again.'),
  FOLDER_CONFIG_UNCHECKED: entry('info', 'F-4.2', 'The configuration describes a model whose shapes are not known here', 'Shapes can be checked only for architectures that are known.', 'Nothing is known to be wrong; the weights were not compared with the configuration.'),
  FOLDER_CONFIG_INVALID: entry('error', 'F-4.2', 'The configuration contradicts itself', 'Heads that do not divide, or more layers than any model has, give no shapes to build.', 'Fetch the configuration again; compare it with the one that was published with these weights.'),
  FOLDER_TENSOR_MISSING: entry('error', 'F-4.3', 'A tensor that the configuration implies is not in the weights', 'Some loaders start such a weight at random, with a line in the log at most; the model then babbles.', fetchAgain),
  FOLDER_TENSOR_SHAPE: entry('error', 'F-4.3', 'A tensor has another shape than the configuration implies', 'Configuration and weights are of two models, or of two sizes of one.', 'Compare the configuration with the one that was published with these weights.'),
  FOLDER_TENSOR_UNEXPECTED: entry('warning', 'F-4.4', 'The weights hold a tensor that the configuration does not imply', 'Loaders drop it with a line in the log at most: layers may have been left out of the configuration.', 'Compare the configuration with the one that was published with these weights.'),
  FOLDER_TIED_OUTPUT: entry('warning', 'F-4.5', 'The output matrix is stored although the configuration ties it to the embedding', 'Loaders that honour the tie ignore it, others use it: where the two differ there are two models in one folder.', 'Remove lm_head.weight, or set tie_word_embeddings to false if the two differ.'),
  FOLDER_DTYPE: entry('info', 'F-4.6', 'The weights are of another type than the configuration says', 'Loaders convert to the configured type, which rounds or takes twice the memory.', 'Nothing to do if the weights were converted on purpose.'),
  FOLDER_TOKENIZER_SIZE: entry('error', 'F-4.7', 'The tokenizer has ids that the embedding has no row for', 'Such a token reads outside the matrix: an index error at best.', 'Fetch tokenizer and weights from one place; after adding tokens the embedding has to be resized.'),
  FOLDER_TOKENIZER_UNREADABLE: entry('warning', 'F-4.7', 'The tokenizer file cannot be read', 'A cut file, a Git LFS pointer or a page in its place: text cannot be turned into ids.', 'Fetch the tokenizer again.'),
} as const satisfies CodeTable;

export type FolderCode = keyof typeof folderCodes;

export const folderDiagnostic = diagnosticFactory(folderCodes);

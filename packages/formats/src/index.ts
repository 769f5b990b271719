/** The list of weight-file formats, and what can be done with a file before its format is known: detect, open, validate; and the model in a folder. */
export * from './list.js';
export * from './codes.js';
export * from './imposters.js';
export * from './detect.js';
export * from './open.js';
export * from './validate.js';
export * from './folder-codes.js';
export { chooseModel, isModelFolder, type FolderChoice, type FolderFile, type FolderModel } from './folder-model.js';
export * from './folder.js';
export * from './remote.js';
export { checkAgainstConfig, type Preflight } from './preflight.js';
export { readVocabulary, vocabularyNames, type Vocabulary, type VocabularyResult } from './vocabulary.js';
export * from './numbers.js';
export { fieldMap, type Field, type FieldMap } from './fields/index.js';

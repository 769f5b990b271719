/** Readings of each format that share no code with the production readers, and what tests need around them. */
export * from './shared-data.js';
export { readWithKaitai, resolveVariantKaitai } from './llama2c.kaitai.js';
export { readTokenizerWithKaitai, tokenizerGenerations, type Llama2cTokenizerGeneration, type TokenizerReading } from './llama2c-tokenizer.kaitai.js';
export { readWithBinaryParser } from './llama2c.binary-parser.js';
export { generateLlama2c, mutate, seededRandom, type Llama2cRecipe } from './generate-llama2c.js';
export { generateLlama2cTokenizer } from './generate-llama2c-tokenizer.js';
export { llama2cVariants, type Llama2cHeader, type Llama2cReading, type Llama2cVariant, type TensorPlace } from './reading.js';
export { readGgmlQwenWithKaitai } from './ggml-qwen.kaitai.js';
export { readGgmlQwenWithBinaryParser } from './ggml-qwen.binary-parser.js';
export { generateGgmlQwen, mutateGgmlQwen, planGgmlQwen, writeSparseGgmlQwen, type GgmlQwenPlan, type GgmlQwenRecipe, type GgmlQwenRecord } from './generate-ggml-qwen.js';
export { ggmlQwenFields, type GgmlQwenHeader, type GgmlQwenReading, type GgmlQwenTensor } from './ggml-qwen.reading.js';
export { damageSafetensors, generateSafetensors } from './generate-safetensors.js';
export { readSafetensorsWithKaitai, type SafetensorsPlace, type SafetensorsReading } from './safetensors.kaitai.js';
export { damagePickle, damageTorchArchive, generateTorch, type GeneratedTorch, type TorchRecipe } from './generate-torch-checkpoint.js';
export { readTorch, readTorchContainer, type TorchZipOracle } from './torch-checkpoint.oracle.js';
export { type TorchContainerReading, type TorchMember, type TorchReading, type TorchTensorPlace } from './torch-checkpoint.reading.js';

/** Formats that another program may leave out of its list, and what the writers, codecs and vocabularies refuse. */
import { fixture as valid } from './contents.js';
import type { Situation } from './situation.js';

/** This project reads these formats; whoever opens files with some formats only is told what a file of another one is. */
const foreign = (code: string, bytes: string): Situation => ({ code, program: `
import { formats, open } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
const bytes = ${bytes};
// A program that reads some of the formats only.
const { diagnostics } = await open(memorySource(bytes, 'model.bin'), formats.filter(({ id }) => id === 'llama2c'));` });

const writing = (code: string, how: string): Situation => ({ code, program: `
import { dtype } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { writeSafetensors } from '@weightspec/safetensors';
const tensor = { name: 'a', dtype: dtype('U8'), shape: [1], location: { source: memorySource(Uint8Array.of(7)), offset: 0, length: 1 } };
${how}` });

const quantizing = (code: string, codec: string, value: string): Situation => ({ code, program: `
import { codecs, quantizeChecked } from '@weightspec/codecs';
const weights = new Float32Array(32).fill(1);
weights[5] = ${value};
quantizeChecked(codecs.${codec}, weights, { tensor: 'lm_head.weight', source: 'model.bin' });` });

const llama2c = (code: string, file: string, options: string): Situation => ({ code, program: `
import { readFile } from 'node:fs/promises';
import { memorySink, memorySource } from '@weightspec/io';
import { llama2c, writeLlama2c } from '@weightspec/llama2c';
const { checkpoint } = await llama2c.read(memorySource(await readFile('model.bin'), 'model.bin'));
await writeLlama2c(${file}, memorySink(), ${options});` });

const ranks = (code: string, text: string): Situation => ({ code, program: `
import { parseTiktokenRanks } from '@weightspec/tokenizers';
const allBytes = Array.from({ length: 256 }, (_, byte) => \`\${btoa(String.fromCharCode(byte))} \${byte}\\n\`).join('');
const { diagnostics } = parseTiktokenRanks(new TextEncoder().encode(${text}), 'qwen.tiktoken');` });

export const readers: readonly Situation[] = [
  foreign('FORMAT_GGML_QWEN', "new TextEncoder().encode('ggml\\u0001\\0\\0\\0')"),
  foreign('FORMAT_SAFETENSORS', "new TextEncoder().encode('\\u0008\\0\\0\\0\\0\\0\\0\\0{\"a\":1} ')"),
  foreign('FORMAT_ZIP', 'Uint8Array.of(0x50, 0x4b, 0x03, 0x04, 0, 0, 0, 0)'),
  foreign('FORMAT_PICKLE', "Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e)"),
  { code: 'FORMAT_AMBIGUOUS', program: `
import { open } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { safetensors } from '@weightspec/safetensors';
// A format of your own that claims the same bytes; those of this project do not overlap.
const mine = { ...safetensors, id: 'mine', title: 'mine' };
const bytes = new TextEncoder().encode('\\u0002\\0\\0\\0\\0\\0\\0\\0{}');
const { diagnostics } = await open(memorySource(bytes, 'model.safetensors'), [safetensors, mine]);` },
  writing('SAFETENSORS_WRITE_NAME', 'await writeSafetensors([tensor, tensor], memorySink());'),
  writing('SAFETENSORS_WRITE_TENSOR', "await writeSafetensors([{ ...tensor, dtype: dtype('Q4_0'), shape: [32] }], memorySink());"),
  writing('SAFETENSORS_WRITE_METADATA', 'await writeSafetensors([tensor], memorySink(), { metadata: { epoch: 3 } });'),
  writing('SAFETENSORS_WRITE_HEADER_TOO_LARGE', 'const many = Array.from({ length: 262_145 }, (_, index) => ({ ...tensor, name: String(index) }));\nawait writeSafetensors(many, memorySink());'),
  { code: 'TORCH_WRITE_TENSOR', program: `
import { dtype } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { writeTorch } from '@weightspec/torch-checkpoint';
const tensor = { name: 'a', dtype: dtype('Q4_0'), shape: [32], location: { source: memorySource(new Uint8Array(18)), offset: 0, length: 18 } };
await writeTorch([tensor], memorySink(), { flavor: 'torch-2' });` },
  { ...llama2c('LLAMA2C_WRITE_GROUP_SIZE', 'checkpoint', "{ variant: 'v2', groupSize: 3 }"), files: { 'model.bin': valid('llama2c/valid/v1-fp32-shared.bin') } },
  { ...llama2c('LLAMA2C_WRITE_UNTIED', 'checkpoint', "{ variant: 'v1-int8' }"), files: { 'model.bin': valid('llama2c/valid/v1-fp32-unshared.bin') } },
  { ...llama2c('LLAMA2C_WRITE_TENSOR', '{ ...checkpoint, tensors: checkpoint.tensors.slice(1) }', "{ variant: 'v1-fp32' }"), files: { 'model.bin': valid('llama2c/valid/v1-fp32-shared.bin') } },
  ranks('TIKTOKEN_EMPTY', "''"),
  ranks('TIKTOKEN_LINE', "allBytes + 'aGU=\\n'"),
  ranks('TIKTOKEN_BASE64', "allBytes + 'aGU 256\\n'"),
  ranks('TIKTOKEN_RANK', "allBytes + 'aGU= 257\\n'"),
  ranks('TIKTOKEN_DUPLICATE', "allBytes + 'YQ== 256\\n'"),
  ranks('TIKTOKEN_BYTES', "'YQ== 0\\n'"),
  { code: 'TIKTOKEN_TOO_LARGE', program: `
import { readTiktokenRanks } from '@weightspec/tokenizers';
const source = { name: 'qwen.tiktoken', size: 2 ** 24 + 1, read: async () => new Uint8Array(0) };
const { diagnostics } = await readTiktokenRanks(source);` },
  quantizing('CODEC_NON_FINITE_INPUT', 'q8_0', 'NaN'),
  quantizing('CODEC_SCALE_OVERFLOW', 'q4_0', '1e6'),
  quantizing('CODEC_MINIMUM_OVERFLOW', 'q4_1', '-65520'),
  quantizing('CODEC_RANGE_OVERFLOW', 'q4_1', '3e38;\nweights[6] = -3e38'),
  quantizing('CODEC_VALUE_OVERFLOW', 'f16', '65520'),
];

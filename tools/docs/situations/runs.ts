/** Running models: what a model, a backend, a vocabulary or a command line lacks. */
import { configOf, fixture, llamaShapes, safetensorsOf, stored, withoutName, type Contents } from './contents.js';
import type { Situation } from './situation.js';

const sizes = { dim: 8, hidden: 12, kv: 4, vocab: 5 };
const shapes = llamaShapes(sizes);
const weights = safetensorsOf(stored(shapes), 'a Llama of one layer');
const story = fixture('llama2c/valid/v0-gqa.bin');
const addition = { 'model/model.safetensors': fixture('golden/addition/model.safetensors'), 'model/config.json': fixture('golden/addition/config.json') };
const words = fixture('golden/addition/tokenizer.bin');
const asNaN: Contents = { bytes: story.bytes.map((byte, at) => (at >= 28 ? 0xff : byte)), about: `${story.about}, with NaN in the place of its weights` };
const index = JSON.stringify({ metadata: { total_size: 9 }, weight_map: { a: 'model-00001-of-00001.safetensors' } });
const one = safetensorsOf([{ name: 'a', shape: [2] }]);

const command = (code: string, line: string, files: Situation['files'] = {}, varies?: RegExp): Situation => ({ code, files, command: line, ...(varies ? { varies } : {}) });

/** A program of a model that a backend is to compile, with something wrong in it. */
const compiling = (code: string, change: string): Situation => ({ code, files: { 'model.bin': story }, program: `
import { fileSource } from '@weightspec/io/node';
import { referenceBackend } from '@weightspec/kernels';
import { llama2c } from '@weightspec/llama2c';
import { modelOf } from '@weightspec/models';
const source = await fileSource('model.bin');
const { checkpoint } = await llama2c.read(source);
const { program, weights } = modelOf(checkpoint);
const changed = new Map(weights);
try {
  ${change}
} finally {
  await source.close();
}` });

const vocabulary = (code: string, scores: string, text: string): Situation => ({ code, program: `
import { createScoreBpeTokenizer } from '@weightspec/tokenizers';
const pieces = ['<unk>', '<s>', '</s>', ' ', 'a'].map((piece) => new TextEncoder().encode(piece));
createScoreBpeTokenizer({ pieces${scores} }).encode('${text}');` });

const serving = (code: string, port: number): Situation => ({ code, program: `
import { servePage } from '@weightspec/cli';
const terminal = { stdout: process.stdout, stderr: process.stderr, env: {} };
await servePage({ port: ${port}, folder: 'page', signal: new AbortController().signal }, terminal);` });

export const runs: readonly Situation[] = [
  command('MODEL_UNKNOWN_FORMAT', 'run model.safetensors --tokens 1 --print-ids', { 'model.safetensors': weights }),
  command('MODEL_CONFIG', 'run model --tokens 1 --print-ids --backend reference', { 'model/model.safetensors': weights, 'model/config.json': configOf(sizes, 2, 1, { rms_norm_eps: undefined }) }),
  command('MODEL_WEIGHTS', 'run model.safetensors --tokens 1 --print-ids --backend reference', { 'model.safetensors': safetensorsOf(stored(withoutName(shapes, 'model.norm.weight')), 'a Llama of one layer without model.norm.weight'), 'config.json': configOf(sizes, 2, 1) }),
  compiling('PROGRAM_INVALID', "await referenceBackend.compile({ ...program, logits: 'nothing' }, weights);"),
  { code: 'OP_UNSUPPORTED', files: { 'model.bin': story }, program: `
import { loadModel } from '@weightspec/engine';
import { fileSource } from '@weightspec/io/node';
import { referenceBackend } from '@weightspec/kernels';
import { llama2c } from '@weightspec/llama2c';
const source = await fileSource('model.bin');
const { checkpoint } = await llama2c.read(source);
const backend = { ...referenceBackend, id: 'mine', supports: (op) => op !== 'swiglu' };
try {
  await loadModel(checkpoint, { backend });
} finally {
  await source.close();
}` },
  compiling('WEIGHT_MISSING', "changed.delete(program.weights[0].name);\n  await referenceBackend.compile(program, changed);"),
  compiling('WEIGHT_INVALID', "const [name, handle] = [...weights][0];\n  changed.set(name, { ...handle, shape: [1, 1] });\n  await referenceBackend.compile(program, changed);"),
  compiling('STORAGE_UNSUPPORTED', "const [name, handle] = [...weights][0];\n  changed.set(name, { ...handle, storage: 'IQ2_XXS' });\n  await referenceBackend.compile(program, changed);"),
  { code: 'BACKEND_UNAVAILABLE', program: `
import { openBackend } from '@weightspec/backend-webgpu';
// A machine without a graphics card and its driver.
await openBackend({ gpu: { requestAdapter: async () => null } });` },
  { code: 'BACKEND_FAILED', varies: /\d+(?= in use)/, program: `
import { openBackend } from '@weightspec/backend-wasm';
const program = {
  architecture: 'mine', vocabSize: 4, maxSeqLen: 4, layers: 1, kvWidth: 4,
  buffers: [{ name: 'x', width: 4 }, { name: 'y', width: 2 ** 30 }],
  weights: [],
  ops: [{ op: 'add', a: 'x', b: 'x', out: 'x' }],
  logits: 'x',
};
// A buffer of 4 GiB a token.
const executable = await (await openBackend({ threads: 1 })).compile(program, new Map());
await executable.run([1], 0);` },
  command('LOGITS_NOT_FINITE', 'run model.bin --tokens 1 --print-ids --backend reference', { 'model.bin': asNaN }),
  vocabulary('TOKENIZER_NO_SCORES', '', 'a'),
  vocabulary('TOKENIZER_NO_BYTE_TOKEN', ', scores: new Float32Array(5)', 'b'),
  command('CLI_NO_MODEL', 'inspect folder', { 'folder/README.md': '# words\n' }),
  command('CLI_SEVERAL_MODELS', 'inspect folder', { 'folder/a.bin': story, 'folder/b.bin': story }),
  command('CLI_NO_TOKENIZER', "run model.bin -p 'Once upon a time' --backend reference", { 'model.bin': story }),
  command('CLI_BAD_TOKENIZER', "run model.bin --tokenizer model.bin -p 'Once upon a time' --backend reference", { 'model.bin': story }),
  command('CLI_TOKENIZER_MISMATCH', "run model.bin --tokenizer tokenizer.bin -p 'Once upon a time' --backend reference", { 'model.bin': story, 'tokenizer.bin': words }),
  command('CLI_BAD_TOKEN', 'run model.bin --tokens 1,99999 --print-ids --backend reference', { 'model.bin': story }),
  command('CLI_TOO_LONG', `run model.bin --tokens ${Array.from({ length: 8 }, () => 1).join(',')} --print-ids --backend reference`, { 'model.bin': story }),
  command('CLI_EMPTY_PROMPT', "calibrate model --text empty.txt --out inputs_stats.pth --backend reference", { ...addition, 'model/tokenizer.bin': words, 'empty.txt': '' }),
  command('CLI_NO_CHAT', "run model -p 'Hello' --chat --backend reference", { ...addition, 'model/tokenizer.bin': words }),
  command('CLI_BAD_CONFIG', 'run model.safetensors --tokens 1 --print-ids --backend reference', { 'model.safetensors': weights, 'config.json': '{"hidden_size": 8,' }, /(?<=is not JSON: ).*/),
  command('CLI_BAD_TRACE', 'logits model.bin --tokens 1,2 --trace other.safetensors --backend reference', { 'model.bin': story, 'other.safetensors': one }),
  command('CLI_BAD_GOLDEN', 'logits model.bin --golden golden --backend reference', { 'model.bin': story, 'golden/README.md': '# words\n' }),
  command('CLI_NEEDS_FOLDER', 'convert model.bin model.safetensors --to safetensors --shard-size 1kB', { 'model.bin': story }),
  serving('CLI_NO_PAGE', 0),
  { ...serving('CLI_PORT_TAKEN', 8000), files: { 'page/index.html': '<!doctype html>' }, serve: { about: 'another program’s server', answer: () => undefined } },
  command('CLI_NOTHING_TO_REPAIR', 'repair model.bin repaired.bin', { 'model.bin': story }),
  command('CLI_NOT_REPAIRABLE', 'repair model.bin repaired.bin', { 'model.bin': { bytes: story.bytes.subarray(0, -1), about: `${story.about} without its last byte` } }),
  command('CLI_REPAIR_ELSEWHERE', 'repair model/model.safetensors.index.json other/model.safetensors.index.json', { 'model/model.safetensors.index.json': index, 'model/model-00001-of-00001.safetensors': one, 'other/readme.txt': 'x' }),
  command('CLI_UNKNOWN_CODE', 'explain LLAMA2C_BAD_MAGICK'),
];

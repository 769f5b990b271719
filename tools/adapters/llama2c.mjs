// Lets `weightspec conform` test karpathy/llama2.c: run.c on v0 files, runq.c on v2 files, and their tokenizer.
//
//   weightspec conform models tokenizers --adapter 'node tools/adapters/llama2c.mjs SOURCE_FOLDER'
//
// SOURCE_FOLDER has run.c and runq.c. They are compiled with cc (or $CC) as they are, behind llama2c-driver.c, into a temporary folder.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [source] = process.argv.slice(2);
if (source === undefined || !existsSync(join(source, 'run.c'))) {
  console.error('name the folder of llama2.c that has run.c and runq.c');
  process.exit(2);
}
const built = mkdtempSync(join(tmpdir(), 'weightspec-llama2c-'));
process.on('exit', () => rmSync(built, { recursive: true, force: true }));

/** Compiles the driver around `file`. -O3 as in upstream's Makefile; without -ffast-math, so that sums keep their order. */
function compile(file) {
  const program = join(built, file.replace('.c', ''));
  execFileSync(process.env.CC ?? 'cc', ['-O3', `-DLLAMA2C_SOURCE="${resolve(source, file)}"`, '-o', program, fileURLToPath(new URL('llama2c-driver.c', import.meta.url)), '-lm'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return program;
}
const programs = { v0: compile('run.c'), v2: compile('runq.c') };

function run(program, args) {
  const { status, signal, stdout, stderr } = spawnSync(program, args.map(String), { maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${signal ?? `exit code ${status}`} ${stderr.toString()}`.trim());
  return stdout;
}

/** Records of a tokenizer.bin: u32 longest, then f32 score, u32 length, bytes. run.c has to be told how many there are. */
function vocabularySize(file) {
  const bytes = readFileSync(file);
  let count = 0;
  for (let at = 4; at + 8 <= bytes.length; at += 8 + bytes.readUInt32LE(at + 4)) count += 1;
  return count;
}

let model;
const methods = {
  hello: () => ({ name: 'llama2.c', methods: ['load', 'logits', 'tokenize', 'detokenize'], int8Activations: ['llama2c-q8'] }),
  load({ format, variant, file }) {
    const program = format === 'llama2c' ? programs[variant] : undefined;
    if (!program) throw { unsupported: `llama2.c reads llama2c v0 (run.c) and v2 (runq.c), not ${format} ${variant}` };
    model = { program, file };
    return {};
  },
  logits: ({ tokens }) => ({ f32: run(model.program, ['logits', model.file, ...tokens]).toString('base64') }),
  tokenize({ vocabulary: { file, kind }, text }) {
    if (kind !== 'llama2c') throw { unsupported: `llama2.c reads its own tokenizer.bin, not the vocabulary of ${kind}` };
    // encode() looks at an empty text as at no text: BOS alone.
    return { ids: run(programs.v0, ['encode', file, vocabularySize(file), text]).toString().trim().split('\n').map(Number) };
  },
  detokenize: ({ vocabulary: { file }, ids }) => ({ text: run(programs.v0, ['decode', file, vocabularySize(file), ...ids]).toString() }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  let answer;
  try {
    answer = methods[method] ? { result: methods[method](params) } : { unsupported: `no method ${method}` };
  } catch (error) {
    answer = error instanceof Error ? { error: error.message } : error;
  }
  process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
}

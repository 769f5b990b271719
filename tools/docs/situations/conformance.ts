/** Engines that do not conform, each a program of a few lines that answers the suite by its protocol. */
import type { Situation } from './situation.js';

/** Answers `hello` with `methods`, and everything else with what `answer` is: an expression over id, method and params. */
const adapter = (methods: string, answer: string): string => `import { createInterface } from 'node:readline';
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  const hello = { id, result: { name: 'mine', methods: [${methods}] } };
  console.log(JSON.stringify(method === 'hello' ? hello : ${answer}));
}
`;

const engine = (code: string, cases: string, methods: string, answer: string, options = ''): Situation => ({ code, files: { 'adapter.mjs': adapter(methods, answer) }, command: `conform ${cases} --adapter 'node adapter.mjs'${options}` });

const q8 = 'codecs/q8_0/dequantize/an-ordinary-scale';

export const conformance: readonly Situation[] = [
  engine('CONFORM_VERDICT', 'formats/llama2c/invalid/ak42-version-3', "'validate'", "{ id, result: { verdict: 'valid' } }"),
  engine('CONFORM_DIAGNOSTICS', 'formats/llama2c/invalid/ak42-version-3', "'validate'", "{ id, result: { verdict: 'invalid', diagnostics: [{ code: 'LLAMA2C_BAD_MAGIC', severity: 'error' }] } }"),
  engine('CONFORM_BITS', q8, "'dequantize'", '{ id, result: { values: new Array(32).fill(0) } }'),
  engine('CONFORM_BOUND', 'ops/add/two-rows', "'op'", '{ id, result: { values: new Array(params.rows.a.shape[0] * params.rows.a.shape[1]).fill(0) } }'),
  engine('CONFORM_LOGITS', 'models/llama-tiny/llama2c-v0/prompt-0', "'load', 'logits'", "{ id, result: method === 'load' ? {} : { values: params.tokens.map(() => new Array(64).fill(9)) } }"),
  engine('CONFORM_GREEDY', 'models/addition/prompt-10', "'load', 'logits'", "{ id, result: method === 'load' ? {} : { values: params.tokens.map(() => new Array(272).fill(0)) } }"),
  { code: 'CONFORM_TRACE', program: `
import { adapterSubject, runConformance, weightspecSubject } from '@weightspec/conformance';
import { packagedCases } from '@weightspec/conformance/node';
import { memorySource } from '@weightspec/io';
import { referenceBackend } from '@weightspec/kernels';
// A backend that leaves RoPE's angles at those of the first position.
const compile = (program, weights, options) => referenceBackend.compile({ ...program, ops: program.ops.map((op) => (op.op === 'rope' ? { ...op, theta: 1e30 } : op)) }, weights, options);
const openFile = async (file) => memorySource(await file.bytes(), file.path);
const subject = weightspecSubject({ backend: { ...referenceBackend, compile }, version: '1', openFile });
const { results } = await runConformance({ ...packagedCases(), subject, patterns: ['models/llama-tiny/llama2c-v0/trace'] });` },
  engine('CONFORM_TOKENS', 'tokenizers/llama2c/decode-0', "'detokenize'", "{ id, result: { text: 'something else' } }"),
  engine('CONFORM_BYTES', 'roundtrip/ggml-qwen/f16', "'roundtrip'", "{ id, result: { bytes: 'Z2dtbA==' } }"),
  engine('CONFORM_SHAPE', q8, "'dequantize'", '{ id, result: { values: [0] } }'),
  engine('CONFORM_ERROR', q8, "'dequantize'", "{ id, error: 'out of memory' }"),
  { code: 'CONFORM_STALE_DATA', program: `
import { runConformance, weightspecSubject } from '@weightspec/conformance';
import { packagedCases } from '@weightspec/conformance/node';
import { referenceBackend } from '@weightspec/kernels';
const { list, store } = packagedCases();
// An installation in which one file was edited.
const edited = { ...store, read: async (path) => (await store.read(path)).slice(1) };
const subject = weightspecSubject({ backend: referenceBackend, version: '1', openFile: async () => undefined });
const { results } = await runConformance({ list, store: edited, subject, patterns: ['${q8}'] });` },
  { code: 'CONFORM_NO_CASE', command: 'conform models/nothing' },
  { code: 'CONFORM_BAD_EXPECTATIONS', files: { 'known.json': '{"expectations": [{"id": "models/*", "expect": "pass", "reason": "it works"}]}' }, command: 'conform codecs --expectations known.json' },
  { code: 'ADAPTER_START', command: "conform codecs --adapter 'exit 4'" },
  engine('ADAPTER_TIMEOUT', q8, "'dequantize'", 'await new Promise((later) => setTimeout(later, 60_000))', ' --timeout 1'),
  engine('ADAPTER_CRASH', q8, "'dequantize'", "process.exit(3)"),
  engine('ADAPTER_GARBAGE', q8, "'dequantize'", "'ready'"),
];

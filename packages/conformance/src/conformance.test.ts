import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { referenceBackend } from '@weightspec/kernels';
import { assemble } from '../../../fixtures/conformance/assemble.js';
import { describeConformance, packagedCases } from './node/index.js';
import { conformanceCodes, conforms, ConformanceError, junitReport, matches, memoryStore, parseExpectations, runConformance, selectCases, suiteNames, Unsupported, weightspecSubject, type Case, type CaseList, type ConformanceReport, type RunOptions, type Subject } from './index.js';

const assembled = assemble();
const list = JSON.parse(new TextDecoder().decode(assembled.list)) as CaseList;
const store = memoryStore(assembled.files);
const own = weightspecSubject({ backend: referenceBackend });
const run = (options: Partial<RunOptions> = {}): Promise<ConformanceReport> => runConformance({ list, store, subject: own, ...options });
const schemaFor = (name: string) => new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true, allowUnionTypes: true }).compile(JSON.parse(readFileSync(new URL(`../schema/${name}.schema.json`, import.meta.url), 'utf8')) as object);

describe('the list of cases', () => {
  it('is described by its schema', () => {
    const validate = schemaFor('cases');
    expect(validate(list) ? [] : validate.errors).toEqual([]);
  });
  it('has cases of every suite, under distinct names that selections find', () => {
    for (const suite of suiteNames) expect(list.cases.filter((one) => one.suite === suite).length).toBeGreaterThan(30);
    expect(new Set(list.cases.map(({ id }) => id)).size).toBe(list.cases.length);
    expect(list.cases.every(({ id, suite }) => id.startsWith(`${suite}/`) && matches(id, id))).toBe(true);
  });
  it('covers every op, every dtype with a codec, every container and every verdict', () => {
    const ids = list.cases.map(({ id }) => id);
    for (const op of ['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add']) expect(ids.some((id) => id.startsWith(`ops/${op}/`))).toBe(true);
    for (const type of ['f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0']) {
      expect(ids).toContain(`ops/embed/${type}`);
      for (const kind of ['dequantize', 'quantize']) expect(ids.some((id) => id.startsWith(`codecs/${type}/${kind}/`))).toBe(true);
    }
    for (const type of ['f32', 'f16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0']) for (const prompt of [0, 1, 2, 3]) expect(ids).toContain(`models/qwen1-tiny/${type}/prompt-${prompt}`);
    for (const variant of ['llama2c-v0', 'llama2c-v1-fp32', 'llama2c-v1-int8', 'llama2c-v2', 'llama2c-v2-contiguous', 'safetensors-f16', 'torch-meta-bf16', 'torch-hf-f16']) expect(ids).toContain(`models/llama-tiny/${variant}/prompt-0`);
    const verdicts = list.cases.flatMap((one) => (one.suite === 'formats' ? [one.expected.verdict] : []));
    expect(new Set(verdicts)).toEqual(new Set(['valid', 'warnings', 'invalid']));
  });
  it('names every file that its cases need', () => {
    const named = JSON.stringify(list.cases).match(/"[\w.-]+(?:\/[\w.-]+)+\.(?:bin|json|f64|safetensors|pth|pt|ckpt|tiktoken)"/g) ?? [];
    expect(named.length).toBeGreaterThan(list.cases.length);
    for (const path of new Set(named)) expect(Object.keys(list.files)).toContain(JSON.parse(path));
  });
  it('packs into less than 3 MB with its files', () => {
    expect(gzipSync(Buffer.concat([assembled.list, ...assembled.files.values()])).length).toBeLessThan(3_000_000);
  });
  it('is what was built into the package', () => {
    expect(packagedCases().list).toEqual(list);
  });
});

describe('this project on the reference backend', () => {
  it('passes every case of every suite, and skips none', { timeout: 120_000 }, async () => {
    const report = await run();
    expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([]);
    expect(report.results).toHaveLength(list.cases.length);
    expect(conforms(report)).toBe(true);
    const validate = schemaFor('report');
    expect(validate(JSON.parse(JSON.stringify(report))) ? [] : validate.errors).toEqual([]);
  });
});

// The suite as a user has it in a test runner.
describeConformance({ describe, it }, referenceBackend, { patterns: ['ops/rope', 'models/qwen1-tiny/q4_0'] });

describe('selecting', () => {
  const select = (...patterns: string[]) => selectCases(list.cases, patterns).map(({ id }) => id);
  it('takes a suite, an id, a prefix that ends at a slash, and patterns', () => {
    expect(select('ops')).toEqual(list.cases.filter(({ suite }) => suite === 'ops').map(({ id }) => id));
    expect(select('models/qwen1-tiny/q4_0/prompt-3')).toEqual(['models/qwen1-tiny/q4_0/prompt-3']);
    expect(select('models/qwen1-tiny/')).toHaveLength(30);
    expect(select('models/*/prompt-3').every((id) => id.endsWith('prompt-3'))).toBe(true);
    expect(select('*/q4_0/prompt-*')).toHaveLength(4);
  });
  it('takes no pattern for a regular expression, and no prefix that ends inside a name', () => {
    expect(matches('codecs/q4_0', 'codecs/q4.0')).toBe(false);
    expect(matches('models/qwen1-tiny/q4_0', 'models/qwen1')).toBe(false);
  });
  it('refuses a pattern that means nothing (CONFORM_NO_CASE)', () => {
    expect(() => select('models/nothing')).toThrow(expect.objectContaining({ code: 'CONFORM_NO_CASE' }) as Error);
  });
  it.each([1, 2, 3, 7])('cuts into %i shards that have every case once', (count) => {
    const shards = Array.from({ length: count }, (_, i) => selectCases(list.cases, [], { index: i + 1, count }).map(({ id }) => id));
    expect(shards.flat().toSorted()).toEqual(list.cases.map(({ id }) => id).toSorted());
    expect(Math.max(...shards.map(({ length }) => length)) - Math.min(...shards.map(({ length }) => length))).toBeLessThanOrEqual(1);
  });
});

describe('results', () => {
  const wrong: Subject = { name: 'wrong', dequantize: async ({ bytes }) => new Float32Array(bytes.length), encode: () => Promise.reject(new Error('out of order')) };
  const patterns = ['codecs/q4_0/dequantize/scale-zero', 'codecs/q4_0/dequantize/an-ordinary-scale', 'codecs/q8_0/quantize/zeros', 'tokenizers/qwen/encode-0', 'roundtrip/llama2c/v0-shared'];
  const byId = (report: ConformanceReport) => Object.fromEntries(report.results.map(({ id, status, code }) => [id, code ?? status]));

  it('tell wrong answers, errors and what is not supported apart', async () => {
    const report = await run({ subject: wrong, patterns });
    expect(byId(report)).toEqual({
      'codecs/q4_0/dequantize/an-ordinary-scale': 'CONFORM_SHAPE',
      'codecs/q4_0/dequantize/scale-zero': 'CONFORM_SHAPE',
      'codecs/q8_0/quantize/zeros': 'skipped',
      'roundtrip/llama2c/v0-shared': 'skipped',
      'tokenizers/qwen/encode-0': 'CONFORM_ERROR',
    });
    expect(report.skips).toEqual([{ suite: 'codecs', reason: 'it does not encode blocks', count: 1 }, { suite: 'roundtrip', reason: 'it does not write files', count: 1 }]);
    expect(conforms(report)).toBe(false);
  });
  it('count known failures apart, report those that pass, and name those that mean nothing', async () => {
    const knownFailures = parseExpectations('{"expectations": [{"id": "codecs/q4_0/*", "expect": "fail", "reason": "no blocks yet"}, {"id": "tokenizers", "expect": "skip", "reason": "no words"}, {"id": "models/x", "expect": "fail", "reason": "old"}]}');
    const failing = await run({ subject: wrong, patterns, knownFailures });
    expect(byId(failing)).toMatchObject({ 'tokenizers/qwen/encode-0': 'skipped' });
    expect(failing.summary).toEqual({ passed: 0, failed: 0, skipped: 3, 'expected-failure': 2, 'unexpected-pass': 0 });
    expect(failing.unusedExpectations).toEqual(['models/x']);
    expect(conforms(failing)).toBe(true);
    const passing = await run({ patterns, knownFailures });
    expect(passing.summary['unexpected-pass']).toBe(2);
    expect(conforms(passing)).toBe(false);
  });
  it.each([['[]', 'no list'], ['{', 'not JSON'], ['{"expectations": [{"id": "a", "expect": "pass", "reason": "x"}]}', 'expects "pass"'], ['{"expectations": [{"id": "a", "expect": "fail", "reason": " "}]}', 'no reason'], ['{"expectations": [{}]}', 'no id']])('refuse %s (CONFORM_BAD_EXPECTATIONS)', (text, why) => {
    expect(() => parseExpectations(text)).toThrow(expect.objectContaining({ code: 'CONFORM_BAD_EXPECTATIONS', message: expect.stringContaining(why) as string }) as Error);
  });
  it('are no results where the data are not those of the list (CONFORM_STALE_DATA), whatever is known', async () => {
    const path = 'golden/codecs/q4_0.json';
    const bytes = assembled.files.get(path)!;
    const knownFailures = [{ id: 'codecs', expect: 'fail', reason: 'known' }] as const;
    for (const changed of [bytes.map((byte, i) => (i === 300 ? byte ^ 1 : byte)), bytes.slice(1), undefined]) {
      const files = new Map([...assembled.files].flatMap(([name, own_]) => (name === path ? (changed ? [[name, changed] as const] : []) : [[name, own_] as const])));
      const report = await run({ store: memoryStore(files), patterns: ['codecs/q4_0/dequantize/scale-zero'], knownFailures });
      expect(byId(report)).toEqual({ 'codecs/q4_0/dequantize/scale-zero': 'CONFORM_STALE_DATA' });
    }
  });
  it('go out as JUnit with failures, skips and reasons', async () => {
    const xml = junitReport(await run({ subject: { ...wrong, name: 'a <wrong> "one"\u0001' }, patterns }));
    expect(xml).toContain('<testsuites name="weightspec conform: a &lt;wrong&gt; &quot;one&quot;\ufffd" tests="5" failures="3" errors="0" skipped="2"');
    expect(xml).toContain('<failure type="CONFORM_SHAPE" message="');
    expect(xml).toContain('<skipped message="it does not write files"/>');
    expect(xml.match(/<testcase /g)).toHaveLength(5);
  });
  it('stop when the signal is aborted', async () => {
    await expect(run({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('tolerances', () => {
  const only = (id: string): Case => list.cases.find((one) => one.id === id)!;
  const golden = (id: string): { rows: Float64Array; absolute: number; added: number } => {
    const one = only(id);
    if (one.suite !== 'models' || !('logits' in one.expected) || !one.expected.logits) throw new Error(id);
    const { file, firstRow, rows, vocabSize } = one.expected.logits;
    const bytes = assembled.files.get(file)!;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return { rows: Float64Array.from({ length: rows * vocabSize }, (_, i) => view.getFloat64(8 * (firstRow * vocabSize + i), true)), absolute: one.tolerance!.absolute!, added: one.tolerance!.int8Activations!.absolute };
  };
  const id = 'models/qwen1-tiny/q4_0/prompt-3';
  /** An engine whose logits are off by `by`. */
  const off = (by: number, int8: boolean): Subject => {
    const rows = Float32Array.from(golden(id).rows, (value) => value + by);
    return { name: 'off', int8Activations: () => int8, load: async () => ({ logits: async () => rows, close: async () => {} }) };
  };
  const codeOf = async (subject: Subject) => (await run({ subject, patterns: [id] })).results[0]?.code;
  it('are kept to, from both sides', async () => {
    const { absolute } = golden(id);
    expect(await codeOf(off(0.9 * absolute, false))).toBeUndefined();
    expect(await codeOf(off(1.1 * absolute, false))).toBe('CONFORM_LOGITS');
    expect(await codeOf(off(Number.NaN, false))).toBe('CONFORM_LOGITS');
  });
  it('grow for engines that say they round activations to int8, by what the case adds and no more', async () => {
    const { absolute, added } = golden(id);
    expect(await codeOf(off(0.9 * added, false))).toBe('CONFORM_LOGITS');
    expect(await codeOf(off(0.9 * (added + absolute), true))).toBeUndefined();
    expect(await codeOf(off(1.1 * (added + absolute), true))).toBe('CONFORM_LOGITS');
  });
  it('leave no room where the golden lead is larger (CONFORM_GREEDY)', async () => {
    const flat: Subject = { name: 'flat', load: async () => ({ logits: async (tokens) => new Float32Array(tokens.length * 272), close: async () => {} }) };
    const report = await run({ subject: flat, patterns: ['models/addition/prompt-4'] });
    expect(report.results[0]?.code).toBe('CONFORM_GREEDY');
  });
});

describe('codes', () => {
  it('are all explained', () => {
    for (const entry of Object.values(conformanceCodes)) for (const text of [entry.summary, entry.rationale, entry.hint]) expect(text.length).toBeGreaterThan(10);
    expect(new ConformanceError('CONFORM_BITS', 'x').hint).toBe(conformanceCodes.CONFORM_BITS.hint);
    expect(new Unsupported('x')).toBeInstanceOf(Error);
  });
});

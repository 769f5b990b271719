import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagedCases, spawnAdapter } from '../node/index.js';
import { adapterSubject, runConformance, type ConformanceReport } from '../index.js';

const folder = mkdtempSync(join(tmpdir(), 'weightspec-adapter-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A program that answers with what `body` makes of `{ id, method, params }`; `hello` is answered for it. */
function program(name: string, body: string, hello = { name, methods: ['load', 'logits', 'tokenize', 'detokenize', 'dequantize', 'quantize', 'op', 'roundtrip', 'validate'] }): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `import { createInterface } from 'node:readline';
const say = (value) => process.stdout.write(typeof value === 'string' ? value : JSON.stringify(value) + '\\n');
let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method === 'hello') { say({ id, result: ${JSON.stringify(hello)} }); continue; }
  count += 1;
  ${body}
}
`);
  return `node ${file}`;
}

async function conform(command: string, patterns: readonly string[], timeoutMs = 20_000): Promise<ConformanceReport> {
  const subject = await adapterSubject({ start: () => spawnAdapter(command), timeoutMs });
  try {
    return await runConformance({ ...packagedCases(), subject, patterns });
  } finally {
    await subject.close?.();
  }
}
const codes = ({ results }: ConformanceReport) => results.map(({ code, status }) => code ?? status);

const q8 = 'codecs/q8_0/dequantize';
/** Q8_0 as a program of five lines reads it; scales are normal, zero or subnormal. */
const decodeQ8 = `const b = Buffer.from(params.bytes, 'base64');
  const h = b.readUInt16LE(0), e = (h >> 10) & 31, s = (h >> 15 ? -1 : 1) * (e === 0 ? (h & 1023) * 2 ** -24 : (1024 + (h & 1023)) * 2 ** (e - 25));`;

describe('an outside program', () => {
  it('passes with right answers, as numbers or as base64', async () => {
    const asValues = program('values', `${decodeQ8} say({ id, result: { values: Array.from({ length: 32 }, (_, i) => s * b.readInt8(2 + i)) } });`);
    const asBytes = program('bytes', `${decodeQ8} const out = Buffer.alloc(128); for (let i = 0; i < 32; i++) out.writeFloatLE(s * b.readInt8(2 + i), 4 * i); say({ id, result: { f32: out.toString('base64') } });`);
    expect(codes(await conform(asBytes, [q8]))).toEqual(['passed', 'passed', 'passed', 'passed', 'passed']);
    expect(codes(await conform(asValues, [q8]))).toEqual(['passed', 'passed', 'passed', 'passed', 'passed']);
  });
  it('fails with wrong answers, and its own errors are told', async () => {
    const wrong = program('wrong', `say(count === 1 ? { id, error: 'not today' } : { id, result: { values: new Array(32).fill(null) } });`);
    const report = await conform(wrong, [`${q8}/a-negative-scale`, `${q8}/an-ordinary-scale`]);
    expect(report.results).toMatchObject([{ code: 'CONFORM_ERROR', message: 'not today' }, { code: 'CONFORM_BITS', message: expect.stringMatching(/^element 0 is NaN, not /) as string }]);
  });
  it('is skipped where it says unsupported, and for methods that it does not name', async () => {
    const few = program('few', `say({ id, unsupported: 'no such blocks' });`, { name: 'few', methods: ['dequantize'] });
    const report = await conform(few, [`${q8}/an-ordinary-scale`, 'tokenizers/qwen/encode-0', 'models/recite', 'ops/add', 'formats/llama2c/valid/v0-shared']);
    expect(report.summary).toMatchObject({ failed: 0, passed: 0 });
    expect(report.skips.map(({ reason }) => reason)).toEqual(['it does not validate files', 'no such blocks', 'it does not run operations alone', 'it does not run models', 'it does not tokenize']);
  });
  it('that crashes fails the case (ADAPTER_CRASH) with its last words, and is started again for the next', async () => {
    const crashing = program('crashing', `${decodeQ8} if (s < 0) { console.error('division by cucumber'); process.exit(7); } say({ id, result: { values: Array.from({ length: 32 }, (_, i) => s * b.readInt8(2 + i)) } });`);
    const report = await conform(crashing, [`${q8}/a-negative-scale`, `${q8}/an-ordinary-scale`]);
    expect(codes(report)).toEqual(['ADAPTER_CRASH', 'passed']);
    expect(report.results[0]!.message).toMatch(/exit code 7: division by cucumber/);
  });
  it('that hangs fails the case (ADAPTER_TIMEOUT) and is ended', async () => {
    const hanging = program('hanging', `await new Promise(() => setInterval(() => {}, 1000));`);
    const report = await conform(hanging, [`${q8}/an-ordinary-scale`], 1500);
    expect(codes(report)).toEqual(['ADAPTER_TIMEOUT']);
  });
  it.each([
    ['no JSON', `say('loading…\\n');`, /not JSON: loading…/],
    ['no object', `say('3\\n');`, /no JSON object/],
    ['the answer to something else', `say({ id: id + 5, result: {} });`, /an answer to request/],
    ['neither result nor error', `say({ id });`, /without result/],
    ['no numbers', `say({ id, result: { values: ['x'] } });`, /"x" among its numbers/],
    ['broken base64', `say({ id, result: { f32: '*' } });`, /not base64/],
    ['half a number', `say({ id, result: { f32: 'AAA=' } });`, /no whole f32/],
  ])('that writes %s fails the case (ADAPTER_GARBAGE)', async (name, body, message) => {
    const report = await conform(program(`garbage-${name.replaceAll(/\W/g, '')}`, body), [`${q8}/an-ordinary-scale`]);
    expect(report.results).toMatchObject([{ code: 'ADAPTER_GARBAGE', message: expect.stringMatching(message) as string }]);
  });
  it.each([['ends at once', 'exit 3'], ['is not there', join(folder, 'nothing-here')], ['says nothing of itself', `node -e "process.stdin.once('data', () => console.log(JSON.stringify({ id: 1, result: {} }))); setTimeout(() => {}, 3000)"`]])('that %s is told before the first case (ADAPTER_START)', async (_, command) => {
    await expect(adapterSubject({ start: () => spawnAdapter(command), timeoutMs: 10_000 })).rejects.toMatchObject({ code: 'ADAPTER_START' });
  });
  it('may know no warnings: accept and reject are compared with what they mean', async () => {
    const lenient = program('lenient', `say({ id, result: { verdict: 'accept' } });`);
    const patterns = ['formats/llama2c/valid/v0-shared', 'formats/llama2c/valid/v2-contiguous', 'formats/llama2c/invalid/ak42-only-magic'];
    const report = await conform(lenient, patterns);
    expect(Object.fromEntries(report.results.map(({ id, code, status }) => [id.split('/').at(-1), code ?? status]))).toEqual({ 'v0-shared': 'passed', 'v2-contiguous': 'passed', 'ak42-only-magic': 'CONFORM_VERDICT' });
  });
  it('runs operations alone, from rows and weights', async () => {
    const helpers = `const rows = ({ f32 }) => new Float32Array(Uint8Array.from(Buffer.from(f32, 'base64')).buffer);
      if (method !== 'op') { say({ id, unsupported: method }); continue; }`;
    const right = program('op', `${helpers}
      if (params.op === 'add') { const [a, b] = [rows(params.rows.a), rows(params.rows.b)]; say({ id, result: { values: Array.from(a, (x, i) => x + b[i]) } }); continue; }
      if (params.op === 'embed' && params.weight.storage === 'F32') { const w = rows({ f32: params.weight.bytes }); const width = params.weight.shape[1]; say({ id, result: { values: params.tokens.map((t) => [...w.subarray(t * width, (t + 1) * width)]) } }); continue; }
      if (params.op === 'matmul' && params.bias) { const [x, w, bias] = [rows(params.rows.x), rows({ f32: params.weight.bytes }), rows(params.bias)]; const [height, width] = params.weight.shape;
        say({ id, result: { values: Array.from({ length: x.length / width * height }, (_, i) => bias[i % height] + w.subarray((i % height) * width, (i % height + 1) * width).reduce((sum, v, j) => sum + v * x[Math.floor(i / height) * width + j], 0)) } }); continue; }
      if (params.op === 'rmsnorm') { say({ id, result: { values: Array.from(rows(params.rows.x), () => 0) } }); continue; }
      say({ id, unsupported: 'no operation ' + params.op });`);
    const report = await conform(right, ['ops/add', 'ops/embed/f32', 'ops/matmul/with-bias', 'ops/rmsnorm/ordinary-rows-eps-1e-5', 'ops/swiglu/ordinary-rows']);
    expect(Object.fromEntries(report.results.map(({ id, code, status }) => [id.slice(4), code ?? status]))).toEqual({
      'add/two-rows': 'passed', 'embed/f32': 'passed', 'matmul/with-bias': 'passed', 'rmsnorm/ordinary-rows-eps-1e-5': 'CONFORM_BOUND', 'swiglu/ordinary-rows': 'skipped',
    });
    expect(report.skips).toEqual([{ suite: 'ops', reason: 'no operation swiglu', count: 1 }]);
  });
  it('encodes blocks, compared bit for bit where one encoding is right, else decoded again', async () => {
    // A block of zeros has one code; the scale of any other is wrong here.
    const zeros = program('quantizer', `const { length } = Buffer.from(params.f32 ?? params.bytes, 'base64');
      const blocks = Math.ceil(method === 'quantize' ? length / 128 : length / 34);
      say(method === 'quantize' ? { id, result: { bytes: Buffer.alloc(blocks * 34).toString('base64') } } : { id, result: { values: new Array(blocks * 32).fill(0) } });`);
    const report = await conform(zeros, ['codecs/q8_0/quantize', 'codecs/bf16/quantize/ordinary-numbers']);
    const results = Object.fromEntries(report.results.map(({ id, code, status }) => [id.slice(7), code ?? status]));
    expect(results['bf16/quantize/ordinary-numbers']).toBe('CONFORM_BITS');
    expect(Object.values(results).filter((result) => result === 'CONFORM_BOUND').length).toBeGreaterThanOrEqual(3);
    expect(await conform(program('encoder-only', `say({ id, result: { bytes: '' } });`, { name: 'encoder', methods: ['quantize'] }), ['codecs/q8_0/quantize/all-positive', 'codecs/bf16/quantize/ordinary-numbers'])).toMatchObject({
      summary: { skipped: 1, failed: 1 }, skips: [{ reason: 'it does not decode blocks, and these can be encoded in several ways' }],
    });
  });
  it('writes files again, compared byte for byte', async () => {
    const copying = program('copying', `const { readFileSync } = await import('node:fs'); const bytes = readFileSync(params.file); if (params.format === 'llama2c') bytes[0] ^= 1; say({ id, result: { bytes: bytes.toString('base64') } });`);
    const report = await conform(copying, ['roundtrip/safetensors/pair', 'roundtrip/llama2c/v0-shared']);
    expect(report.results.map(({ id, code, status }) => [id, code ?? status])).toEqual([['roundtrip/llama2c/v0-shared', 'CONFORM_BYTES'], ['roundtrip/safetensors/pair', 'passed']]);
    expect(codes(await conform(program('no-bytes', `say({ id, result: {} });`), ['roundtrip/safetensors/pair']))).toEqual(['ADAPTER_GARBAGE']);
  });
  it('gets absolute paths of files that are there', async () => {
    const reading = program('reading', `const { readFileSync } = await import('node:fs'); say({ id, result: { text: String(readFileSync(params.vocabulary.file).length) } });`);
    const report = await conform(reading, ['tokenizers/llama2c/decode-0']);
    expect(report.results[0]!.message).toMatch(/^"5411", not /);
  });
});

describe('the adapter in docs/conformance.md', () => {
  const python = spawnSync('python3', ['--version']).status === 0;
  if (!python) console.log('skipped: python3 is not there to run the example of docs/conformance.md');

  it.skipIf(!python)('passes its cases, skips the others, and has no more than 30 lines', async () => {
    const [, code = ''] = /```python\n(import base64[\s\S]*?)```/.exec(readFileSync(new URL('../../../../docs/conformance.md', import.meta.url), 'utf8')) ?? [];
    expect(code.trim().split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(30);
    const file = join(folder, 'q8.py');
    writeFileSync(file, code);
    const report = await conform(`python3 ${file}`, ['codecs']);
    expect(report.summary).toMatchObject({ passed: 5, failed: 0 });
    expect(report.results.filter(({ status }) => status === 'passed').every(({ id }) => id.startsWith(q8))).toBe(true);
  });
});

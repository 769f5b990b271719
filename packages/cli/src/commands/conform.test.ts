import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConformanceReport } from '@weightspec/conformance';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}
const onReference = (...argv: string[]) => weightspec('conform', '--backend', 'reference', ...argv);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weightspec-conform-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('weightspec conform', () => {
  it('passes, counts, and exits with 0', async () => {
    const { code, stdout } = await onReference('ops/rope', 'models/qwen1-tiny/q5_1', 'tokenizers/qwen/encode-0');
    expect(stdout).toMatch(/^weightspec, backend reference \d+\.\d+\.\d+: 11 passed, 0 failed, 0 skipped \(11 of \d+ cases\)\n$/);
    expect(code).toBe(0);
  });
  it('lists names and purposes, and runs none', async () => {
    const { code, stdout } = await weightspec('conform', '--list', 'models/qwen1-tiny/q4_0/*');
    expect(stdout.split('\n').filter(Boolean).map((line) => line.split('\t')[0])).toEqual([0, 1, 2, 3].map((i) => `models/qwen1-tiny/q4_0/prompt-${i}`));
    expect(code).toBe(0);
  });
  it('writes JSON, JUnit and a shard of the cases', async () => {
    const junit = join(folder, 'report.xml');
    const { code, stdout } = await onReference('ops/add', 'ops/swiglu', '--shard', '2/3', '--json', '--junit', junit);
    const report = JSON.parse(stdout) as ConformanceReport;
    expect(report.selection).toMatchObject({ patterns: ['ops/add', 'ops/swiglu'], shard: { index: 2, count: 3 }, cases: 1 });
    expect(report.results.map(({ status }) => status)).toEqual(['passed']);
    expect(await readFile(junit, 'utf8')).toContain(`name="${report.results[0]!.id}"`);
    expect(code).toBe(0);
  });
  it('tests an outside program, says what was skipped and why, and exits with 1 when it fails', async () => {
    const adapter = join(folder, 'adapter.mjs');
    await writeFile(adapter, `for await (const line of (await import('node:readline')).createInterface({ input: process.stdin })) {
      const { id, method } = JSON.parse(line);
      console.log(JSON.stringify(method === 'hello' ? { id, result: { name: 'zeros', version: '9', methods: ['dequantize'] } } : { id, result: { values: new Array(32).fill(0) } }));
    }`);
    const { code, stdout } = await weightspec('conform', 'codecs/q8_0', '--adapter', `node ${adapter}`);
    expect(stdout).toContain('FAILED codecs/q8_0/dequantize/an-ordinary-scale CONFORM_BITS\n  element 0 is 0, not ');
    expect(stdout).toContain('skipped 5 cases of codecs: it does not encode blocks\n');
    expect(stdout).toMatch(/zeros 9: 1 passed, 4 failed, 5 skipped \(10 of \d+ cases\)\n$/);
    expect(code).toBe(1);
    const known = join(folder, 'known.json');
    await writeFile(known, JSON.stringify({ expectations: [{ id: 'codecs/q8_0/dequantize', expect: 'fail', reason: 'not written yet' }] }));
    const second = await weightspec('conform', 'codecs/q8_0', '--adapter', `node ${adapter}`, '--expectations', known);
    expect(second.stdout).toContain('PASSED, though known to fail codecs/q8_0/dequantize/scale-zero');
    expect(second.code).toBe(1);
  });
  it.each([
    ['a name that means nothing', ['nothing'], 'CONFORM_NO_CASE'],
    ['a program that does not start', ['codecs', '--adapter', 'exit 4'], 'ADAPTER_START'],
    ['a list of known failures that is not there', ['codecs', '--expectations', 'no-such-file.json'], 'CONFORM_BAD_EXPECTATIONS'],
  ])('exits with 2 for %s', async (_, argv, errorCode) => {
    const { code, stderr } = await weightspec('conform', ...argv);
    expect(stderr).toContain(errorCode);
    expect(code).toBe(2);
  });
  it.each(['0/2', '3/2', '1', 'x/y'])('refuses the shard %s', async (shard) => {
    expect((await weightspec('conform', '--shard', shard)).code).toBe(2);
  });
});

// The adapters in tools/adapters, for engines that this project did not write: run where their programs can be had, named where not.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConformanceReport } from '@weightspec/conformance';
import { workspaceRoot } from './packed-project.js';

const weightspec = join(workspaceRoot, 'packages/cli/bin/weightspec.js');
const adapters = join(workspaceRoot, 'tools/adapters');
const works = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0;

function conform(adapter: string, ...argv: string[]): ConformanceReport {
  const { stdout, stderr } = spawnSync(process.execPath, [weightspec, 'conform', ...argv, '--json', '--timeout', '240', '--adapter', adapter], { cwd: workspaceRoot, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as ConformanceReport;
}
const passedIn = ({ results }: ConformanceReport, prefix: string): number => results.filter(({ id, status }) => id.startsWith(prefix) && status === 'passed').length;
const failuresOf = ({ results }: ConformanceReport): string[] => results.filter(({ status }) => status === 'failed').map(({ id, code, message }) => `${id} ${code}: ${message}`);

const source = process.env.WEIGHTSPEC_LLAMA2C_SRC;
const compiler = process.env.CC ?? 'cc';
const llama2c = source !== undefined && existsSync(join(source, 'run.c')) && works(compiler, '--version');
if (!llama2c) console.log(`skipped: llama2.c, which needs a C compiler (${compiler}) and WEIGHTSPEC_LLAMA2C_SRC, a folder with its run.c and runq.c (git clone https://github.com/karpathy/llama2.c)`);

describe.skipIf(!llama2c)('llama2.c', () => {
  let report: ConformanceReport;
  beforeAll(() => {
    report = conform(`node ${join(adapters, 'llama2c.mjs')} ${source}`, 'models', 'tokenizers');
  });
  it('gives the golden logits and greedy ids of v0 and v2 files, and the ids of its tokenizer', () => {
    expect(failuresOf(report)).toEqual([]);
    for (const [prefix, count] of [['models/recite/', 2], ['models/tiny-shared/', 2], ['models/llama-tiny/llama2c-v0/prompt', 4], ['models/llama-tiny/llama2c-v2/', 4], ['tokenizers/llama2c/', 11]] as const) expect([prefix, passedIn(report, prefix)]).toEqual([prefix, count]);
  });
  it('says what it does not read', () => {
    expect(report.skips.map(({ reason }) => reason)).toContain('llama2.c reads llama2c v0 (run.c) and v2 (runq.c), not ggml-qwen q4_0');
  });
});

/** A Python with what `requirements` names: the one that `variable` names, or a virtual environment made here within the time that is allowed. */
function pythonWith(requirements: string, variable: string, folder: string): string | undefined {
  const named = process.env[variable];
  if (named !== undefined) return named;
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'ignore', timeout: 60_000 });
    execFileSync(join(folder, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', join(adapters, requirements)], { stdio: 'ignore', timeout: 240_000 });
    return join(folder, 'bin/python');
  } catch {
    console.log(`skipped: ${requirements} could not be installed in 4 minutes; name a Python that has tools/adapters/${requirements} with ${variable}`);
    return undefined;
  }
}

describe('gguf and numpy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-gguf-'));
  let python: string | undefined;
  beforeAll(() => {
    python = pythonWith('gguf_numpy.requirements.txt', 'WEIGHTSPEC_GGUF_PYTHON', folder);
  }, 310_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('decode and encode ggml’s blocks, run every operation, and write safetensors files', { timeout: 120_000 }, (context) => {
    context.skip(python === undefined, 'no Python with gguf and numpy');
    const report = conform(`${python} ${join(adapters, 'gguf_numpy.py')}`, 'codecs', 'ops', 'roundtrip', '--expectations', join(adapters, 'gguf_numpy.expectations.json'));
    expect(failuresOf(report)).toEqual([]);
    expect(report.summary).toMatchObject({ 'expected-failure': 2, 'unexpected-pass': 0 });
    for (const [prefix, count] of [['codecs/', 60], ['ops/', 45], ['roundtrip/safetensors/', 7]] as const) expect([prefix, passedIn(report, prefix) >= count]).toEqual([prefix, true]);
    for (const op of ['embed', 'matmul', 'rmsnorm', 'rope', 'attention', 'swiglu', 'add']) expect([op, passedIn(report, `ops/${op}/`) > 0]).toEqual([op, true]);
    expect(report.skips.filter(({ suite }) => suite === 'ops')).toEqual([]);
    expect(report.skips.map(({ reason }) => reason)).toContain('gguf has no int8 groups');
  });
});

describe('transformers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-transformers-'));
  let python: string | undefined;
  beforeAll(() => {
    python = pythonWith('requirements.txt', 'WEIGHTSPEC_TRANSFORMERS_PYTHON', folder);
  }, 310_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('gives the golden logits and greedy ids of Llama’s safetensors files', { timeout: 250_000 }, (context) => {
    context.skip(python === undefined, 'no Python with transformers');
    const report = conform(`${python} ${join(adapters, 'transformers_flax.py')}`, 'models/llama-tiny/safetensors-f16', 'models/addition/prompt-0', 'models/qwen2-tiny/torch-bf16/prompt-0', '--expectations', join(adapters, 'transformers_flax.expectations.json'));
    expect(failuresOf(report)).toEqual([]);
    expect(passedIn(report, 'models/llama-tiny/')).toBe(4);
    expect(report.summary).toMatchObject({ 'expected-failure': 1, 'unexpected-pass': 0 });
    expect(report.skips.map(({ count }) => count)).toEqual([1, 1]);
  });
});

describe('the adapters', () => {
  it('copy nothing of the engines that they test', () => {
    expect(readFileSync(join(adapters, 'llama2c-driver.c'), 'utf8').split('\n').length).toBeLessThan(70);
  });
});

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load as parseYaml } from 'js-yaml';
import { afterAll, describe, expect, it } from 'vitest';

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default?: string; readonly required?: boolean }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly { readonly id?: string; readonly shell: string; readonly env: Readonly<Record<string, string>>; readonly run: string }[] };
}

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));
const action = parseYaml(readFileSync(new URL('action.yml', import.meta.url), 'utf8')) as Action;
const folder = mkdtempSync(join(tmpdir(), 'weightspec-action-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the steps as a runner does: expressions are filled in within `env`, and each script is a file for its shell. */
function runAction(inputs: Readonly<Record<string, string>>) {
  const files = { output: join(folder, 'output'), summary: join(folder, 'summary'), script: join(folder, 'step.sh') };
  for (const file of Object.values(files)) writeFileSync(file, '');
  const fill = (text: string) => text.replaceAll(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, name: string) => inputs[name] ?? action.inputs[name]?.default ?? '');
  const results = action.runs.steps.map(({ env, run }) => {
    writeFileSync(files.script, run);
    const filled = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, fill(value)]));
    return spawnSync('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', files.script], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...filled, GITHUB_ACTION_PATH: here, GITHUB_OUTPUT: files.output, GITHUB_STEP_SUMMARY: files.summary } });
  });
  const outputs = Object.fromEntries(readFileSync(files.output, 'utf8').trim().split('\n').map((line) => line.split('=') as [string, string]));
  return { status: results.at(-1)?.status, log: results.map(({ stdout, stderr }) => stdout + stderr).join(''), outputs, summary: readFileSync(files.summary, 'utf8') };
}

const broken = join(root, 'fixtures/llama2c/invalid/ak42-version-3.bin');
const sound = join(root, 'fixtures/llama2c/valid/v0-shared.bin');

describe('the GitHub Action', () => {
  it('is a composite action whose scripts hold no expression, so that no input runs as a command', () => {
    expect(action.runs.using).toBe('composite');
    expect(action.runs.steps.map(({ run }) => run).join('')).not.toContain('${{');
    const ids = action.runs.steps.map(({ id }) => id);
    for (const { value } of Object.values(action.outputs)) expect(ids).toContain(/steps\.(\w+)\.outputs/.exec(value)?.[1]);
  });
  it('fails for a bad file, with the findings in the log, in the summary and as SARIF', () => {
    const { status, log, outputs, summary } = runAction({ paths: `${sound}\n\n${broken}\n`, args: '--deep\n' });
    expect(status).toBe(1);
    expect(log).toContain('LLAMA2C_BAD_VERSION');
    expect(summary).toContain('LLAMA2C_BAD_VERSION');
    expect(outputs).toEqual({ sarif: 'weightspec.sarif', 'exit-code': '1' });
    const sarif = JSON.parse(readFileSync(join(folder, 'weightspec.sarif'), 'utf8')) as { runs: { results: { ruleId: string }[]; artifacts: object[] }[] };
    expect(sarif.runs[0]?.results.map(({ ruleId }) => ruleId)).toContain('LLAMA2C_BAD_VERSION');
    expect(sarif.runs[0]?.artifacts).toHaveLength(2);
  });
  it('passes sound files, and takes hostile names for names', () => {
    expect(runAction({ paths: sound, sarif: 'other.sarif' })).toMatchObject({ status: 0, outputs: { sarif: 'other.sarif', 'exit-code': '0' } });
    const hostile = runAction({ paths: '$(touch pwned); `touch pwned`\n--help' });
    expect(hostile.status).toBe(2);
    expect(hostile.log).toContain('IO_NOT_FOUND');
  });
  it('refuses to check nothing', () => {
    expect(runAction({ paths: ' \n' })).toMatchObject({ status: 2, log: expect.stringContaining('no paths') as string });
  });
});

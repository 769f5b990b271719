import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load as parseYaml } from 'js-yaml';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [hook] = parseYaml(readFileSync(join(root, '.pre-commit-hooks.yaml'), 'utf8')) as { id: string; entry: string; language: string; files: string }[];
const [script = '', ...args] = hook!.entry.split(' ');

/** As pre-commit runs a hook of language `script`: its entry in the hook's clone, then the files, from the user's repository. */
const runHook = (...files: string[]) => spawnSync(join(root, script), [...args, ...files], { cwd: join(root, 'fixtures'), encoding: 'utf8' });

describe('the pre-commit hook', () => {
  it('names a script that can be run', () => {
    expect(hook).toMatchObject({ id: 'weightspec', language: 'script' });
    expect(() => accessSync(join(root, script), constants.X_OK)).not.toThrow();
  });
  it('is for weight files only', () => {
    const matches = (name: string) => new RegExp(hook!.files).test(name);
    expect(['a.safetensors', 'm/pytorch_model.bin', 'x.pth', 'model.safetensors.index.json'].every(matches)).toBe(true);
    expect(['README.md', 'config.json', 'bin', 'a.binary'].some(matches)).toBe(false);
  });
  it('says nothing for sound files and fails for a broken one', () => {
    expect(runHook('llama2c/valid/v0-shared.bin', 'safetensors/valid/pair.safetensors')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const { status, stdout } = runHook('llama2c/valid/v0-shared.bin', 'llama2c/invalid/ak42-version-3.bin');
    expect(status).toBe(1);
    expect(stdout).toContain('LLAMA2C_BAD_VERSION');
  });
});

/** The model that adds, through the command: the whole folder, tokenizer included, and a copy in another format beside its tokenizer. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const model = fileURLToPath(new URL('../../../../fixtures/golden/addition', import.meta.url));

describe('the model that adds', () => {
  let out = '';
  beforeAll(async () => {
    out = await mkdtemp(join(tmpdir(), 'weightspec-addition-'));
  });
  afterAll(() => rm(out, { recursive: true }));

  it('runs as a folder: configuration and tokenizer are the ones in it', async () => {
    const { code, stdout, stderr } = await weightspec('run', model, '-p', '17+25=', '--backend', 'reference');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '17+25=42\n' });
    expect(stderr).toContain(`tokenizer: ${join(model, 'tokenizer.bin')}`);
  });
  it.each([['llama2c-v2', 'v2.bin'], ['torch', 'adds']])('still adds as %s', async (format, name) => {
    expect(await weightspec('convert', model, join(out, name), '--to', format)).toMatchObject({ code: 0 });
    const { code, stdout } = await weightspec('run', join(out, name), '-p', '58+67=', '--tokenizer', join(model, 'tokenizer.bin'), '--backend', 'reference');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '58+67=125\n' });
  });
  it('finds the tokenizer beside a converted file too', async () => {
    await copyFile(join(model, 'tokenizer.bin'), join(out, 'tokenizer.bin'));
    expect(await weightspec('convert', model, join(out, 'v0.bin'), '--to', 'llama2c-v0')).toMatchObject({ code: 0 });
    expect(await weightspec('run', join(out, 'v0.bin'), '-p', '99+99=', '--backend', 'reference')).toMatchObject({ code: 0, stdout: '99+99=198\n' });
  });
});

/** What `validate` takes: patterns, standard input, servers without ranges, several files at once. */
import { spawnSync } from 'node:child_process';
import { createServer, type RequestListener } from 'node:http';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckers } from '../checkers.js';
import { main } from '../main.js';
import type { Terminal } from '../terminal.js';

const fixture = (path: string): string => fileURLToPath(new URL(`../../../../fixtures/${path}`, import.meta.url));
const bin = fileURLToPath(new URL('../../bin/weightspec.js', import.meta.url));
const sound = fixture('llama2c/valid/v0-shared.bin');
const broken = fixture('llama2c/invalid/ak42-version-3.bin');

async function* inPieces(bytes: Uint8Array, pieceBytes = 100): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield await Promise.resolve(bytes.subarray(at, at + pieceBytes));
}

async function weightspec(argv: readonly string[], stdin?: Uint8Array) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += String(chunk)) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {}, ...(stdin ? { stdin: () => inPieces(stdin) } : {}) };
  return { code: await main(argv, terminal), ...written };
}

async function paths(...argv: string[]): Promise<string[]> {
  const { stdout } = await weightspec(['validate', '--format', 'json', ...argv]);
  return (JSON.parse(stdout) as { reports: { path: string }[] }).reports.map(({ path }) => path);
}

let folder = '';
const at = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-inputs-'));
  mkdirSync(at('models/deep'), { recursive: true });
  for (const name of ['models/b.bin', 'models/a.bin', 'models/deep/c.bin', 'models/[x].bin']) copyFileSync(sound, at(name));
  copyFileSync(broken, at('models/deep/d.bin'));
  writeFileSync(at('models/notes.md'), '# notes\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('patterns', () => {
  it('stand for files at any depth, in name order', async () => {
    expect(await paths(at('models/**/*.bin'))).toEqual(['models/[x].bin', 'models/a.bin', 'models/b.bin', 'models/deep/c.bin', 'models/deep/d.bin'].map(at));
    expect(await paths(at('models/{a,b}.bin'))).toEqual([at('models/a.bin'), at('models/b.bin')]);
  });
  it('stand for folders too, whose files are then looked for', async () => {
    expect(await paths(at('mod*'))).toHaveLength(5);
  });
  it('are names first: a file that is called like a pattern is that file', async () => {
    expect(await paths(at('models/[x].bin'))).toEqual([at('models/[x].bin')]);
  });
  it('that match nothing are missing files (IO_NOT_FOUND)', async () => {
    expect(await weightspec(['validate', at('models/*.safetensors')])).toMatchObject({ code: 2, stderr: expect.stringMatching(/IO_NOT_FOUND: .*\*\.safetensors: no file has this name, and none fits it as a pattern/) as string });
  });
});

describe('standard input', () => {
  it('is checked like a file, and leaves nothing behind', async () => {
    const stored = () => readdirSync(tmpdir()).filter((name) => /^weightspec-.*\.spool$/.test(name)).length;
    const before = stored();
    const { code, stdout } = await weightspec(['validate', '-'], readFileSync(broken));
    expect(code).toBe(1);
    expect(stdout).toMatch(/^stdin: invalid \(llama2c/);
    expect(stdout).toContain('at: bytes [4, 8), version');
    expect(await weightspec(['inspect', '-'], readFileSync(sound))).toMatchObject({ code: 0, stdout: expect.stringContaining('tok_embeddings.weight') as string });
    expect((await weightspec(['repair', '-', at('mended.bin')], readFileSync(fixture('llama2c/invalid/v1-fp32-padding.bin')))).code).toBe(0);
    expect(stored()).toBe(before);
  });
  it('reaches the command through a pipe', () => {
    const { status, stdout } = spawnSync(process.execPath, [bin, 'validate', '--jobs', '2', '-', sound], { input: readFileSync(sound), encoding: 'utf8' });
    expect({ status, lines: stdout.match(/: valid/g)?.length }).toEqual({ status: 0, lines: 2 });
  });
});

describe('a server that sends no ranges', () => {
  const serve = async <T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> => {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/model.bin`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };
  const whole: RequestListener = (request, response) => {
    if (request.url === '/model.bin') response.writeHead(302, { location: '/there.bin' }).end();
    else response.writeHead(200).end(readFileSync(sound));
  };

  it('is refused (IO_NO_RANGE_SUPPORT), unless its file may be stored', async () => {
    await serve(whole, async (url) => {
      expect(await weightspec(['validate', url])).toMatchObject({ code: 2, stderr: expect.stringMatching(/IO_NO_RANGE_SUPPORT[^]*--download/) as string });
      const { code, stdout } = await weightspec(['validate', '--download', url]);
      expect({ code, valid: stdout.startsWith(`${url}: valid`) }).toEqual({ code: 0, valid: true });
      expect((await weightspec(['inspect', '--download', url])).code).toBe(0);
    });
  });
});

describe('--jobs', () => {
  const names = [fixture('safetensors/invalid/*.safetensors'), fixture('ggml-qwen/invalid/*.bin')];

  it('prints what one job prints, byte for byte, in threads of the built command', () => {
    const run = (...argv: string[]) => spawnSync(process.execPath, [bin, 'validate', ...argv, ...names, at('missing.bin'), at('models')], { encoding: 'utf8', maxBuffer: 2 ** 26 });
    const [one, two] = [run(), run('--jobs', '2')];
    expect(two).toMatchObject({ status: 2, stdout: one.stdout, stderr: one.stderr });
    expect(one.stderr).toContain('IO_NOT_FOUND');
    expect(one.stdout.match(/^[^ ].*: invalid/gm)!.length).toBeGreaterThan(100);
  });
  it('keeps the order where threads are not built', async () => {
    const one = await weightspec(['validate', at('models')]);
    expect(await weightspec(['validate', '--jobs', '4', at('models')])).toEqual(one);
  });
  it('fails the files of a thread that dies, and no others', async () => {
    writeFileSync(at('dying.mjs'), `import { parentPort } from 'node:worker_threads';\nparentPort.on('message', ({ path }) => { if (path === 'die') throw new Error('out of cheese'); parentPort.postMessage({ file: path }); });\n`);
    const checkers = await openCheckers({ jobs: 2 }, { stdout: { write: () => true }, stderr: { write: () => true }, env: {} }, new URL(`file://${at('dying.mjs')}`));
    const outcomes = await Promise.all(['a', 'die', 'b'].map((path) => checkers.check({ path })));
    expect(outcomes).toMatchObject([{ file: 'a' }, { failed: { path: 'die', message: expect.stringContaining('out of cheese') as string } }, { file: 'b' }]);
    expect(await checkers.check({ path: 'c' })).toEqual({ file: 'c' });
    await checkers.close();
  });
});

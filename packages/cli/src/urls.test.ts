/** Models behind URLs, with what lies beside them there. */
import { createServer, type Server } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { main } from './main.js';
import type { Terminal } from './terminal.js';

const golden = (path: string): string => fileURLToPath(new URL(`../../../fixtures/golden/${path}`, import.meta.url));
let server: Server;
let origin = '';
let asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = new URL(request.url!, 'http://host').pathname.slice(1);
    asked.push(path);
    let bytes: Buffer;
    try {
      bytes = readFileSync(golden(path));
    } catch {
      response.writeHead(404).end();
      return;
    }
    const [, from = '', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    // Small files come whole, as many hosts send them.
    if (path.endsWith('.json')) response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    else response.writeHead(206, { 'content-range': `bytes ${from}-${Math.min(Number(to), bytes.length - 1)}/${bytes.length}` }).end(bytes.subarray(Number(from), Number(to) + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
});

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {} };
  return { code: await main(argv, terminal), ...written };
}

describe('a URL', () => {
  it.each(['addition/model.safetensors', 'addition/', 'addition/config.json'])('of %s runs with the configuration and vocabulary beside it', async (path) => {
    const { code, stdout, stderr } = await weightspec('run', `${origin}/${path}`, '-p', '17+25=', '-n', '4', '--temperature', '0', '--backend', 'reference');
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '17+25=42\n', stderr: expect.stringContaining(`tokenizer: ${origin}/addition/tokenizer.bin`) as string });
  });
  it('of a file is checked alone, as a path is', async () => {
    const { code, stdout } = await weightspec('validate', `${origin}/addition/model.safetensors`);
    expect({ code, asked: [...new Set(asked)] }).toEqual({ code: 0, asked: ['addition/model.safetensors'] });
    expect(stdout).toContain('/addition/model.safetensors: valid');
  });
  it('of a folder is checked as one model', async () => {
    const { code, stdout } = await weightspec('validate', `${origin}/addition/`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`29 names and shapes that ${origin}/addition/config.json implies`) as string });
    expect((await weightspec('inspect', `${origin}/addition/`)).stdout).toContain('model.embed_tokens.weight');
  });
  it('of a folder with no model under a usual name says which were asked for (IO_NOT_FOUND)', async () => {
    for (const command of ['validate', 'inspect']) {
      const { code, stderr } = await weightspec(command, `${origin}/nothing/`);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/IO_NOT_FOUND.*model\.safetensors, model\.safetensors\.index\.json/) as string });
    }
  });
});

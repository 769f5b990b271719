import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { servePage } from './web.js';

let parent: string;
let folder: string;
let controller: AbortController;
let serving: Promise<void> | undefined;

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'weightspec-web-'));
  folder = join(parent, 'page');
  await mkdir(join(folder, 'assets'), { recursive: true });
  writeFileSync(join(folder, 'index.html'), '<p>page</p>');
  writeFileSync(join(folder, 'assets/network.worker-abc_1.js'), '');
  writeFileSync(join(folder, 'assets/inspector.worker-abc_1.js'), '');
  writeFileSync(join(parent, 'secret.txt'), 'secret');
  controller = new AbortController();
  serving = undefined;
});
afterEach(async () => {
  controller.abort();
  await serving;
  rmSync(parent, { recursive: true });
});

/** The address that it prints. */
async function start(port?: number): Promise<URL> {
  const address = new Promise<string>((resolve, reject) => {
    const stdout = { write: (text: string | Uint8Array) => resolve(String(text)) };
    serving = servePage({ port, folder, signal: controller.signal }, { stdout, stderr: { write: () => true }, env: {} });
    serving.catch(reject);
  });
  return new URL((await address).trim());
}

/** Sends `path` as it is: fetch would clean it. */
function get({ hostname, port }: URL, path: string): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    request({ hostname, port, path }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString(), headers: response.headers }));
    }).on('error', reject).end();
  });
}

describe('weightspec web', () => {
  it('serves the page to this machine, isolated, with a policy that lets it reach nobody else', async () => {
    const address = await start(0);
    expect(address.hostname).toBe('127.0.0.1');
    const { status, text, headers } = await get(address, '/');
    expect([status, text]).toEqual([200, '<p>page</p>']);
    expect(headers).toMatchObject({ 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' });
    expect(headers['content-security-policy']).toContain("connect-src 'self';");
  });

  it('lets only the worker that fetches addresses reach other hosts', async () => {
    const address = await start(0);
    const policyOf = async (path: string) => (await get(address, path)).headers['content-security-policy'];
    expect(await policyOf('/assets/network.worker-abc_1.js')).toContain('connect-src http: https:;');
    expect(await policyOf('/assets/inspector.worker-abc_1.js')).toContain("connect-src 'self';");
  });

  it.each(['/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/assets/../../secret.txt', '//secret.txt', '/none'])('answers 404 for %s', async (path) => {
    expect(await get(await start(0), path)).toMatchObject({ status: 404, text: 'not found\n' });
  });

  it('refuses a port that is taken (CLI_PORT_TAKEN)', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    await expect(servePage({ port, folder, signal: controller.signal }, { stdout: { write: () => true }, stderr: { write: () => true }, env: {} })).rejects.toMatchObject({ code: 'CLI_PORT_TAKEN' });
    await new Promise((resolve) => other.close(resolve));
  });

  it('refuses a folder without a page (CLI_NO_PAGE)', async () => {
    rmSync(join(folder, 'index.html'));
    await expect(servePage({ port: 0, folder, signal: controller.signal }, { stdout: { write: () => true }, stderr: { write: () => true }, env: {} })).rejects.toMatchObject({ code: 'CLI_NO_PAGE' });
  });
});

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { byteSourceContract, slicingMismatch } from '../testing/index.js';
import { fileSource, openSource } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'weightspec-io-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function portOf(listening: Server): number {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

let fileCount = 0;
function fileOf(bytes: Uint8Array): string {
  fileCount += 1;
  const path = join(folder, `${fileCount}.bin`);
  writeFileSync(path, bytes);
  return path;
}

byteSourceContract({ describe, it, expect }, 'fileSource', (bytes) => fileSource(fileOf(bytes)));
byteSourceContract({ describe, it, expect }, 'openSource of a path', (bytes) => openSource(fileOf(bytes)));

describe('fileSource', () => {
  it('reads any slices as they are', async () => {
    const anyCuts = fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), anyCuts, async (bytes, cuts) => {
        const path = fileOf(bytes);
        const source = await fileSource(path);
        for (const [offset, length] of cuts) {
          expect(await slicingMismatch(source, bytes, offset, length)).toBe(undefined);
        }
        await source.close();
        await rm(path);
      }),
    );
  });

  it('reads at 2^31 and 2^32 and at the end of a file of more than 4 GiB', async () => {
    const path = join(folder, 'sparse.bin');
    const size = 2 ** 32 + 1000;
    const marks = [0, 2 ** 31 - 2, 2 ** 32 - 2, size - 4];
    const handle = await open(path, 'w');
    await handle.truncate(size);
    for (const [i, offset] of marks.entries()) await handle.write(Uint8Array.of(i + 1, i + 11, i + 21, i + 31), 0, 4, offset);
    await handle.close();

    const source = await fileSource(path);
    expect(source.size).toBe(size);
    for (const [i, offset] of marks.entries()) {
      expect(await source.read(offset, 4)).toEqual(Uint8Array.of(i + 1, i + 11, i + 21, i + 31));
    }
    expect(await source.read(2 ** 32 - 3, 6)).toEqual(Uint8Array.of(0, 3, 13, 23, 33, 0));
    await expect(source.read(size - 3, 4)).rejects.toBeInstanceOf(RangeError);
    await expect(source.read(0, size)).rejects.toThrow(/in chunks/);
    await source.close();
    await rm(path);
  });

  it.runIf(process.platform !== 'win32')('refuses directories, pipes, sockets and devices at once (IO_NOT_A_FILE)', async () => {
    const [directory, pipe, socket] = [join(folder, 'directory'), join(folder, 'pipe'), join(folder, 'socket')];
    await mkdir(directory);
    execFileSync('mkfifo', [pipe]);
    const server = createServer().listen(socket);
    await once(server, 'listening');
    for (const path of [directory, pipe, socket, '/dev/null']) {
      await expect(fileSource(path)).rejects.toMatchObject({ name: 'IoError', code: 'IO_NOT_A_FILE', message: expect.stringContaining(path) });
    }
    server.close();
  });

  it('names a file that is not there (IO_NOT_FOUND)', async () => {
    await expect(fileSource(join(folder, 'missing.bin'))).rejects.toMatchObject({ code: 'IO_NOT_FOUND', message: expect.stringContaining('missing.bin') });
    await expect(fileSource(join(fileOf(new Uint8Array(1)), 'below-a-file'))).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });

  it('notices that the file was cut after it was opened (IO_SHORT_READ)', async () => {
    const path = fileOf(new Uint8Array(100));
    const source = await fileSource(path);
    truncateSync(path, 40);
    expect((await source.read(0, 40)).byteLength).toBe(40);
    await expect(source.read(30, 20)).rejects.toMatchObject({ code: 'IO_SHORT_READ', message: expect.stringContaining('byte 40') });
    await source.close();
  });

  it('rejects reads after close (IO_CLOSED), and lets those under way end', async () => {
    const source = await fileSource(fileOf(Uint8Array.of(1, 2, 3)));
    const [read] = await Promise.all([source.read(0, 3), source.close()]);
    expect(read).toEqual(Uint8Array.of(1, 2, 3));
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'IO_CLOSED' });
  });
});

describe('openSource', () => {
  it('opens file: URLs, with spaces and umlauts too', async () => {
    const path = join(folder, 'ein größeres modell.bin');
    writeFileSync(path, 'abc');
    const source = await openSource(pathToFileURL(path).href);
    expect(await source.read(1, 2)).toEqual(Uint8Array.of(0x62, 0x63));
    await source.close();
  });

  it('opens http URLs, with the options', async () => {
    const server = createHttpServer((request, response) => {
      expect(request.headers['x-test']).toBe('1');
      response.writeHead(206, { 'content-range': 'bytes 0-2/3' }).end('abc');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const source = await openSource(`http://127.0.0.1:${portOf(server)}/m`, { headers: { 'x-test': '1' } });
    expect(await source.read(1, 1)).toEqual(Uint8Array.of(0x62));
    await source.close();
    server.close();
  });

  it('says which addresses it cannot open (IO_UNSUPPORTED_URL), and takes a name with a colon for a path', async () => {
    await expect(openSource('s3://bucket/model.bin')).rejects.toMatchObject({ code: 'IO_UNSUPPORTED_URL' });
    await expect(openSource('C:\\missing.bin')).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });
});

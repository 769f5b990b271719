import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { byteSourceContract } from '../testing/index.js';
import { spooledSource } from './spool.js';

const folder = mkdtempSync(join(tmpdir(), 'weightspec-spool-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield await Promise.resolve(bytes.subarray(at, at + pieceBytes));
}

byteSourceContract({ describe, it, expect }, 'spooledSource', (bytes) => spooledSource('stream', inPieces(bytes, 997), { folder }));

describe('spooledSource', () => {
  it('keeps the bytes in one file that only its owner can read, and removes it when it is closed', async () => {
    const source = await spooledSource('-', inPieces(new Uint8Array(100), 9), { folder });
    expect(source).toMatchObject({ name: '-', size: 100 });
    const [file = ''] = readdirSync(folder);
    expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    await source.close();
    await source.close();
    expect(readdirSync(folder)).toEqual([]);
  });
  it('takes as many bytes as it may and not one more (IO_STREAM_TOO_LARGE), and leaves nothing behind', async () => {
    await (await spooledSource('-', inPieces(new Uint8Array(100), 30), { folder, maxBytes: 100 })).close();
    await expect(spooledSource('-', inPieces(new Uint8Array(101), 30), { folder, maxBytes: 100 })).rejects.toMatchObject({ code: 'IO_STREAM_TOO_LARGE' });
    expect(readdirSync(folder)).toEqual([]);
  });
  it('passes on what the stream throws, and leaves nothing behind', async () => {
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(new Uint8Array(4));
      throw new Error('torn');
    }
    await expect(spooledSource('-', breaking(), { folder })).rejects.toThrow('torn');
    expect(readdirSync(folder)).toEqual([]);
  });
  it('names a folder that cannot be written (IO_NOT_FOUND)', async () => {
    await expect(spooledSource('-', inPieces(new Uint8Array(1), 1), { folder: join(folder, 'none') })).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });
});

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import { openBytes } from './sync-bytes.js';

describe('PagedKaitaiStream', () => {
  it('reads numbers that straddle pages as a DataView over the whole would', () => {
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    const view = new DataView(bytes.buffer);
    const io = new PagedKaitaiStream(openBytes(bytes));
    for (const position of [0, 65_533, 65_534, 65_535, 65_536, 131_071, 199_996, 3]) {
      io.seek(position);
      expect(io.readS4le()).toBe(view.getInt32(position, true));
      io.seek(position);
      expect(io.readF4le()).toBe(view.getFloat32(position, true));
      io.seek(position);
      expect([...io.readBytes(3)]).toEqual([...bytes.subarray(position, position + 3)]);
      expect(io.pos).toBe(position + 3);
    }
  });

  it('throws at the end of the source, and for a read that is tensor data', () => {
    const io = new PagedKaitaiStream(openBytes(new Uint8Array(10)));
    io.seek(7);
    expect(() => io.readS4le()).toThrow(/requested 4 bytes, but only 3/);
    expect(() => io.readBytes(4)).toThrow(/requested 4 bytes, but only 3/);
    expect(() => io.readBytes(2 ** 32 + 1)).toThrow(RangeError);
  });

  it('reads behind 4 GiB of a sparse file without fetching more than pages', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weightspec-'));
    const path = join(folder, 'sparse.bin');
    const fd = openSync(path, 'w');
    ftruncateSync(fd, 2 ** 33);
    writeSync(fd, Uint8Array.of(1, 2, 3, 4), 0, 4, 2 ** 32 + 10);
    closeSync(fd);
    const source = openBytes(path);
    try {
      const io = new PagedKaitaiStream(source);
      expect(io.size).toBe(2 ** 33);
      io.seek(2 ** 32 + 10);
      expect(io.readU4le()).toBe(0x04030201);
      expect(io.bytesFetched).toBeLessThanOrEqual(65_536);
    } finally {
      source.close();
      rmSync(folder, { recursive: true });
    }
  });
});

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { contractBytes } from '../testing/index.js';
import { atomicFileSink } from './index.js';

let folder: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-sink-'));
  target = join(folder, 'model.bin');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const listenerCounts = () => ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit'].map((event) => process.listenerCount(event));

describe('atomicFileSink', () => {
  it('shows nothing under the target name before commit, and everything after it', async () => {
    const sink = await atomicFileSink(target);
    await sink.write(Uint8Array.of(1, 2));
    await sink.write(Uint8Array.of(3));
    expect(sink.position).toBe(3);
    expect(existsSync(target)).toBe(false);
    await sink.commit();
    expect([...readFileSync(target)]).toEqual([1, 2, 3]);
    expect(readdirSync(folder)).toEqual(['model.bin']);
  });

  it('keeps the order of small and large chunks, awaited or not, around its buffer of 256 KiB', async () => {
    const bytes = contractBytes(2_000_000);
    const sink = await atomicFileSink(target);
    const chunkSizes = [1, 7, 262_143, 1, 262_144, 3, 262_145, 500_000, 262_140, 5, 4];
    let at = 0;
    const writes: Promise<void>[] = [];
    while (at < bytes.byteLength) {
      const end = at + (chunkSizes[writes.length % chunkSizes.length] ?? 1);
      writes.push(sink.write(bytes.subarray(at, end)));
      at = end;
    }
    await sink.commit();
    await Promise.all(writes);
    expect(Buffer.compare(readFileSync(target), bytes)).toBe(0);
  });

  it('lets the caller use its buffer again once write has resolved', async () => {
    const sink = await atomicFileSink(target);
    const buffer = new Uint8Array(300_000).fill(1);
    await sink.write(buffer);
    await sink.write(buffer.fill(2).subarray(0, 10));
    buffer.fill(3);
    await sink.commit();
    const written = readFileSync(target);
    expect(written.subarray(0, 300_000).every((byte) => byte === 1)).toBe(true);
    expect([...written.subarray(300_000)]).toEqual(Array.from({ length: 10 }, () => 2));
  });

  it('leaves the old content until commit, and for good after abort', async () => {
    writeFileSync(target, 'old');
    const sink = await atomicFileSink(target);
    await sink.write(Buffer.from('new'));
    await sink.abort();
    await sink.abort();
    expect(readFileSync(target, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['model.bin']);
    await expect(sink.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'IO_CLOSED' });
    await expect(sink.commit()).rejects.toMatchObject({ code: 'IO_CLOSED' });
  });

  it('does nothing on abort after commit, and refuses a second commit (IO_CLOSED)', async () => {
    const sink = await atomicFileSink(target);
    await sink.write(Buffer.from('new'));
    await sink.commit();
    await sink.abort();
    expect(readFileSync(target, 'utf8')).toBe('new');
    await expect(sink.commit()).rejects.toMatchObject({ code: 'IO_CLOSED' });
    await expect(sink.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'IO_CLOSED' });
  });

  it('writes beside the target, under a name that says what it is and differs each time', async () => {
    const sinks = await Promise.all([atomicFileSink(target), atomicFileSink(target)]);
    const names = readdirSync(folder);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^\.model\.bin\.[0-9a-f]{16}\.weightspec-partial$/);
    expect(sinks.map((sink) => sink.temporaryPath).toSorted()).toEqual(names.map((name) => join(folder, name)).toSorted());
    await Promise.all(sinks.map((sink) => sink.abort()));
  });

  it('takes names up to the limit of the file system', async () => {
    const long = join(folder, 'ü'.repeat(127));
    const sink = await atomicFileSink(long);
    await sink.commit();
    expect(existsSync(long)).toBe(true);
  });

  it('listens to signals only while something is being written', async () => {
    const before = listenerCounts();
    const [first, second] = [await atomicFileSink(target), await atomicFileSink(join(folder, 'other.bin'))];
    expect(listenerCounts()).toEqual(before.map((count) => count + 1));
    await first.commit();
    expect(listenerCounts()).toEqual(before.map((count) => count + 1));
    await second.abort();
    expect(listenerCounts()).toEqual(before);
    await expect(atomicFileSink(join(folder, 'missing', 'x'))).rejects.toBeInstanceOf(Error);
    expect(listenerCounts()).toEqual(before);
  });

  it('refuses a folder that is not there (IO_NOT_FOUND)', async () => {
    await expect(atomicFileSink(join(folder, 'missing', 'x'))).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });

  it('refuses to replace a directory or a device (IO_NOT_A_FILE)', async () => {
    for (const path of [folder, `${folder}/`, '/dev/null', '']) await expect(atomicFileSink(path)).rejects.toMatchObject({ code: 'IO_NOT_A_FILE' });
  });
});

describe.runIf(process.platform !== 'win32')('atomicFileSink, links and permissions', () => {
  it('refuses to overwrite a file that is read, by whatever name (IO_SAME_FILE)', async () => {
    writeFileSync(target, 'source');
    const [link, hardLink] = [join(folder, 'link.bin'), join(folder, 'hard.bin')];
    symlinkSync('model.bin', link);
    linkSync(target, hardLink);
    mkdirSync(join(folder, 'sub'));
    for (const path of [target, link, hardLink, `${folder}/sub/../model.bin`]) {
      await expect(atomicFileSink(path, { protect: [join(folder, 'other.bin'), target] })).rejects.toMatchObject({ code: 'IO_SAME_FILE' });
    }
    expect(readFileSync(target, 'utf8')).toBe('source');
    const elsewhere = await atomicFileSink(join(folder, 'new.bin'), { protect: [target] });
    await elsewhere.abort();
  });

  it('follows a symbolic link and keeps it, and refuses one that leads nowhere (IO_NOT_FOUND)', async () => {
    writeFileSync(target, 'old');
    mkdirSync(join(folder, 'links'));
    const link = join(folder, 'links', 'latest.bin');
    symlinkSync('../model.bin', link);
    const sink = await atomicFileSink(link);
    await sink.write(Buffer.from('new'));
    await sink.commit();
    expect(readFileSync(target, 'utf8')).toBe('new');
    expect(readdirSync(join(folder, 'links'))).toEqual(['latest.bin']);
    symlinkSync('nowhere', join(folder, 'dangling'));
    await expect(atomicFileSink(join(folder, 'dangling'))).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });

  it('keeps the permissions of the file that it replaces', async () => {
    writeFileSync(target, 'old');
    chmodSync(target, 0o640);
    const sink = await atomicFileSink(target);
    expect(statSync(sink.temporaryPath).mode & 0o777).toBe(0o640);
    await sink.commit();
    expect(statSync(target).mode & 0o777).toBe(0o640);
  });
});

describe('atomicFileSink on a disk that fails', () => {
  async function failing(method: 'write' | 'sync', errno: string) {
    const probe = await open(join(folder, 'probe'), 'w');
    // All handles share their methods, and node:fs exports no class to reach them by.
    const prototype: typeof probe = Object.getPrototypeOf(probe);
    await probe.close();
    rmSync(join(folder, 'probe'));
    vi.spyOn(prototype, method).mockRejectedValue(Object.assign(new Error(`${errno}: no luck`), { code: errno }));
  }

  it.each([
    ['ENOSPC', 'IO_DISK_FULL'],
    ['EDQUOT', 'IO_DISK_FULL'],
    ['EFBIG', 'IO_FILE_TOO_LARGE'],
    ['EIO', 'IO_WRITE_FAILED'],
  ])('turns %s while writing into %s, removes the temporary file at once and stays failed', async (errno, code) => {
    writeFileSync(target, 'old');
    const before = listenerCounts();
    const sink = await atomicFileSink(target);
    await failing('write', errno);
    await expect(sink.write(new Uint8Array(300_000))).rejects.toMatchObject({ name: 'IoError', code });
    expect(readdirSync(folder)).toEqual(['model.bin']);
    await expect(sink.write(Uint8Array.of(1))).rejects.toMatchObject({ code });
    await expect(sink.commit()).rejects.toMatchObject({ code });
    await sink.abort();
    expect(readFileSync(target, 'utf8')).toBe('old');
    expect(listenerCounts()).toEqual(before);
  });

  it.each(['write', 'sync'] as const)('keeps the old file when the last %s of commit fails (IO_DISK_FULL)', async (method) => {
    writeFileSync(target, 'old');
    const sink = await atomicFileSink(target);
    await sink.write(Uint8Array.of(1));
    await failing(method, 'ENOSPC');
    await expect(sink.commit()).rejects.toMatchObject({ code: 'IO_DISK_FULL' });
    expect(readdirSync(folder)).toEqual(['model.bin']);
    expect(readFileSync(target, 'utf8')).toBe('old');
  });

  it('keeps what stands in the way when the rename fails', async () => {
    const sink = await atomicFileSink(target);
    mkdirSync(join(target, 'inside'), { recursive: true });
    await expect(sink.commit()).rejects.toMatchObject({ name: 'IoError' });
    expect(readdirSync(folder)).toEqual(['model.bin']);
    expect(existsSync(join(target, 'inside'))).toBe(true);
  });
});

/** Real processes, running this package's sources bundled to one file. */
describe.runIf(process.platform !== 'win32')('a process that is ended while it writes', { timeout: 30_000 }, () => {
  let bundled: string;
  beforeAll(async () => {
    const outDir = mkdtempSync(join(tmpdir(), 'weightspec-bundle-'));
    await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias: { '@weightspec/core': fileURLToPath(new URL('../../../core/src/index.ts', import.meta.url)) } },
      build: { ssr: fileURLToPath(new URL('index.ts', import.meta.url)), outDir, rollupOptions: { output: { entryFileNames: 'io.mjs' } } },
      ssr: { noExternal: true },
    });
    bundled = join(outDir, 'io.mjs');
    return () => rmSync(outDir, { recursive: true, force: true });
  });

  /** A child that has written 1 MB, says so, and would go on for ever. */
  async function startWriter(before = ''): Promise<ChildProcess> {
    const script = `
      import { atomicFileSink } from ${JSON.stringify(bundled)};
      ${before}
      const sink = await atomicFileSink(${JSON.stringify(target)});
      for (let i = 0; ; i += 1) {
        await sink.write(new Uint8Array(100_000).fill(7));
        if (i === 10) console.log('writing');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child.stdout, 'data');
    return child;
  }

  const partials = () => readdirSync(folder).filter((name) => name.endsWith('.weightspec-partial'));

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('dies of %s, leaves no temporary file and no target', async (signal) => {
    const child = await startWriter();
    expect(partials()).toHaveLength(1);
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves an existing target as it was', async () => {
    writeFileSync(target, 'old');
    const child = await startWriter();
    child.kill('SIGINT');
    await once(child, 'exit');
    expect(readdirSync(folder)).toEqual(['model.bin']);
    expect(readFileSync(target, 'utf8')).toBe('old');
  });

  it('cleans up on process.exit() as well', async () => {
    const child = await startWriter(`process.on('SIGUSR2', () => process.exit(3));`);
    child.kill('SIGUSR2');
    expect(await once(child, 'exit')).toEqual([3, null]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('lets a program that handles SIGINT itself go on, with a sink that has failed (IO_INTERRUPTED)', async () => {
    const child = await startWriter(`
      process.on('SIGINT', () => {});
      process.on('uncaughtException', (error) => { console.log(error.code); process.exitCode = 4; });`);
    let output = '';
    child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([4, null]);
    expect(output.trim()).toBe('IO_INTERRUPTED');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('still dies when the only other listener was a `once` that has run', async () => {
    const child = await startWriter(`process.once('SIGINT', () => {});`);
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT']);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves the target as it was after SIGKILL; the temporary file may stay, and its name says what it is', async () => {
    writeFileSync(target, 'old');
    const child = await startWriter();
    child.kill('SIGKILL');
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    expect(readFileSync(target, 'utf8')).toBe('old');
    expect(readdirSync(folder).filter((name) => name !== 'model.bin')).toEqual(partials());
  });

  it('meets a real limit: ulimit -f gives IO_FILE_TOO_LARGE and leaves nothing behind', async () => {
    const script = `
      import { atomicFileSink } from ${JSON.stringify(bundled)};
      const sink = await atomicFileSink(${JSON.stringify(target)});
      await sink.write(new Uint8Array(2_000_000)).catch((error) => console.log(error.code));`;
    const child = spawn('bash', ['-c', 'ulimit -f 1000 && exec "$0" --input-type=module --eval "$1"', process.execPath, script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    await once(child, 'close');
    expect(output.trim()).toBe('IO_FILE_TOO_LARGE');
    expect(readdirSync(folder)).toEqual([]);
  });
});

/** The command in this process, and as a process of its own that is interrupted or runs out of room. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open as openFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sharedData } from '@weightspec/oracles';
import { main } from '../main.js';
import type { Terminal } from '../terminal.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {} };
  return { code: await main(argv, terminal), ...written };
}

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weightspec-convert-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Shape {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly vocab: number;
}
const small: Shape = { dim: 64, hidden: 64, layers: 1, vocab: 32 };
/** 300 MB. */
const large: Shape = { dim: 1024, hidden: 4096, layers: 4, vocab: 8000 };

/** A v0 file of zeros by the layout of the specification, with 4 heads and 8 positions. On most file systems zeros take no room. */
async function writeZeros(name: string, { dim, hidden, layers, vocab }: Shape): Promise<void> {
  const elements = (2 * layers + 1) * dim + vocab * dim + layers * (4 * dim * dim + 3 * dim * hidden) + 8 * (dim / 4);
  const header = new Int32Array([dim, hidden, layers, 4, 4, vocab, 8]);
  const file = await openFile(at(name), 'w');
  await file.write(new Uint8Array(header.buffer));
  await file.truncate(28 + 4 * elements);
  await file.close();
}

describe('convert', () => {
  it('writes a file and says so on stdout, with its size', async () => {
    await writeZeros('model.bin', small);
    const { code, stdout, stderr } = await weightspec('convert', at('model.bin'), at('int8.bin'), '--to', 'llama2c-v2', '--group-size', '32');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // 256 of header, 3 norms of 64 f32, and 30720 weights of 1 + 4/32 bytes: 35584.
    expect(stdout).toBe(`${at('int8.bin')}  35.6 kB  weights\n`);
    expect(await weightspec('inspect', at('int8.bin'))).toMatchObject({ code: 0, stdout: expect.stringMatching(/llama2c v2,[^]*group_size +32/) as string });
  });
  it('makes a folder with weights and config.json, which run takes, and shards with an index', async () => {
    await writeZeros('model.bin', small);
    expect(await weightspec('convert', at('model.bin'), at('deep', 'out'), '--to', 'safetensors')).toMatchObject({ code: 0 });
    expect(readdirSync(at('deep', 'out')).toSorted()).toEqual(['config.json', 'model.safetensors']);
    expect(await weightspec('run', at('deep', 'out'), '--tokens', '1', '--print-ids', '-n', '1')).toMatchObject({ code: 0, stdout: '1,0\n' });
    expect(await weightspec('convert', at('deep', 'out'), at('shards'), '--to', 'torch', '--shard-size', '60kB')).toMatchObject({ code: 0 });
    expect(readdirSync(at('shards')).toSorted()).toEqual(['config.json', 'pytorch_model-00001-of-00003.bin', 'pytorch_model-00002-of-00003.bin', 'pytorch_model-00003-of-00003.bin', 'pytorch_model.bin.index.json']);
    expect(await weightspec('convert', at('shards'), at('back.bin'), '--to', 'llama2c-v0')).toMatchObject({ code: 0 });
    const [before, after] = [await readFile(at('model.bin')), await readFile(at('back.bin'))];
    // All but the frequency tables, which these zeros are not: 8 positions of 16 each, at the end.
    expect(after.subarray(0, -8 * 16 * 4)).toEqual(before.subarray(0, -8 * 16 * 4));
  });
  it('wants a folder for several files (CLI_NEEDS_FOLDER), and says that a named file has no config.json', async () => {
    await writeZeros('model.bin', small);
    expect(await weightspec('convert', at('model.bin'), at('x.safetensors'), '--to', 'safetensors', '--shard-size', '60kB')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NEEDS_FOLDER') as string });
    expect(await weightspec('convert', at('model.bin'), at('x.safetensors'), '--to', 'safetensors')).toMatchObject({ code: 0, stderr: expect.stringContaining('config.json is not written') as string });
    expect(readdirSync(folder).toSorted()).toEqual(['model.bin', 'x.safetensors']);
  });
  it('refuses what would be lost, writes nothing, and writes it when allowed (CONVERT_LOSS_ROPE_THETA)', async () => {
    await writeZeros('model.bin', small);
    await weightspec('convert', at('model.bin'), at('hf'), '--to', 'safetensors');
    const config = JSON.parse(await readFile(at('hf', 'config.json'), 'utf8')) as object;
    await writeFile(at('hf', 'config.json'), JSON.stringify({ ...config, rope_theta: 5e5 }));
    expect(await weightspec('convert', at('hf'), at('lossy.bin'), '--to', 'llama2c-v0')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/error CONVERT_LOSS_ROPE_THETA: .*500000/) as string });
    expect(existsSync(at('lossy.bin'))).toBe(false);
    expect(await weightspec('convert', at('hf'), at('lossy.bin'), '--to', 'llama2c-v0', '--allow-loss')).toMatchObject({ code: 0, stderr: expect.stringContaining('warning CONVERT_LOSS_ROPE_THETA') as string });
    expect(existsSync(at('lossy.bin'))).toBe(true);
  });
  it('takes generation_config.json and the length of qwen.tiktoken for the ids of qwen.cpp', async () => {
    await writeZeros('model.bin', { ...small, vocab: 512 });
    await weightspec('convert', at('model.bin'), at('hf'), '--to', 'safetensors');
    await writeFile(at('hf', 'generation_config.json'), '{"eos_token_id": 7, "pad_token_id": 8}');
    await writeFile(at('hf', 'qwen.tiktoken'), Array.from({ length: 256 }, (_, rank) => `${Buffer.from([rank]).toString('base64')} ${rank}\n`).join(''));
    expect(await weightspec('convert', at('hf'), at('qwen.bin'), '--to', 'ggml-qwen', '--allow-loss')).toMatchObject({ code: 0, stderr: expect.stringMatching(/CONVERT_LOSS_NORM_EPS[^]*CONVERT_ZERO_BIAS/) as string });
    const header = await readFile(at('qwen.bin'));
    expect([36, 40, 44, 48].map((offset) => header.readInt32LE(offset))).toEqual([7, 8, 257, 258]);
  });
  it('never writes over what it reads, shards included (IO_SAME_FILE)', async () => {
    await writeZeros('model.bin', small);
    const before = await readFile(at('model.bin'));
    expect(await weightspec('convert', at('model.bin'), at('model.bin'), '--to', 'llama2c-v1-fp32')).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect(await readFile(at('model.bin'))).toEqual(before);
    await weightspec('convert', at('model.bin'), at('shards'), '--to', 'safetensors', '--shard-size', '60kB');
    const shards = await Promise.all(readdirSync(at('shards')).map((name) => readFile(at('shards', name))));
    expect(await weightspec('convert', at('shards'), at('shards'), '--to', 'safetensors', '--shard-size', '60kB')).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect(await Promise.all(readdirSync(at('shards')).map((name) => readFile(at('shards', name))))).toEqual(shards);
  });
  it.each(['0', '5XB', '-1', '0.5'])('rejects --shard-size %s', async (size) => {
    expect(await weightspec('convert', 'a', 'b', '--to', 'safetensors', '--shard-size', size)).toMatchObject({ code: 2, stdout: '' });
  });
});

const metaShards = sharedData('models/llama3-tiny/meta-2');
describe.skipIf(metaShards === undefined)('Meta’s shards', () => {
  it('cannot be overwritten by what is made of them (IO_SAME_FILE)', async () => {
    await mkdir(at('meta'));
    for (const name of readdirSync(metaShards!)) await copyFile(join(metaShards!, name), at('meta', name));
    expect(await weightspec('convert', at('meta'), at('meta', 'consolidated.01.pth'), '--to', 'safetensors')).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect((await readFile(at('meta', 'consolidated.01.pth'))).equals(await readFile(join(metaShards!, 'consolidated.01.pth')))).toBe(true);
  });
});

/** The built command: npm test builds before it tests. */
const bin = fileURLToPath(new URL('../../bin/weightspec.js', import.meta.url));

describe.runIf(process.platform !== 'win32')('a convert process', { timeout: 60_000 }, () => {
  /** Resolves once a temporary file has bytes in it. */
  async function underWay(child: ChildProcess, where: string): Promise<void> {
    while (child.exitCode === null) {
      const [partial] = existsSync(where) ? readdirSync(where).filter((name) => name.endsWith('.weightspec-partial')) : [];
      if (partial !== undefined && (await stat(join(where, partial)).catch(() => undefined))?.size) return;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  it.each(['SIGINT', 'SIGTERM'] as const)('that is ended by %s leaves no file and no folder, and the source as it was', async (signal) => {
    await writeZeros('model.bin', large);
    const before = await stat(at('model.bin'));
    const child = spawn(process.execPath, [bin, 'convert', at('model.bin'), at('new', 'out'), '--to', 'safetensors', '--dtype', 'bf16'], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await underWay(child, at('new', 'out'));
    child.kill(signal);
    expect(await once(child, 'close')).toEqual([null, signal]);
    expect(readdirSync(folder)).toEqual(['model.bin']);
    const after = await stat(at('model.bin'));
    expect([after.size, after.mtimeMs]).toEqual([before.size, before.mtimeMs]);
    expect(stderr).toBe('nothing was written\n');
  });
  it('that is interrupted leaves an older result as it was', async () => {
    await writeZeros('model.bin', large);
    await writeFile(at('out.bin'), 'older');
    const child = spawn(process.execPath, [bin, 'convert', at('model.bin'), at('out.bin'), '--to', 'llama2c-v1-int8'], { stdio: 'ignore' });
    await underWay(child, folder);
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([null, 'SIGINT']);
    expect(readdirSync(folder).toSorted()).toEqual(['model.bin', 'out.bin']);
    expect(await readFile(at('out.bin'), 'utf8')).toBe('older');
  });
  it('that may not write so much says so and leaves nothing behind (IO_FILE_TOO_LARGE)', async () => {
    await writeZeros('model.bin', large);
    const { status, stderr } = spawnSync('bash', ['-c', 'ulimit -f 10000 && exec "$@"', 'bash', process.execPath, bin, 'convert', at('model.bin'), at('out'), '--to', 'safetensors'], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^nothing was written\nerror IO_FILE_TOO_LARGE: .*\n {2}hint: /) as string });
    expect(readdirSync(folder)).toEqual(['model.bin']);
  });

  // A disk of 8 MB of this process's own; not every system lets a user make one.
  const ownDisk = (script: string) => spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'bash', '-c', `mount -t tmpfs -o size=8m tmpfs "$1" && { ${script} }`, 'bash', folder, process.execPath, bin], { encoding: 'utf8' });
  const canMount = spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
  it.skipIf(!canMount)('on a full disk says so and gives its room back (IO_DISK_FULL)', async () => {
    const source = await mkdtemp(join(tmpdir(), 'weightspec-source-'));
    try {
      await writeZeros('model.bin', large);
      await copyFile(at('model.bin'), join(source, 'model.bin'));
      const { stdout, stderr } = ownDisk(`"$2" "$3" convert "${source}/model.bin" "$1/out" --to safetensors --shard-size 5MB; echo "exit $?"; ls -A "$1"; df --output=used "$1" | tail -1;`);
      expect(stderr).toMatch(/^nothing was written\nerror IO_DISK_FULL: /);
      expect(stdout.trim().split(/\s+/)).toEqual(['exit', '2', '0']);
    } finally {
      await rm(source, { recursive: true, force: true });
    }
  });
});

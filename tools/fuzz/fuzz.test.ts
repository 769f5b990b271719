import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySource } from '@weightspec/io';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mutateSafetensors, mutateTorchZip, zipMembers, zipOf } from './containers.js';
import { MOST_BYTES } from './mutate.js';
import { dice } from './random.js';
import { runSession, type SessionRequest } from './session.js';
import { targets } from './targets.js';
import { targets as planted } from './testing/planted.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-fuzz-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const request = (target: string, seed: number, mostInputs: number): SessionRequest => ({ target, seed, mostInputs, mostMilliseconds: Infinity, corpusFolder: join(folder, `corpus-${target}-${seed}`), findingsFolder: join(folder, 'findings') });
const noWatchdog = { begin: () => undefined };
const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50;

describe.each(targets)('the target $name', (target) => {
  it('starts from inputs, among them what fuzzing found before', async () => {
    const seeds = target.seeds();
    expect(seeds.length).toBeGreaterThanOrEqual(3);
    // Throws for what a reader must never do.
    const behaviours = await Promise.all(seeds.map(({ bytes }) => target.run(bytes)));
    expect(new Set(behaviours).size).toBeGreaterThan(1);
  });
  it('has no finding in 300 mutated inputs, and sees new behaviour in them', async () => {
    const { inputs, findings, kept } = await runSession(target, request(target.name, 1, 300), noWatchdog);
    expect({ inputs, findings }).toEqual({ inputs: 300, findings: [] });
    expect(kept).toBeGreaterThan(0);
  });
  it('mutates without touching the input, within the size of inputs, and the same way for the same seed', () => {
    const { bytes } = target.seeds()[0]!;
    const before = Uint8Array.from(bytes);
    const mutations = (seed: number): Uint8Array[] => {
      const random = dice(seed);
      return Array.from({ length: 100 }, () => target.mutate(bytes, random));
    };
    const hashes = (inputs: readonly Uint8Array[]): string[] => inputs.map((input) => createHash('sha256').update(input).digest('hex'));
    const made = mutations(7);
    expect(Buffer.compare(bytes, before)).toBe(0);
    expect(made.every(({ length }) => length <= MOST_BYTES + 8)).toBe(true);
    expect(made.filter((input) => Buffer.compare(input, bytes) !== 0).length).toBeGreaterThan(60);
    expect(hashes(mutations(7))).toEqual(hashes(made));
    expect(hashes(mutations(8))).not.toEqual(hashes(made));
  });
});

describe('mutations of containers', () => {
  it('leave a safetensors header as long as its length says, in most inputs', () => {
    const { bytes } = targets.find(({ name }) => name === 'safetensors')!.seeds().find(({ name }) => name.endsWith('pair.safetensors'))!;
    const headerBytes = (file: Uint8Array): number => Number(Buffer.from(file).readBigUInt64LE(0));
    const dataBytes = bytes.length - 8 - headerBytes(bytes);
    const random = dice(3);
    const consistent = Array.from({ length: 200 }, () => mutateSafetensors(bytes, random)).filter((input) => input.length >= 8 && input.length === 8 + headerBytes(input) + dataBytes);
    expect(consistent.length).toBeGreaterThan(100);
  });
  it('rebuild zip archives that the reader accepts, and get behind the checksum of data.pkl', async () => {
    const seeds = targets.find(({ name }) => name === 'torch-zip')!.seeds().filter(({ name, bytes }) => name.includes('valid/') && !name.includes('invalid/') && isZip(bytes));
    const rebuilt = seeds.map(({ bytes }) => zipMembers(bytes)).filter((members) => members !== undefined);
    expect(rebuilt.length).toBeGreaterThan(3);
    const { diagnostics } = await torchCheckpoint.read(memorySource(zipOf(rebuilt[0]!)));
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const random = dice(5);
    const read = await Promise.all(Array.from({ length: 200 }, async () => torchCheckpoint.read(memorySource(mutateTorchZip(seeds[0]!.bytes, random)))));
    const codes = new Set(read.flatMap((result) => result.diagnostics.map(({ code }) => code)));
    expect([...codes].filter((code) => code.startsWith('TORCH_PICKLE')).length).toBeGreaterThan(2);
  });
});

describe('a session', () => {
  const throws = planted.find(({ name }) => name === 'throws')!;

  it('writes an input that makes its target throw, and what was thrown, once for one cause', async () => {
    const { findings } = await runSession(throws, request('throws', 2, 2000), noWatchdog);
    expect(findings).toHaveLength(1);
    expect(readFileSync(findings[0]!)[0]).toBeGreaterThan(127);
    expect(readFileSync(findings[0]!.replace(/bin$/, 'txt'), 'utf8')).toContain('Error: planted');
  });
  it('keeps inputs with new behaviour and gives the same ones for the same seed', async () => {
    const sound = planted.find(({ name }) => name === 'sound')!;
    const keptAfter = async (seed: number, run: string): Promise<string[]> => {
      const corpusFolder = join(folder, `kept-${run}`);
      await runSession(sound, { ...request('sound', seed, 500), corpusFolder }, noWatchdog);
      return readdirSync(join(corpusFolder, 'sound')).toSorted();
    };
    const first = await keptAfter(4, 'a');
    expect(first.length).toBeGreaterThan(2);
    expect(await keptAfter(4, 'b')).toEqual(first);
    expect(await keptAfter(5, 'c')).not.toEqual(first);
  });
  it('writes each input down before it is tried, where a journal is asked for', async () => {
    const journal = join(folder, 'journal');
    const seen: Uint8Array[] = [];
    await runSession({ ...throws, run: async (bytes) => `${seen.push(Uint8Array.from(readFileSync(journal))) && Buffer.compare(seen.at(-1)!, bytes)}` }, { ...request('journal', 1, 5), journal }, noWatchdog);
    expect(seen.length).toBe(6);
  });
});

/** Files that `weightspec repair` wrote, read by other people's software: the safetensors package, and torch or Python's own zipfile and pickle. */
import { dtype, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { writeTorch } from '@weightspec/torch-checkpoint';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pythonWith, readBack, works } from './outside-python.js';
import { workspaceRoot } from './packed-project.js';

const work = mkdtempSync(join(tmpdir(), 'weightspec-repair-full-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const { python, why } = pythonWith('safetensors==0.5.3', 'safetensors', join(work, 'venv'));
if (why) console.log(`skipped: safetensors' own library: ${why}`);
const anyPython = python ?? (works('python3', ['--version']) ? 'python3' : undefined);
if (!anyPython) console.log('skipped: PyTorch files, for which python3 is needed');

function repair(source: string, destination: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(workspaceRoot, 'packages/cli/bin/weightspec.js'), 'repair', source, destination], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stdout + stderr);
  return stdout;
}
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const fixture = (name: string): string => join(workspaceRoot, 'fixtures/safetensors', `${name}.safetensors`);

describe('a repaired safetensors file', () => {
  it.skipIf(!python).each([['NUL', '', '\u0000'.repeat(8)], ['tabs', '', '\t'.repeat(8)], ['white space before it', '  ', '      ']])('whose header was padded with %s is read by the safetensors library', (_, before, behind) => {
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const header = Buffer.from(`${before}{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}${behind}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const [source, destination] = [join(work, 'padded.safetensors'), join(work, 'repadded.safetensors')];
    writeFileSync(source, Buffer.concat([length, header, data]));
    repair(source, destination);
    expect(readBack(python!, destination).tensors).toEqual({ a: { dtype: 'U8', shape: [2], sha256: sha256(data.subarray(0, 2)) }, b: { dtype: 'U8', shape: [4], sha256: sha256(data.subarray(2)) } });
  });
  it.skipIf(!python).each(['ambiguous/tensor-unaligned', 'ambiguous/tensor-as-array', 'ambiguous/dtype-as-object', 'ambiguous/metadata-null'])('%s has its tensors, by the safetensors library', (name) => {
    const destination = join(work, 'repaired.safetensors');
    repair(fixture(name), destination);
    const { tensors } = readBack(python!, destination);
    const bytes = readFileSync(fixture(name));
    const dataStart = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, dataStart)) as Record<string, unknown>;
    const expected = Object.entries(header).filter(([key]) => key !== '__metadata__').map(([key, info]) => {
      // The forms that serde reads beside the usual one: a tensor as an array of its members, a dtype as an object.
      const [type, shape, [from = 0, to = 0]] = (Array.isArray(info) ? info : [(info as { dtype: unknown }).dtype, (info as { shape: unknown }).shape, (info as { data_offsets: unknown }).data_offsets]) as [string | Record<string, null>, number[], number[]];
      return [key, { dtype: typeof type === 'string' ? type : Object.keys(type)[0], shape, sha256: sha256(bytes.subarray(dataStart + from, dataStart + to)) }] as const;
    });
    expect(expected.length).toBeGreaterThan(0);
    expect(tensors).toEqual(Object.fromEntries(expected));
  });
});

describe('a PyTorch file whose migration scales were left out', () => {
  it.skipIf(!anyPython).each(['torch-1.13', 'torch-2', 'legacy'] as const)('%s has its other tensors, by torch or by Python alone', async (flavor) => {
    const layer = 'model.layers.0.mlp.up_proj';
    const rows = [[`${layer}.weight`, 'I8', [2, 2], Uint8Array.of(127, 1, 2, 127)], [`${layer}.scale`, 'F32', [2, 1], new Uint8Array(Float32Array.of(0.5, 0.25).buffer)], [`${layer}.migration_scale`, 'F32', [2], new Uint8Array(Float32Array.of(0.5, 2).buffer)]] as const;
    const tensors = rows.map(([name, type, shape, bytes]): TensorInfo => ({ name, dtype: dtype(type), shape, location: { source: memorySource(bytes, name), offset: 0, length: bytes.length } }));
    const sink = memorySink();
    await writeTorch(tensors, sink, { flavor });
    const [source, destination] = [join(work, `${flavor}.pth`), join(work, `${flavor}-repaired.pth`)];
    writeFileSync(source, sink.bytes());
    expect(repair(source, destination)).toContain('1 migration scale left out');
    expect(readBack(anyPython!, destination).tensors).toEqual(Object.fromEntries(rows.slice(0, 2).map(([name, type, shape, bytes]) => [name, { dtype: type, shape: [...shape], sha256: sha256(bytes) }])));
  });
});

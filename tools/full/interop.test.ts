// What we write is read by other people's libraries: Python's safetensors (from PyPI, in a virtual environment of its own),
// and torch where it is installed; without torch, Python's own zipfile and pickle read the archives.
import { dtype, type ByteSource, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { safetensors, writeSafetensors } from '@weightspec/safetensors';
import { writeTorch } from '@weightspec/torch-checkpoint';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../interop/read_back.py', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'weightspec-interop-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const run = (command: string, args: readonly string[]) => spawnSync(command, args, { encoding: 'utf8', timeout: 240_000, maxBuffer: 1 << 26 });
const works = (command: string, args: readonly string[]): boolean => run(command, args).status === 0;

/** The python that has the safetensors package, or why there is none. */
function pythonWithSafetensors(): { python?: string; why?: string } {
  if (works('python3', ['-c', 'import safetensors'])) return { python: 'python3' };
  if (!works('python3', ['--version'])) return { why: 'python3 is not installed' };
  const venv = join(work, 'venv');
  if (!works('python3', ['-m', 'venv', venv])) return { why: 'python3 -m venv failed (apt-get install python3-venv)' };
  const python = join(venv, 'bin', 'python');
  const installed = run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'safetensors==0.5.3']);
  return installed.status === 0 ? { python } : { why: 'the safetensors package could not be installed from PyPI' };
}

const { python, why } = pythonWithSafetensors();
// torch comes with the system's python, never from the virtual environment.
const torchPython = works('python3', ['-c', 'import torch']) ? 'python3' : undefined;
const anyPython = torchPython ?? python ?? (works('python3', ['--version']) ? 'python3' : undefined);
if (why) process.stderr.write(`skipped: safetensors' own library: ${why}\n`);
if (!torchPython) process.stderr.write(`skipped: torch is not installed (pip install torch); ${anyPython ? 'Python\'s own zipfile and pickle read the archives instead' : 'and there is no python3'}\n`);

interface ReadBack {
  readonly library: string;
  readonly tensors: Record<string, { dtype: string; shape: number[]; sha256: string }>;
}

function readBack(interpreter: string, file: string): ReadBack {
  const { status, stdout, stderr } = run(interpreter, [script, file]);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as ReadBack;
}

/** Bytes that are no repetition, without a random seed. */
const bytesOf = (length: number, salt: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 167 + salt * 59 + (i >> 8)) & 0x7b);
const specs = [['tok_embeddings.weight', 'F32', [7, 5]], ['layers.0.wq', 'BF16', [4, 6]], ['layers.0.wk', 'F16', [3, 3]], ['q', 'I8', [9]], ['scalar', 'F32', []], ['none', 'F16', [0, 4]], ['größe', 'I64', [2]]] as const;

function tensors(): { list: TensorInfo[]; expected: ReadBack['tensors'] } {
  const list: TensorInfo[] = [];
  const expected: ReadBack['tensors'] = {};
  specs.forEach(([name, type, shape], i) => {
    const length = shape.reduce((product: number, n) => product * n, 1) * dtype(type).bytesPerBlock;
    const bytes = bytesOf(length, i);
    const source: ByteSource = memorySource(bytes, name);
    list.push({ name, dtype: dtype(type), shape, location: { source, offset: 0, length } });
    expected[name] = { dtype: type, shape: [...shape], sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  return { list, expected };
}

describe('safetensors\' own library', () => {
  it.skipIf(!python)('reads every tensor that we write, bit for bit', async () => {
    const { list, expected } = tensors();
    const sink = memorySink();
    await writeSafetensors(list, sink, { metadata: { format: 'pt' } });
    const file = join(work, 'ours.safetensors');
    writeFileSync(file, sink.bytes());
    const seen = readBack(python!, file);
    process.stderr.write(`interop: read by ${seen.library}\n`);
    expect(seen.tensors).toEqual(expected);
  });
  it.skipIf(!python)('writes a file that we read as valid and write again byte for byte', async () => {
    const { status, stderr } = run(python!, [script, '--write', work]);
    expect(status, `read_back.py: ${stderr}`).toBe(0);
    const theirs = readFileSync(join(work, 'canonical.safetensors'));
    const { checkpoint, diagnostics } = await safetensors.read(memorySource(theirs));
    expect(diagnostics.filter(({ severity }) => severity !== 'info')).toEqual([]);
    const ours = memorySink();
    await safetensors.write!(checkpoint!, ours);
    expect(Buffer.compare(ours.bytes(), theirs)).toBe(0);
    const canonical = memorySink();
    await writeSafetensors(checkpoint!.tensors, canonical, { metadata: { format: 'pt' } });
    expect(Buffer.compare(canonical.bytes(), theirs)).toBe(0);
  });
});

describe('PyTorch archives', () => {
  it.skipIf(!anyPython).each(['torch-1.13', 'torch-2'] as const)('as %s: torch, or Python\'s zipfile and pickle, read every tensor bit for bit', async (flavor) => {
    const { list, expected } = tensors();
    const sink = memorySink();
    await writeTorch(list, sink, { flavor });
    const file = join(work, `${flavor}.pt`);
    writeFileSync(file, sink.bytes());
    const seen = readBack(anyPython!, file);
    process.stderr.write(`interop: ${flavor} archive read by ${seen.library}\n`);
    expect(seen.tensors).toEqual(expected);
  });
});

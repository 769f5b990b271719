/**
 * Independent readings of PyTorch checkpoints: the production reader; Kaitai or binary-parser for the container with pickleparser
 * for the pickle; and CPython's own pickle machine where python3 is there. Fixtures, real files, generated and damaged ones.
 */
import type { ByteSource, Diagnostic } from '@weightspec/core';
import { DiagnosticError } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { torchCheckpoint, type TorchTensorInfo } from '@weightspec/torch-checkpoint';
import * as fc from 'fast-check';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
// The container's reader is no export of its package.
import { readZip } from '../../torch-checkpoint/src/zip.js';
import { archive, emptyDict, int, long, plainMembers, proto, setItem, stop, tensor, text, tuple2 } from '../../../fixtures/torch-checkpoint/archive.js';
import { damagePickle, damageTorchArchive, generateTorch, type GeneratedTorch } from './generate-torch-checkpoint.js';
import { sharedData } from './shared-data.js';
import { readTorch, readTorchContainer } from './torch-checkpoint.oracle.js';
import { readPicklesWithPython, type PythonReading } from './torch-pickle.python.js';
import type { TorchContainerReading, TorchReading, TorchTensorPlace } from './torch-checkpoint.reading.js';

const PYTHON_RUNS = 400;
const readers = ['kaitai', 'binary-parser'] as const;

// pickleparser warns of integers above 2^53.
beforeAll(() => void vi.spyOn(console, 'warn').mockImplementation(() => undefined));
afterAll(() => void vi.restoreAllMocks());

const refusal = (diagnostics: readonly Diagnostic[]): string => diagnostics.filter(({ severity }) => severity === 'error').map(({ code, message }) => `${code}: ${message}`).join('\n');

async function containerOf(source: ByteSource): Promise<TorchContainerReading> {
  try {
    const { members } = await readZip(source);
    return { accepted: true, members: members.map(({ name, method, crc, headerOffset, dataOffset, compressedBytes, byteLength }) => ({ name, method, crc, headerOffset, dataOffset, compressedLength: compressedBytes, length: byteLength })) };
  } catch (error) {
    if (error instanceof DiagnosticError) return { accepted: false, reason: refusal(error.diagnostics) };
    throw error;
  }
}

/** Reads and checks deeply. */
async function production(bytes: Uint8Array): Promise<TorchReading> {
  const source = memorySource(bytes, 'file');
  const { checkpoint, diagnostics } = await torchCheckpoint.read(source);
  const all = [...diagnostics, ...(checkpoint ? (await torchCheckpoint.validate(checkpoint, { deep: true })).diagnostics : [])];
  // In a deflated data.pkl, ranges count inflated bytes.
  const outside = all.filter(({ byteRange: [start, end] = [-1, -1], source: name }) => !(start >= 0 && start <= end && (end <= bytes.length || name !== 'file')));
  expect(outside).toEqual([]);
  if (!checkpoint || refusal(all) !== '') return { accepted: false, reason: refusal(all) };
  return { accepted: true, container: checkpoint.variant as 'zip' | 'legacy', tensors: (checkpoint.tensors as readonly TorchTensorInfo[]).map(placeOf) };
}

const placeOf = ({ name, dtype, shape, strides, storage, storageOffset, location }: TorchTensorInfo): TorchTensorPlace => ({
  name, dtype: dtype.name, shape, strides: strides ?? null, storageKey: storage.key, storageOffset, offset: location.offset, length: location.length, deflated: location.source.name !== 'file',
});

/** Rules about the machine that pickleparser does not have (see torch-pickle.pickleparser.ts), and our own limits. CPython's has the former. */
const beyondPickleparser = new RegExp(
  `^TORCH_(${[
    'PROTOCOL', 'OPCODE', 'PICKLE_STACK', 'PICKLE_MEMO', 'PICKLE_FRAME', 'PICKLE_NUMBER', 'PICKLE_TRAILING', 'DUPLICATE_KEY', 'BUILD', 'REDUCE', // K-1, K-2: no such check
    'TENSOR_ARGUMENTS', 'TENSOR_HOOKS', 'TENSOR_METADATA', 'PERSISTENT_ID', // a list for a tuple, a float for an int, something put in later
    'LIMIT',
  ].join('|')}): |^TORCH_LEGACY_(KEYS: the fifth pickle is no list|HEADER: the (type sizes|system))`, // the same in the pickles around the object
);

/** How production and an oracle contradict each other, or undefined. */
function contradiction(ours: TorchReading, oracle: TorchReading): string | undefined {
  if (!oracle.accepted && oracle.undecided) return undefined;
  if (ours.accepted) return isDeepStrictEqual(ours, oracle) ? undefined : `accepted as ${JSON.stringify(ours)}, by the oracle ${oracle.accepted ? 'as' : 'not'}: ${JSON.stringify(oracle)}`;
  return oracle.accepted && !beyondPickleparser.test(ours.reason) ? `refused (${ours.reason}), accepted by the oracle: ${JSON.stringify(oracle)}` : undefined;
}

/** Rules about more than the object's pickle, and our own limits. */
const beyondOnePickle = /^TORCH_(STORAGE_MISSING|STORAGE_SIZE|LEGACY_KEYS|LEGACY_TRUNCATED|LEGACY_TRAILING|LIMIT): /;

function contradictionWithPython(ours: TorchReading, python: PythonReading): string | undefined {
  if (!ours.accepted) return python.accepted && !beyondOnePickle.test(ours.reason) ? `refused (${ours.reason}), accepted by CPython` : undefined;
  if (!python.accepted) return `accepted, refused by CPython (${python.reason})`;
  const told = ours.tensors.map(({ name, dtype, shape, storageKey, storageOffset, strides }, i) => [name, dtype, shape, strides ?? python.tensors[i]?.[3], storageKey, storageOffset]);
  return isDeepStrictEqual(told, python.tensors) ? undefined : `read otherwise: ${JSON.stringify([told, python.tensors])}`;
}

/** Whether the production reader accepts, with which all other readings must be in line. */
async function agree(bytes: Uint8Array): Promise<TorchReading> {
  const ours = await production(bytes);
  for (const reader of readers) expect(contradiction(ours, readTorch(bytes, reader))).toBeUndefined();
  return ours;
}

async function agreeOnContainer(bytes: Uint8Array): Promise<TorchContainerReading> {
  const ours = await containerOf(memorySource(bytes));
  for (const reader of readers) {
    const oracle = readTorchContainer(bytes, reader);
    const same = ours.accepted ? isDeepStrictEqual(ours, oracle) : !oracle.accepted;
    expect(same ? undefined : { reader, ours, oracle }).toBeUndefined();
  }
  return ours;
}

const fixtures = fileURLToPath(new URL('../../../fixtures/torch-checkpoint/', import.meta.url));
const fixtureFiles = ['valid', 'ambiguous', 'invalid'].flatMap((kind) => readdirSync(join(fixtures, kind)).filter((file) => file.endsWith('.pth')).map((file) => ({ kind, path: join(fixtures, kind, file) })));
const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && bytes[1] === 0x4b;

function realFiles(folder: string): string[] {
  const root = sharedData(folder);
  if (root === undefined) return [];
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => /(\.pth|pytorch_model.*\.bin)$/.test(name)).map((name) => join(root, name));
}

describe('independent readings of PyTorch checkpoints', () => {
  it('agree on generated archives and legacy streams, and find in them what they were made of', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(), fc.constantFrom('zip' as const, 'zip' as const, 'legacy' as const), async (seed, container) => {
      const { bytes, tensors } = generateTorch({ seed, container });
      const reading = await agree(bytes);
      if (!reading.accepted) throw new Error(reading.reason);
      expect(reading.container).toBe(container);
      expect(reading.tensors.map(({ name, dtype, shape, strides, storageKey, storageOffset }, i) => ({ name, dtype, shape, strides: strides ?? tensors[i]!.strides, storageKey, storageOffset }))).toEqual(tensors);
      const members = container === 'zip' ? await agreeOnContainer(bytes) : undefined;
      expect(members?.accepted).not.toBe(false);
    }), { numRuns: 100 });
  });

  it('agree on the container of damaged archives, rule by rule, and on the tensors of those that are still accepted', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(fc.nat(), async (seed) => {
      const bytes = damageTorchArchive(generateTorch({ seed, container: 'zip' }), seed);
      const { accepted } = await agreeOnContainer(bytes);
      counts[accepted ? 'accepted' : 'refused']++;
      await agree(bytes);
    }), { numRuns: 300 });
    expect(counts.accepted).toBeGreaterThan(40);
    expect(counts.refused).toBeGreaterThan(100);
  });

  it('agree on damaged pickles in sound containers', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(fc.nat(), fc.constantFrom('zip' as const, 'legacy' as const), async (seed, container) => {
      counts[(await agree(damaged(seed, container).bytes)).accepted ? 'accepted' : 'refused']++;
    }), { numRuns: 300 });
    // About 16 of 300 stay acceptable: fewer than two by chance once in half a million runs.
    expect(counts.accepted).toBeGreaterThan(1);
    expect(counts.refused).toBeGreaterThan(120);
  });

  it('agree with CPython on the object\'s pickle, sound and damaged, accepted or refused', async () => {
    const files = fc.sample(fc.nat(), PYTHON_RUNS).map((seed, i) => {
      const container = i % 4 === 3 ? 'legacy' : 'zip';
      return { container, seed, ...(i % 8 === 0 ? generateTorch({ seed, container }) : damagedObject(seed, container)) };
    });
    const readings = readPicklesWithPython(files.map(({ container, pickles }) => ({ bytes: pickles[container === 'zip' ? 0 : 3]!, legacy: container === 'legacy' })));
    if (readings === undefined) {
      process.stderr.write('skipped: no python3, pickles were not compared with CPython\n');
      return;
    }
    const counts = { accepted: 0, refused: 0 };
    for (const [i, { seed, container, bytes }] of files.entries()) {
      const ours = await production(bytes);
      counts[ours.accepted ? 'accepted' : 'refused']++;
      expect({ seed, container, found: contradictionWithPython(ours, readings[i]!) }).toEqual({ seed, container, found: undefined });
    }
    // About 70 of 400, standard deviation 8: five of them below.
    expect(counts.accepted).toBeGreaterThan(PYTHON_RUNS / 14);
    expect(counts.refused).toBeGreaterThan(PYTHON_RUNS / 3);
  });

  it('agree on every committed fixture', async () => {
    expect(fixtureFiles.length).toBeGreaterThan(100);
    for (const { kind, path } of fixtureFiles) {
      const bytes = new Uint8Array(readFileSync(path));
      const reading = await agree(bytes);
      expect(`${path} ${reading.accepted}`).toBe(`${path} ${kind !== 'invalid'}`);
      if (isZip(bytes)) await agreeOnContainer(bytes);
    }
  });

  it('agree on real files, sound and malicious', async () => {
    for (const path of [...realFiles('pth'), ...realFiles('models')]) expect(`${path} ${(await agree(new Uint8Array(readFileSync(path)))).accepted}`).toBe(`${path} true`);
    for (const path of realFiles('pth_bad')) await agree(new Uint8Array(readFileSync(path)));
  });
});

const damagedObject = (seed: number, container: 'zip' | 'legacy'): GeneratedTorch =>
  generateTorch({ seed, container, edit: (opcodes, pickle) => (pickle === (container === 'zip' ? 0 : 3) ? damagePickle(opcodes, seed) : opcodes) });

/** What the readings once disagreed on, or reported outside of the file. */
describe('cases that the properties found', () => {
  const sound = (): Uint8Array => archive({ members: plainMembers() }).bytes;
  const patched = (at: number, ...content: number[]): Uint8Array => {
    const bytes = sound();
    bytes.set(content, at < 0 ? bytes.length + at : at);
    return bytes;
  };
  const firstEntry = archive({ members: plainMembers() }).central[0]![0];
  const strided = [proto, emptyDict, text('w'), ...tensor({ size: [int(1), int(2), tuple2], stride: [long(2n ** 60n, 8), int(1), tuple2] }), setItem, stop];
  it.each([
    ['a stride of 2^60 over a dimension of one', 'TORCH_TENSOR_OVERFLOW', archive({ members: plainMembers(strided) }).bytes],
    ['a checksum of an empty member among zeros (not all checksums are zero)', 'TORCH_ZIP_CRC', archive({ noCrc: true, members: [...plainMembers(), { name: 'archive/empty', data: [], central: { crc: 5 }, descriptor: { crc: 5 } }] }).bytes],
    ['a comment that is announced and not there', 'TORCH_ZIP_TRAILING_BYTES', patched(-2, 9, 0)],
    ['a member far behind the file', 'TORCH_ZIP_LAYOUT', patched(firstEntry + 46 + 16 + 42, 0, 0, 0, 9)],
  ] as const)('%s (%s)', async (_, code, bytes) => {
    const ours = await agree(bytes);
    expect(ours.accepted ? 'accepted' : ours.reason.split(':')[0]).toBe(code);
  });
});

/** A file whose container is sound and one of whose pickles is not, or is another one. */
function damaged(seed: number, container: 'zip' | 'legacy'): GeneratedTorch {
  const chosen = container === 'zip' ? 0 : 2 + (seed % 3);
  return generateTorch({ seed, container, edit: (opcodes, pickle) => (pickle === chosen ? damagePickle(opcodes, seed) : opcodes) });
}

/**
 * Deep checks behind a directory that `read` found sound: every member's CRC, NaN and infinities, zeroed tails.
 * Each byte is read once, in file order, a megabyte ahead. Clauses Z-3.3, V-1.
 */
import { contentScanner, type ContentScanner } from '@weightspec/codecs';
import { DiagnosticError, type ByteSource, type Checkpoint, type DType, type Diagnostic, type TensorLocation, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { isZero } from './bytes.js';
import { torchDiagnostic } from './codes.js';
import { crc32 } from './crc32.js';
import { originOf } from './origin.js';
import type { TorchTensorInfo } from './tensor.js';
import { hex } from './zip.js';

const CHUNK_BYTES = 2 ** 20;
/** Shorter runs of zeros are biases; what a lost write leaves comes in blocks. */
const MIN_TAIL_BYTES = 4_096;

/** A run of bytes to read once. */
interface Run {
  readonly location: TensorLocation;
  /** Where the run stands in the file, for its order and for messages. */
  readonly fileOffset: number;
  readonly name: string;
  readonly pointer?: string;
  /** Absent for members that are no storage. */
  readonly dtype?: DType;
  readonly isStorage: boolean;
  readonly crc?: { readonly expected: number; readonly file: ByteSource };
}

export async function validate(checkpoint: Checkpoint, { deep, progress, signal }: ValidateOptions = {}): Promise<ValidateResult> {
  const origin = originOf(checkpoint);
  const checked = [checkpoint.variant === 'legacy' ? 'the five pickles, every element count and the exact file size' : 'end records, directory, and every local header and descriptor', 'every opcode, global and call of the pickle', `bounds of ${checkpoint.tensors.length} tensors in their storages`];
  const meaning = 'whether names, shapes and values are those of a model: run it';
  if (!deep) return { diagnostics: [], checked, notChecked: [...(checkpoint.variant === 'zip' ? ['checksums of the storages: use --deep'] : []), 'tensor values (NaN, infinities, zeroed tails): use --deep', meaning] };

  const diagnostics: Diagnostic[] = [];
  const runs = runsOf(checkpoint);
  const total = runs.reduce((sum, run) => sum + run.location.length, 0);
  let done = 0;
  const zero = new Map<Run, boolean>();
  for (const run of runs) {
    try {
      zero.set(run, await scan(run, diagnostics, (bytes) => {
        signal?.throwIfAborted();
        progress?.((done += bytes), total);
      }));
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
      diagnostics.push(...error.diagnostics);
      zero.set(run, false);
    }
  }
  diagnostics.push(...zeroedTail(runs.filter((run) => run.isStorage && run.location.length > 0), zero));
  const withCrc = origin?.zip && !origin.zip.withoutCrc;
  const unscanned = runs.filter((run) => run.isStorage && run.dtype !== undefined && contentScanner(run.dtype) === undefined).length;
  return {
    diagnostics,
    checked: [...checked, ...(withCrc ? [`the CRC of ${origin.zip.members.length} members`] : []), `every value of ${runs.filter((run) => run.isStorage).length - unscanned} float storages`],
    notChecked: [...(withCrc ? [] : ['checksums: the file has none']), ...(unscanned > 0 ? [`NaN and infinities in ${unscanned} storages of types that have none or are not looked into`] : []), meaning],
  };
}

/** In file order, each byte once. Without an origin only what the tensors point to is known. */
function runsOf(checkpoint: Checkpoint): Run[] {
  const origin = originOf(checkpoint);
  const firstUser = new Map<string, string>();
  for (const tensor of checkpoint.tensors as readonly Partial<TorchTensorInfo>[]) if (tensor.storage && !firstUser.has(tensor.storage.key)) firstUser.set(tensor.storage.key, tensor.name!);
  if (!origin) {
    const distinct = new Map(checkpoint.tensors.map((tensor) => [`${tensor.location.source.name}:${tensor.location.offset}:${tensor.location.length}`, tensor]));
    return [...distinct.values()].map(({ name, dtype, location }) => ({ location, fileOffset: location.offset, name, pointer: `/tensors/${name}`, dtype, isStorage: true })).toSorted((a, b) => a.fileOffset - b.fileOffset);
  }
  const storageRun = (key: string, fileOffset: number, crc?: Run['crc']): Run => {
    const { storage, location } = origin.storages.get(key)!;
    const user = firstUser.get(key);
    return { location, fileOffset, name: user === undefined ? `storage ${key}` : `storage ${key} (${user})`, ...(user === undefined ? {} : { pointer: `/tensors/${user}` }), ...(storage.type.dtype ? { dtype: storage.type.dtype } : {}), isStorage: true, ...(crc ? { crc } : {}) };
  };
  if (!origin.zip) return [...origin.storages].map(([key, { location }]) => storageRun(key, location.offset)).toSorted((a, b) => a.fileOffset - b.fileOffset);
  const { archiveName, members, withoutCrc } = origin.zip;
  return members
    .map((member) => {
      const key = member.name.slice(archiveName.length + 6); // behind "/data/"
      const crc = withoutCrc ? undefined : { expected: member.crc, file: origin.source };
      if (member.name.startsWith(`${archiveName}/data/`) && origin.storages.has(key)) return storageRun(key, member.dataOffset, crc);
      // Other deflated members were inflated when the file was opened, or are not part of the checkpoint.
      const location = { source: origin.source, offset: member.dataOffset, length: member.method === 0 ? member.byteLength : 0 };
      return { location, fileOffset: member.dataOffset, name: member.name, isStorage: false, ...(crc && member.method === 0 ? { crc } : {}) };
    })
    .toSorted((a, b) => a.fileOffset - b.fileOffset);
}

/** Reads one run, the next chunk while this one is looked at. Returns whether all of it is zero. */
async function scan(run: Run, found: Diagnostic[], advance: (bytes: number) => void): Promise<boolean> {
  const { source, offset, length } = run.location;
  const scanner: ContentScanner | undefined = run.dtype && contentScanner(run.dtype);
  const chunkAt = (start: number): Promise<Uint8Array> | undefined => (start < length ? source.read(offset + start, Math.min(CHUNK_BYTES, length - start)) : undefined);
  let crc = 0;
  let allZero = true;
  let next = chunkAt(0);
  for (let start = 0; next; start += CHUNK_BYTES) {
    const chunk = await next;
    next = chunkAt(start + CHUNK_BYTES);
    next?.catch(() => undefined); // awaited in the next round; an abort in between must not leave it unhandled
    if (run.crc) crc = crc32(chunk, crc);
    scanner?.push(chunk);
    if (!scanner && allZero) allZero = isZero(chunk);
    advance(chunk.length);
  }
  const pointer = run.pointer === undefined ? {} : { pointer: run.pointer };
  if (run.crc && crc !== run.crc.expected) found.push(torchDiagnostic('TORCH_ZIP_CRC', run.crc.file.name, { ...pointer, byteRange: [run.fileOffset, run.fileOffset + Math.max(1, length)], message: `${run.name} has CRC ${hex(crc)}; the archive says ${hex(run.crc.expected)}` }));
  const findings = scanner?.findings();
  if (findings?.firstNonFiniteByte !== undefined) {
    const first = offset + findings.firstNonFiniteByte;
    found.push(torchDiagnostic('TORCH_WEIGHT_NOT_FINITE', source.name, { ...pointer, byteRange: [first, first + run.dtype!.bytesPerBlock], message: `${findings.nonFiniteCount} of ${length / run.dtype!.bytesPerBlock} values of ${run.name} are NaN or infinite` }));
  }
  return findings ? findings.allZeroBytes : allZero;
}

/** Clause V-1.2: zeros from some storage to the last one, with something else before them. */
function zeroedTail(storages: readonly Run[], zero: ReadonlyMap<Run, boolean>): Diagnostic[] {
  let first = storages.length;
  while (first > 0 && zero.get(storages[first - 1]!) === true) first--;
  const tail = storages.slice(first);
  const byteLength = tail.reduce((sum, run) => sum + run.location.length, 0);
  if (first === 0 || byteLength < MIN_TAIL_BYTES) return [];
  const [start] = tail as [Run];
  const last = tail.at(-1)!;
  return [torchDiagnostic('TORCH_ZEROED_TAIL', start.location.source.name, { ...(start.pointer === undefined ? {} : { pointer: start.pointer }), byteRange: [start.location.offset, last.location.source === start.location.source ? last.location.offset + last.location.length : start.location.offset + start.location.length], message: `the last ${tail.length} storages, from ${start.name} on (${byteLength} bytes), are all zero` })];
}

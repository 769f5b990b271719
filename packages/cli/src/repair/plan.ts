/**
 * What of a file can be repaired without guessing: the edits to its header, then whether it has to be written anew, and what stays.
 * Nothing is written here, and the edited file is checked like any other before it is offered.
 */
import { copyRange, type ByteSink, type ByteSource, type Checkpoint, type Diagnostic, type Format } from '@weightspec/core';
import { open, validateSource, type Report, type ReportOptions } from '@weightspec/formats';
import { withoutMigrationScales } from '@weightspec/models';
import { canonicalOrder, encodeHeader, writeSafetensors } from '@weightspec/safetensors';
import type { ShardResolver } from '@weightspec/sharded-index';
import { writeTorch, type TorchFlavor } from '@weightspec/torch-checkpoint';
import { editedSource, type Edit } from './edits.js';
import { otherSharedFlags, scalesText, spacePaddedHeader, unitFlag, zeroedPadding, type Change, type EditedHeader } from './headers.js';
import { indexEdits } from './index-file.js';

export interface RepairPlan {
  /** Empty when there is nothing to repair, or nothing that can be. */
  readonly changes: readonly Change[];
  /** What the repaired file will still have; an error among them means that there is no repair. */
  readonly remaining: readonly Diagnostic[];
  /** Writes the repaired file, front to back, a megabyte at a time. */
  write(sink: ByteSink): Promise<void>;
}

export interface PlanOptions {
  readonly formats: readonly Format[];
  /** Opens the shards beside an index. */
  readonly resolve?: ShardResolver;
  readonly further?: ReportOptions['further'];
}

/** Findings that writing a safetensors file anew answers; whatever else a header says is kept. */
const answeredByWriting: ReadonlySet<string> = new Set(['SAFETENSORS_UNALIGNED', 'SAFETENSORS_TENSOR_INFO_FORM', 'SAFETENSORS_METADATA_NULL']);
const headerPadding: ReadonlySet<string> = new Set(['SAFETENSORS_WHITESPACE_BEFORE', 'SAFETENSORS_WHITESPACE_AFTER', 'SAFETENSORS_TRAILING_HEADER_BYTES']);
const zeroPadding: ReadonlySet<string> = new Set(['LLAMA2C_HEADER_PADDING', 'GGML_QWEN_PADDING']);
const wrongSize: ReadonlySet<string> = new Set(['LLAMA2C_TRUNCATED', 'LLAMA2C_HEADER_TRUNCATED', 'LLAMA2C_TRAILING_BYTES', 'LLAMA2C_V1_INT8_UNSHARED']);

const hasErrors = ({ summary }: Report): boolean => summary.errors > 0;

/** Throws IoError. */
export async function planRepair(source: ByteSource, options: PlanOptions): Promise<RepairPlan> {
  const check = (checked: ByteSource): Promise<Report> => validateSource(checked, options);
  const before = await check(source);
  const edited = await editsFor(source, before, options, check);
  const view = edited.edits.length > 0 ? editedSource(source, edited.edits) : source;
  const after = edited.edits.length > 0 ? await check(view) : before;
  const rewriting = hasErrors(after) ? undefined : await rewritingOf(view, after, options);
  const changes = [...edited.changes, ...(rewriting?.changes ?? [])];
  return {
    changes,
    remaining: after.diagnostics.filter(({ code, severity }) => severity !== 'info' && !(rewriting && answeredByWriting.has(code))),
    write: (sink) => (rewriting ? rewriting.write(sink) : copyRange(view, 0, view.size, sink)),
  };
}

/** Edits of the header. The flag comes first: where it is wrong, the layout may be another one, and what looks like padding may be a tensor. */
async function editsFor(source: ByteSource, report: Report, { resolve }: PlanOptions, check: (source: ByteSource) => Promise<Report>): Promise<EditedHeader> {
  if (report.format === 'sharded-index') return resolve ? indexEdits(source, resolve) : { edits: [], changes: [] };
  const flag = await flagEdits(source, report, check);
  const { diagnostics } = flag.edits.length > 0 ? await check(editedSource(source, flag.edits)) : report;
  const padding = diagnostics.filter(({ code }) => headerPadding.has(code));
  return joined([
    flag,
    ...(padding.length > 0 ? [await spacePaddedHeader(source, await headerLength(source), padding)] : []),
    ...diagnostics.filter(({ code }) => zeroPadding.has(code)).map(zeroedPadding),
  ]);
}

/** The value of llama2.c's shared flag with which the file has no error: the other one where the size is wrong, 1 where it is neither 0 nor 1. */
async function flagEdits(source: ByteSource, { diagnostics, variant }: Report, check: (source: ByteSource) => Promise<Report>): Promise<EditedHeader> {
  const sizeFault = diagnostics.find(({ code }) => wrongSize.has(code));
  const oddFlag = diagnostics.find(({ code }) => code === 'LLAMA2C_SHARED_FLAG');
  const candidates = [...(sizeFault ? await otherSharedFlags(source, sizeFault, variant ?? '') : []), ...(oddFlag ? [unitFlag(oddFlag)] : [])];
  for (const candidate of candidates) {
    if (!hasErrors(await check(editedSource(source, candidate.edits)))) return candidate;
  }
  return { edits: [], changes: [] };
}

const joined = (parts: readonly EditedHeader[]): EditedHeader => ({ edits: parts.flatMap(({ edits }): readonly Edit[] => edits), changes: parts.flatMap(({ changes }) => changes) });

async function headerLength(source: ByteSource): Promise<number> {
  const bytes = await source.read(0, 8);
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
}

interface Rewriting {
  readonly changes: readonly Change[];
  write(sink: ByteSink): Promise<void>;
}

/** A file that has to be written anew: without scales that are fused already, or with its tensors in canonical order. */
async function rewritingOf(view: ByteSource, report: Report, { formats }: PlanOptions): Promise<Rewriting | undefined> {
  if (report.format !== 'safetensors' && report.format !== 'torch-checkpoint') return undefined;
  const { checkpoint } = await open(view, formats);
  if (!checkpoint) return undefined;
  const fused = report.diagnostics.find(({ code }) => code === 'SMOOTHQUANT_MIGRATION_SCALES');
  const kept = fused ? withoutMigrationScales(checkpoint) : checkpoint;
  const removed = fused ? [{ code: fused.code, message: `${scalesText(checkpoint.tensors.length - kept.tensors.length)} left out: they are fused already` }] : [];
  return report.format === 'safetensors' ? safetensorsRewriting(view, report, kept, removed) : torchRewriting(checkpoint, kept, removed);
}

async function safetensorsRewriting(view: ByteSource, { diagnostics }: Report, { tensors, metadata: { __metadata__: stored } }: Checkpoint, removed: readonly Change[]): Promise<Rewriting | undefined> {
  // A member that nobody knows would be lost, and with it perhaps a meaning.
  if (diagnostics.some(({ code }) => code === 'SAFETENSORS_UNKNOWN_FIELD')) return undefined;
  const metadata = typeof stored === 'object' && stored !== null ? { metadata: stored as Readonly<Record<string, string>> } : {};
  const ordered = canonicalOrder(tensors);
  const wanted = encodeHeader(ordered, metadata.metadata);
  const present = await view.read(0, Math.min(view.size, 8 + (await headerLength(view))));
  if (wanted.length === present.length && wanted.every((byte, index) => byte === present[index])) return undefined;
  const answered = diagnostics.filter(({ code }) => answeredByWriting.has(code)).map(({ code }) => code);
  const moved = ordered.some((tensor, index) => tensor !== tensors[index]);
  const form: Change = { code: answered[0] ?? '', message: moved ? 'tensors are in canonical order now (element size, then name), in the header and in the data' : 'the header is written canonically: compact, in the order of the data, padded to 8 bytes' };
  return { changes: [...removed, form], write: (sink) => writeSafetensors(tensors, sink, metadata) };
}

/** The whole object without the tensors that are not kept: counters, an optimizer's tensors and what they are wrapped in stay. */
function torchRewriting(checkpoint: Checkpoint, { tensors }: Checkpoint, removed: readonly Change[]): Rewriting | undefined {
  if (removed.length === 0) return undefined;
  const { variant, metadata } = checkpoint;
  const flavor: TorchFlavor = variant === 'legacy' ? 'legacy' : metadata.serializationId === undefined && metadata.byteOrder === undefined ? 'torch-1.13' : 'torch-2';
  const names = new Set(tensors.map(({ name }) => name));
  const leaveOut = new Set(checkpoint.tensors.map(({ name }) => name).filter((name) => !names.has(name)));
  return { changes: removed, write: (sink) => writeTorch(checkpoint, sink, { flavor, leaveOut }) };
}

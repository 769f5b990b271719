import type { ByteSource, CodeEntry, Diagnostic } from '@weightspec/core';
import { fileSource } from '@weightspec/io/node';
import { codeFamilies, fieldMap, type FieldMap, type Report } from '@weightspec/formats';
import { smoothquantCodes } from '@weightspec/smoothquant';
import { readFrame, type Frame } from './hexdump.js';

/** One report and the bytes that its first diagnostics point at. */
export interface CheckedFile {
  readonly report: Report;
  /** Annotated hexdumps, for those of `shownDiagnostics` that have a byte range in the file itself. */
  readonly frames: ReadonlyMap<Diagnostic, Frame>;
}

/** A file that a folder holds and that nobody checked. */
export interface UncheckedFile {
  readonly path: string;
  readonly reason: string;
}

/** A file that could not be read, or whose check could not go on. */
export interface FailedFile {
  readonly path: string;
  /** Absent for a fault of Weightspec's own. */
  readonly code?: string;
  readonly message: string;
}

/** What one run of `validate` found, for every output format. */
export interface Findings {
  readonly version: string;
  readonly files: readonly CheckedFile[];
  readonly unchecked: readonly UncheckedFile[];
  readonly failed: readonly FailedFile[];
}

/** Text and HTML show so many findings a file; JSON and SARIF give all that the report kept. */
export const shownDiagnostics = 20;

/** What a file is, each word once: a format of one variant may call it by its own name. */
export const formatWords = ({ format, variant }: Report): readonly string[] => [...new Set([format, variant].filter((word) => word !== null))];

/** Reads the frames of `report` while its source is still open. */
export async function withFrames(report: Report, source: ByteSource): Promise<CheckedFile> {
  const frames = new Map<Diagnostic, Frame>();
  let fields: FieldMap | undefined;
  for (const diagnostic of report.diagnostics.slice(0, shownDiagnostics)) {
    if (!diagnostic.byteRange || diagnostic.source !== source.name) continue;
    fields ??= await fieldMap(source);
    const frame = await readFrame(source, diagnostic.byteRange, withTensor(fields, diagnostic));
    if (frame) frames.set(diagnostic, frame);
  }
  return { report, frames };
}

/** Where the directory could not be read, a finding itself may say which tensor its bytes are of. */
function withTensor(fields: FieldMap, { byteRange, pointer }: Diagnostic): FieldMap {
  const [, tensor] = /^\/tensors\/([^/]+)$/.exec(pointer ?? '') ?? [];
  if (tensor === undefined || !byteRange) return fields;
  const name = tensor.replaceAll('~1', '/').replaceAll('~0', '~');
  return {
    async at(range) {
      const found = await fields.at(range);
      return found.some((field) => field.byteRange[0] < byteRange[1] && field.byteRange[1] > byteRange[0]) ? found : [...found, { name, byteRange }];
    },
  };
}

/** The same for a folder: each finding's bytes are in one of `paths`, which `open` opens. */
export async function withFolderFrames(report: Report, paths: readonly string[], open: (path: string) => Promise<ByteSource | undefined> = fileSource): Promise<CheckedFile> {
  const frames = new Map<Diagnostic, Frame>();
  const shown = report.diagnostics.slice(0, shownDiagnostics);
  for (const path of new Set(shown.filter(({ byteRange, source }) => byteRange && paths.includes(source)).map(({ source }) => source))) {
    const source = await open(path);
    if (!source) continue;
    try {
      const ofFile = await withFrames({ ...report, diagnostics: shown }, source);
      for (const [diagnostic, frame] of ofFile.frames) frames.set(diagnostic, frame);
    } finally {
      await source.close?.();
    }
  }
  return { report, frames };
}

/** Every code that `validate` can find, with its table row. */
export function codeIndex(): ReadonlyMap<string, CodeEntry> {
  return new Map([...codeFamilies().map(({ codes }) => codes), smoothquantCodes].flatMap((codes) => Object.entries(codes)));
}

import type { ByteSource, CodeEntry, Diagnostic } from '@weightspec/core';
import { fileSource } from '@weightspec/io/node';
import { codeFamilies, type Report } from '@weightspec/formats';
import { smoothquantCodes } from '@weightspec/smoothquant';
import { readFrame } from './hexdump.js';

/** One report and the bytes that its first diagnostics point at. */
export interface CheckedFile {
  readonly report: Report;
  /** Annotated hexdump lines, for those of `shownDiagnostics` that have a byte range in the file itself. */
  readonly frames: ReadonlyMap<Diagnostic, readonly string[]>;
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

/** Reads the frames of `report` while its source is still open. */
export async function withFrames(report: Report, source: ByteSource): Promise<CheckedFile> {
  const frames = new Map<Diagnostic, readonly string[]>();
  for (const diagnostic of report.diagnostics.slice(0, shownDiagnostics)) {
    if (!diagnostic.byteRange || diagnostic.source !== source.name) continue;
    const frame = await readFrame(source, diagnostic.byteRange);
    if (frame) frames.set(diagnostic, frame);
  }
  return { report, frames };
}

/** The same for a folder: each finding's bytes are in one of `paths`. */
export async function withFolderFrames(report: Report, paths: readonly string[]): Promise<CheckedFile> {
  const frames = new Map<Diagnostic, readonly string[]>();
  for (const diagnostic of report.diagnostics.slice(0, shownDiagnostics)) {
    if (!diagnostic.byteRange || !paths.includes(diagnostic.source)) continue;
    const source = await fileSource(diagnostic.source);
    try {
      const frame = await readFrame(source, diagnostic.byteRange);
      if (frame) frames.set(diagnostic, frame);
    } finally {
      await source.close();
    }
  }
  return { report, frames };
}

/** Every code that `validate` can find, with its table row. */
export function codeIndex(): ReadonlyMap<string, CodeEntry> {
  return new Map([...codeFamilies().map(({ codes }) => codes), smoothquantCodes].flatMap((codes) => Object.entries(codes)));
}

import { elementCount, summarize, verdictOf, type ByteSource, type Checkpoint, type Diagnostic, type Format, type Producer, type Summary, type ValidateOptions, type ValidateResult, type Verdict } from '@weightspec/core';
import { lmdeployInt8Weights } from '@weightspec/models';
import { formats } from './list.js';
import { open, type OpenResult } from './open.js';

export interface ReportStats {
  readonly fileSize: number;
  /** Tensors in the directory; 0 when it could not be read. */
  readonly tensorCount: number;
  /** Elements of all tensors but plain integer ones; a weight packed as values and scales counts its logical elements once. */
  readonly parameterCount: number;
  /** Tensor bytes that a deep check went through, by its own progress reports. */
  readonly bytesChecked?: number;
  /** Of a folder: the names of the files that the report is about. */
  readonly files?: readonly string[];
  /** What was looked at, in words. */
  readonly checked: readonly string[];
  /** What was not, in words. */
  readonly notChecked: readonly string[];
  /** `diagnosticsKept` of `diagnosticsFound` are in the report; the summary counts all of them. */
  readonly limits: { readonly deep: boolean; readonly diagnosticsKept: number; readonly diagnosticsFound: number };
}

/** What is known about one file, ready to be printed or sent as JSON. */
export interface Report {
  readonly path: string;
  readonly format: string | null;
  readonly variant: string | null;
  readonly producer?: Producer;
  readonly verdict: Verdict;
  readonly summary: Summary;
  readonly diagnostics: readonly Diagnostic[];
  readonly stats: ReportStats;
}

export interface ReportOptions extends ValidateOptions {
  /** Warnings count, and are reported, as errors. */
  readonly strict?: boolean;
  /** Diagnostics kept in the report, errors first. Default 1000. */
  readonly maxDiagnostics?: number;
  /** What a package above this one checks as well, once a checkpoint could be read. Undefined: it has nothing to say about this one. */
  readonly further?: (checkpoint: Checkpoint, options: ValidateOptions) => Promise<ValidateResult | undefined>;
}

export interface ValidateSourceOptions extends ReportOptions {
  readonly formats?: readonly Format[];
}

const severityRank = { error: 0, warning: 1, info: 2 } as const;
const nothingChecked: ValidateResult = { diagnostics: [], checked: [], notChecked: [] };

/** Detects, reads and validates one source. Bad bytes become diagnostics; only I/O faults and aborts throw. */
export async function validateSource(source: ByteSource, options: ValidateSourceOptions = {}): Promise<Report> {
  options.signal?.throwIfAborted();
  return reportOn(source, await open(source, options.formats ?? formats), options);
}

/** Validates what `open` made of `source`. */
export async function reportOn(source: Pick<ByteSource, 'name' | 'size'>, opened: OpenResult, options: ReportOptions = {}): Promise<Report> {
  const { format, checkpoint } = opened;
  const validate = async (validateOptions: ValidateOptions) => (format && checkpoint ? format.validate(checkpoint, validateOptions) : nothingChecked);
  return makeReport({ ...opened, path: source.name, fileSize: source.size, recognised: format !== undefined, validate }, options);
}

/** What was opened: one file, or the model of a folder. */
export interface Subject {
  readonly path: string;
  /** Bytes of all files that hold the weights. */
  readonly fileSize: number;
  readonly files?: readonly string[];
  readonly format?: Format;
  readonly variant?: string;
  readonly checkpoint?: Checkpoint;
  readonly diagnostics: readonly Diagnostic[];
  /** False for the verdict `unrecognized`. */
  readonly recognised: boolean;
  readonly validate: (options: ValidateOptions) => Promise<ValidateResult>;
}

/** Validates what was opened and puts all that is known of it into a report. */
export async function makeReport(subject: Subject, options: ReportOptions): Promise<Report> {
  const { deep = false, strict = false, maxDiagnostics = 1000, signal } = options;
  const { path, fileSize, format, variant, checkpoint } = subject;
  const counter = byteCounter(options);
  const result = await subject.validate({ deep, signal, progress: counter.progress });
  const further = (checkpoint && (await options.further?.(checkpoint, { deep, signal }))) ?? nothingChecked;

  const found = [...subject.diagnostics, ...result.diagnostics, ...further.diagnostics].map((d) => (strict && d.severity === 'warning' ? { ...d, severity: 'error' as const } : d));
  const kept = found.toSorted((a, b) => severityRank[a.severity] - severityRank[b.severity]).slice(0, maxDiagnostics);
  return {
    path,
    format: format?.id ?? null,
    variant: variant ?? null,
    producer: checkpoint?.producer,
    verdict: subject.recognised ? verdictOf(found) : 'unrecognized',
    summary: summarize(found),
    diagnostics: kept,
    stats: {
      fileSize,
      tensorCount: checkpoint?.tensors.length ?? 0,
      parameterCount: checkpoint ? parameterCount(checkpoint) : 0,
      bytesChecked: deep ? counter.done() : undefined,
      files: subject.files,
      checked: [...result.checked, ...further.checked],
      notChecked: [...missingParts(subject), ...result.notChecked, ...further.notChecked],
      limits: { deep, diagnosticsKept: kept.length, diagnosticsFound: found.length },
    },
  };
}

/** Passes progress on and remembers how far it got. */
function byteCounter({ progress }: ValidateOptions) {
  let furthest = 0;
  return {
    done: () => furthest,
    progress: (doneBytes: number, totalBytes: number) => {
      furthest = Math.max(furthest, doneBytes);
      progress?.(doneBytes, totalBytes);
    },
  };
}

function missingParts({ recognised, checkpoint }: Subject): readonly string[] {
  if (!recognised) return ['everything: no format claims this file'];
  return checkpoint ? [] : ['the tensors: no directory of them could be read'];
}

/** Integers outside a packed weight are vocabularies, positions and the like. */
const isInteger = (dtypeName: string) => /^([IU]\d+|BOOL)$/.test(dtypeName);

function parameterCount({ tensors, packed: known = [] }: Checkpoint): number {
  const packed = [...known, ...lmdeployInt8Weights(tensors)];
  const inPacks = new Set(packed.flatMap(({ parts }) => Object.values(parts)));
  const plain = tensors.filter(({ name, dtype }) => !inPacks.has(name) && !isInteger(dtype.name) && !name.endsWith('.migration_scale'));
  return [...plain, ...packed].reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

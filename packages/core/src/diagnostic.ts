/**
 * Findings about a file. Bad bytes become Diagnostics; I/O faults and a caller's mistakes throw.
 * Codes are permanent: one cause each, one table a format.
 */
export type Severity = 'error' | 'warning' | 'info';

/** [start, end) in the named source, never outside it: 0 ≤ start ≤ end ≤ size. */
export type ByteRange = readonly [start: number, end: number];

export interface Diagnostic {
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  /** Name of the source that the byte range is about. */
  readonly source: string;
  readonly byteRange?: ByteRange;
  /** JSON pointer into the checkpoint, e.g. `/metadata/n_heads` or `/tensors/tok_embeddings.weight`. */
  readonly pointer?: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** One row of a format's code table. */
export interface CodeEntry {
  readonly severity: Severity;
  /** One line: what the code says in general. */
  readonly summary: string;
  /** Where the rule is written: `specs/llama2c#C-3.2`. */
  readonly clause: string;
  /** Why the rule exists and which real failure it prevents. */
  readonly rationale: string;
  /** What to do, when the finding itself has nothing more exact to say. */
  readonly hint: string;
}

export type CodeTable = Readonly<Record<string, CodeEntry>>;

export interface Finding {
  readonly message: string;
  readonly byteRange?: ByteRange;
  readonly pointer?: string;
  readonly hint?: string;
}

/** Makes diagnostics from one format's code table, so that severity and default hint are written once. */
export function diagnosticFactory<T extends CodeTable>(table: T): (code: keyof T & string, source: string, finding: Finding) => Diagnostic {
  return (code, source, finding) => {
    const entry = table[code];
    if (!entry) throw new RangeError(`unknown diagnostic code ${code}`);
    return { code, severity: entry.severity, source, ...finding, hint: finding.hint ?? entry.hint };
  };
}

/** Carries diagnostics out of a synchronous parser; a reader's `read` catches it once. */
export class DiagnosticError extends Error {
  override readonly name = 'DiagnosticError';
  constructor(readonly diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => `${d.code}: ${d.message}`).join('\n'));
  }
}

export type Verdict = 'valid' | 'warnings' | 'invalid' | 'unrecognized';

export interface Summary {
  readonly errors: number;
  readonly warnings: number;
  readonly infos: number;
}

export function summarize(diagnostics: readonly Diagnostic[]): Summary {
  const count = (severity: Severity) => diagnostics.filter((d) => d.severity === severity).length;
  return { errors: count('error'), warnings: count('warning'), infos: count('info') };
}

/** Any error → invalid; else any warning → warnings; else valid. `strict` turns warnings into errors. */
export function verdictOf(diagnostics: readonly Diagnostic[], strict = false): Exclude<Verdict, 'unrecognized'> {
  const { errors, warnings } = summarize(diagnostics);
  if (errors > 0 || (strict && warnings > 0)) return 'invalid';
  return warnings > 0 ? 'warnings' : 'valid';
}

import { suiteNames, type CaseList, type SuiteName } from './case.js';
import { ConformanceError, Unsupported } from './codes.js';
import { knownFailureOf, type KnownFailure } from './expectations.js';
import { caseFiles, type DataStore } from './files.js';
import { matches, selectCases, type Shard } from './select.js';
import type { Subject } from './subject.js';
import { runCase } from './suites/index.js';

/** `expected-failure`: known, and it failed. `unexpected-pass`: known, and it passed: the list of known failures is out of date. */
export type Status = 'passed' | 'failed' | 'skipped' | 'expected-failure' | 'unexpected-pass';

export interface CaseResult {
  readonly id: string;
  readonly suite: SuiteName;
  readonly status: Status;
  /** Of a failure. */
  readonly code?: string;
  /** What was wrong, why it was skipped, or why it was expected to fail. */
  readonly message?: string;
  readonly milliseconds: number;
}

/** What came of a run: plain data, described by schema/report.schema.json. */
export interface ConformanceReport {
  readonly schemaVersion: 1;
  readonly subject: { readonly name: string; readonly version?: string };
  readonly selection: { readonly patterns: readonly string[]; readonly shard: Shard; readonly cases: number; readonly casesInAll: number };
  readonly summary: Readonly<Record<Status, number>>;
  /** Reasons for which cases were skipped, and how many for each. */
  readonly skips: readonly { readonly suite: SuiteName; readonly reason: string; readonly count: number }[];
  /** Known failures that mean no case of this run. */
  readonly unusedExpectations: readonly string[];
  readonly results: readonly CaseResult[];
}

export interface RunOptions {
  readonly list: CaseList;
  readonly store: DataStore;
  readonly subject: Subject;
  /** Suites, ids, prefixes or patterns; all cases when there is none. */
  readonly patterns?: readonly string[];
  readonly shard?: Shard;
  readonly knownFailures?: readonly KnownFailure[];
  readonly onResult?: (result: CaseResult, done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

/** Runs the cases that `patterns` mean, one after the other. Throws ConformanceError for a selection of nothing, and the signal's reason; nothing else. */
export async function runConformance(options: RunOptions): Promise<ConformanceReport> {
  const { list, store, subject, patterns = [], shard = { index: 1, count: 1 }, knownFailures = [], onResult, signal } = options;
  const cases = selectCases(list.cases, patterns, shard);
  const files = caseFiles(list, store);
  const results: CaseResult[] = [];
  for (const one of cases) {
    signal?.throwIfAborted();
    const known = knownFailureOf(one.id, knownFailures);
    const start = performance.now();
    const outcome = known?.expect === 'skip' ? { status: 'skipped' as const, message: known.reason } : judged(await outcomeOf(() => runCase(one, subject, files)), known);
    const result: CaseResult = { id: one.id, suite: one.suite, ...outcome, milliseconds: Math.round((performance.now() - start) * 10) / 10 };
    results.push(result);
    onResult?.(result, results.length, cases.length);
  }
  return {
    schemaVersion: 1,
    subject: { name: subject.name, version: subject.version },
    selection: { patterns, shard, cases: cases.length, casesInAll: list.cases.length },
    summary: summaryOf(results),
    skips: skipsOf(results),
    unusedExpectations: knownFailures.map(({ id }) => id).filter((pattern) => !cases.some(({ id }) => matches(id, pattern))),
    results,
  };
}

/** Whether nothing failed that was not known to, and nothing passed that was known to fail. */
export const conforms = ({ summary }: ConformanceReport): boolean => summary.failed === 0 && summary['unexpected-pass'] === 0;

type Outcome = Pick<CaseResult, 'status' | 'code' | 'message'>;

async function outcomeOf(run: () => Promise<void>): Promise<Outcome> {
  try {
    await run();
    return { status: 'passed' };
  } catch (error) {
    if (error instanceof Unsupported) return { status: 'skipped', message: error.message };
    if (error instanceof ConformanceError) return { status: 'failed', code: error.code, message: error.message };
    return { status: 'failed', code: 'CONFORM_ERROR', message: error instanceof Error ? error.message : String(error) };
  }
}

/** Takes what is known into account. Data that are stale excuse nothing. */
function judged(outcome: Outcome, known: KnownFailure | undefined): Outcome {
  if (!known || outcome.status === 'skipped' || outcome.code === 'CONFORM_STALE_DATA') return outcome;
  if (outcome.status === 'passed') return { status: 'unexpected-pass', message: `it was known to fail: ${known.reason}` };
  return { status: 'expected-failure', code: outcome.code, message: `${known.reason} (${outcome.message})` };
}

function summaryOf(results: readonly CaseResult[]): Record<Status, number> {
  const count = (status: Status) => results.filter((result) => result.status === status).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped'), 'expected-failure': count('expected-failure'), 'unexpected-pass': count('unexpected-pass') };
}

function skipsOf(results: readonly CaseResult[]): ConformanceReport['skips'] {
  return suiteNames.flatMap((suite) => {
    const reasons = results.filter((result) => result.suite === suite && result.status === 'skipped').map(({ message = '' }) => message);
    return [...new Set(reasons)].map((reason) => ({ suite, reason, count: reasons.filter((other) => other === reason).length }));
  });
}

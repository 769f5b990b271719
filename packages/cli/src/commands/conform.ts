import { readFile } from 'node:fs/promises';
import type { Backend } from '@weightspec/core';
import { adapterSubject, conforms, ConformanceError, junitReport, parseExpectations, runConformance, selectCases, weightspecSubject, type CaseResult, type ConformanceReport, type KnownFailure, type Shard, type Subject } from '@weightspec/conformance';
import { packagedCases, spawnAdapter } from '@weightspec/conformance/node';
import { memorySource } from '@weightspec/io';
import { openSource } from '@weightspec/io/node';
import { chooseBackend, type BackendChoice } from '../backends.js';
import { visible } from '../report/escape.js';
import { counted } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';
import { version } from '../version.js';
import { writeWholeFile } from '../whole-file.js';

export interface ConformCommandOptions extends BackendChoice {
  /** A command whose program is tested instead of this one. */
  readonly adapter?: string;
  /** Seconds that an adapter has for an answer. */
  readonly timeout: number;
  readonly json?: boolean;
  readonly junit?: string;
  readonly shard?: Shard;
  readonly list?: boolean;
  readonly expectations?: string;
}

/** Runs the conformance suite. Exit code 1 when a case fails, or passes that was known to fail. */
export async function conform(patterns: readonly string[], options: ConformCommandOptions, terminal: Terminal): Promise<number> {
  const { list, store } = packagedCases();
  if (options.list) {
    for (const { id, purpose } of selectCases(list.cases, patterns, options.shard)) terminal.stdout.write(`${id}\t${visible(purpose)}\n`);
    return EXIT.ok;
  }
  // A wrong name or list of known failures is told before a program is started.
  selectCases(list.cases, patterns, options.shard);
  const knownFailures = options.expectations === undefined ? [] : await readExpectations(options.expectations);
  const subject = options.adapter === undefined ? ownSubject(await chooseBackend(options, terminal)) : await adapterSubject({ start: () => spawnAdapter(options.adapter!), timeoutMs: 1000 * options.timeout });
  try {
    const onResult = (result: CaseResult, done: number, all: number): void => {
      if (!options.json) showResult(result, done, all, terminal);
    };
    const report = await runConformance({ list, store, subject, patterns, shard: options.shard, knownFailures, onResult });
    if (options.junit !== undefined) await writeWholeFile(options.junit, junitReport(report));
    terminal.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : summaryText(report));
    return conforms(report) ? EXIT.ok : EXIT.invalid;
  } finally {
    await subject.close?.();
  }
}

/** This project on `backend`; models are opened as files, so that backends that map them do. */
const ownSubject = (backend: Backend): Subject =>
  weightspecSubject({ backend, version: version(), openFile: async (file) => (file.location === undefined ? memorySource(await file.bytes(), file.path) : openSource(file.location)) });

async function readExpectations(path: string): Promise<readonly KnownFailure[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new ConformanceError('CONFORM_BAD_EXPECTATIONS', `${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseExpectations(text);
}

const marks: Readonly<Record<CaseResult['status'], string>> = { passed: 'passed', failed: 'FAILED', skipped: 'skipped', 'expected-failure': 'known', 'unexpected-pass': 'PASSED, though known to fail' };

/** Failures on stdout as they come; how far it got on a terminal's stderr. */
function showResult({ id, status, code, message }: CaseResult, done: number, all: number, { stdout, stderr }: Terminal): void {
  if (stderr.isTTY) stderr.write(`\r${done} of ${all}\u001b[K${done === all ? '\r\u001b[K' : ''}`);
  if (status === 'passed' || status === 'skipped') return;
  if (stderr.isTTY) stderr.write('\r\u001b[K');
  stdout.write(`${marks[status]} ${id}${code === undefined ? '' : ` ${code}`}\n  ${visible(message ?? '')}\n`);
}

/** What passed, what did not, and what was skipped and why. */
function summaryText({ subject, selection, summary, skips, unusedExpectations }: ConformanceReport): string {
  const { index, count } = selection.shard;
  const shard = count === 1 ? '' : `, shard ${index} of ${count}`;
  const parts = [`${summary.passed} passed`, `${summary.failed} failed`, `${summary.skipped} skipped`, ...(summary['expected-failure'] > 0 ? [`${summary['expected-failure']} failed as known`] : []), ...(summary['unexpected-pass'] > 0 ? [`${summary['unexpected-pass']} passed though known to fail`] : [])];
  const lines = [
    ...skips.map(({ suite, reason, count: cases }) => `skipped ${counted(cases, 'case')} of ${suite}: ${visible(reason)}`),
    ...unusedExpectations.map((id) => `no case of this run is meant by the known failure ${visible(id)}`),
    `${visible(subject.name)}${subject.version === undefined ? '' : ` ${visible(subject.version)}`}: ${parts.join(', ')} (${selection.cases} of ${counted(selection.casesInAll, 'case')}${shard})`,
  ];
  return `${lines.join('\n')}\n`;
}

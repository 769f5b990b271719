/** JUnit XML, as CI systems read it: a testsuite a suite, a testcase a case. Known failures that fail are skipped there, with the reason. */
import { conformanceCodes, type ConformanceCode } from '../codes.js';
import { suiteNames } from '../case.js';
import type { CaseResult, ConformanceReport } from '../run.js';

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
/** Characters that XML 1.0 does not allow become U+FFFD. */
const escape = (text: string): string => text.replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd').replaceAll(/[&<>"]/g, (char) => entities[char]!);
const seconds = (results: readonly CaseResult[]): string => (results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000).toFixed(3);

const isFailure = ({ status }: CaseResult): boolean => status === 'failed' || status === 'unexpected-pass';
const isSkipped = ({ status }: CaseResult): boolean => status === 'skipped' || status === 'expected-failure';
const counts = (results: readonly CaseResult[]): string => `tests="${results.length}" failures="${results.filter(isFailure).length}" errors="0" skipped="${results.filter(isSkipped).length}" time="${seconds(results)}"`;

function testcase(result: CaseResult): string {
  const { id, suite, code = 'UNEXPECTED_PASS', message = '' } = result;
  const open = `    <testcase classname="${escape(suite)}" name="${escape(id)}" time="${seconds([result])}"`;
  if (isFailure(result)) {
    const hint = code in conformanceCodes ? conformanceCodes[code as ConformanceCode].hint : 'Take it off the list of known failures.';
    return `${open}>\n      <failure type="${escape(code)}" message="${escape(message)}">${escape(hint)}</failure>\n    </testcase>`;
  }
  return isSkipped(result) ? `${open}>\n      <skipped message="${escape(message)}"/>\n    </testcase>` : `${open}/>`;
}

export function junitReport({ subject, results }: ConformanceReport): string {
  const suites = suiteNames.map((suite) => ({ suite, own: results.filter((result) => result.suite === suite) })).filter(({ own }) => own.length > 0);
  const body = suites.map(({ suite, own }) => `  <testsuite name="${suite}" ${counts(own)}>\n${own.map(testcase).join('\n')}\n  </testsuite>`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${escape(`weightspec conform: ${subject.name}`)}" ${counts(results)}>\n${body.join('\n')}\n</testsuites>\n`;
}

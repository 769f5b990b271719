/**
 * JUnit XML, as test dashboards read it: one test case a file. There is no standard; this keeps to what the Ant task wrote and
 * Jenkins, GitLab and GitHub's reporters read: testsuites, testsuite, testcase, and failure, error or skipped in it.
 */
import type { Report } from '@weightspec/formats';
import { formatWords, type CheckedFile, type Findings } from './checked-file.js';
import { html } from './escape.js';
import { textReporter } from './text.js';

/** U+FFFE and U+FFFF are no characters of XML 1.0 (2.2); control characters are spelled out by `html`. */
const xml = (text: string): string => html(text).replaceAll(/[\uFFFE\uFFFF]/g, '\uFFFD');

const failed = ({ verdict }: Report): boolean => verdict === 'invalid' || verdict === 'unrecognized';

function testCase(name: string, className: string, inside: string): string {
  return `    <testcase name="${xml(name)}" classname="${xml(className)}">${inside}</testcase>`;
}

function checked(file: CheckedFile, details: string): string {
  const { report } = file;
  const lines = details.trimEnd().split('\n').map(xml).join('\n');
  const first = report.diagnostics.find(({ severity }) => severity === 'error');
  const inside = failed(report) ? `<failure type="${xml(first?.code ?? report.verdict)}" message="${xml(first?.message ?? report.verdict)}">${lines}</failure>` : `<system-out>${lines}</system-out>`;
  return testCase(report.path, (report.format === null ? ['unrecognized'] : formatWords(report)).join('.'), inside);
}

export function junitReport({ version, files, unchecked, failed: unread }: Findings): string {
  const text = textReporter(false);
  const cases = [
    ...files.map((file) => checked(file, text.file(file))),
    ...unchecked.map(({ path, reason }) => testCase(path, 'not checked', `<skipped message="${xml(reason)}"/>`)),
    ...unread.map(({ path, code, message }) => testCase(path, 'unreadable', `<error type="${xml(code ?? 'fault')}" message="${xml(message)}"/>`)),
  ];
  const counts = `tests="${cases.length}" failures="${files.filter(({ report }) => failed(report)).length}" errors="${unread.length}" skipped="${unchecked.length}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="weightspec" ${counts}>
  <testsuite name="weightspec validate" ${counts}>
    <properties><property name="version" value="${xml(version)}"/></properties>
${cases.join('\n')}
  </testsuite>
</testsuites>
`;
}

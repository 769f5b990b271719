import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';
import type { Diagnostic } from '@weightspec/core';
import type { Report } from '@weightspec/formats';
import type { Findings } from './checked-file.js';
import { junitReport } from './junit.js';

const finding = (message: string): Diagnostic => ({ code: 'FORMAT_GGUF', severity: 'error', message, source: 'a.bin' });
const report = (path: string, verdict: Report['verdict'], diagnostics: readonly Diagnostic[]): Report => ({
  path, format: 'fake', variant: 'v1', verdict, diagnostics,
  summary: { errors: diagnostics.length, warnings: 0, infos: 0 },
  stats: { fileSize: 1, tensorCount: 0, parameterCount: 0, checked: ['sizes'], notChecked: ['values'], limits: { deep: false, diagnosticsKept: diagnostics.length, diagnosticsFound: diagnostics.length } },
});

const hostile = ']]>"<&\u0000\u001b[31m\uFFFE\ud800';
const findings: Findings = {
  version: '1.2.3',
  files: [report(`bad ${hostile}`, 'invalid', [finding(`first ${hostile}`), finding('second')]), report('good.bin', 'valid', [])].map((one) => ({ report: one, frames: new Map() })),
  unchecked: [{ path: 'README.md', reason: 'no format claims it' }],
  failed: [{ path: 'gone.bin', code: 'IO_NOT_FOUND', message: 'not there' }],
};

interface Case {
  readonly name: string;
  readonly classname: string;
  readonly failure?: { readonly type: string; readonly message: string; readonly '#text': string };
  readonly 'system-out'?: string;
  readonly skipped?: { readonly message: string };
  readonly error?: { readonly type: string };
}

describe('JUnit report', () => {
  // What is written in the end: a lone surrogate becomes U+FFFD there.
  const text = new TextDecoder().decode(new TextEncoder().encode(junitReport(findings)));
  const parsed = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '' }).parse(text) as { testsuites: Readonly<Record<string, string>> & { testsuite: { testcase: Case[] } } };
  const cases = parsed.testsuites.testsuite.testcase;

  it('is well-formed XML without a character that XML 1.0 lacks, whatever a file says', () => {
    expect(XMLValidator.validate(text)).toBe(true);
    // eslint-disable-next-line no-control-regex -- XML 1.0, 2.2
    expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\uFFFE\uFFFF]/);
  });
  it('fails a bad file with its first code and all of its findings, and passes a sound one with what was checked', () => {
    expect(cases[0]?.failure).toMatchObject({ type: 'FORMAT_GGUF' });
    expect(cases[0]?.failure?.['#text']).toContain('second');
    expect(cases[1]).toMatchObject({ name: 'good.bin', classname: 'fake.v1' });
    expect(cases[1]?.failure).toBeUndefined();
    expect(cases[1]?.['system-out']).toContain('not checked: values');
  });
  it('counts what was not checked as skipped, and what could not be read as an error', () => {
    expect(parsed.testsuites).toMatchObject({ tests: '4', failures: '1', errors: '1', skipped: '1' });
    expect(cases[2]?.skipped?.message).toBe('no format claims it');
    expect(cases[3]?.error?.type).toBe('IO_NOT_FOUND');
  });
});

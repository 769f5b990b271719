import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import type { Diagnostic } from '@weightspec/core';
import type { Report } from '@weightspec/formats';
import { shownDiagnostics, type Findings } from './checked-file.js';
import { html, visible } from './escape.js';
import { htmlReport } from './html.js';
import { jsonReport } from './json.js';
import { humanBytes } from './numbers.js';
import { artifactUri, sarifReport } from './sarif.js';
import { textReporter } from './text.js';
import type { Frame, FrameLine } from './hexdump.js';

const finding = (more: Partial<Diagnostic> = {}): Diagnostic => ({ code: 'FORMAT_GGUF', severity: 'error', message: 'this is a GGUF file', source: 'dir/a b.bin', byteRange: [0, 4], hint: 'convert it', ...more });

function report(diagnostics: readonly Diagnostic[], more: Partial<Report> = {}): Report {
  return {
    path: 'dir/a b.bin',
    format: 'fake',
    variant: 'v1',
    verdict: 'invalid',
    summary: { errors: diagnostics.length, warnings: 0, infos: 0 },
    diagnostics,
    stats: { fileSize: 1234567, tensorCount: 1, parameterCount: 5000, checked: ['the sizes'], notChecked: ['the values'], limits: { deep: false, diagnosticsKept: diagnostics.length, diagnosticsFound: diagnostics.length } },
    ...more,
  };
}

const findings = (...reports: Report[]): Findings => ({ version: '1.2.3', files: reports.map((one) => ({ report: one, frames: new Map() })), unchecked: [], failed: [] });
const escape = '\u001b';

describe('visible', () => {
  it('spells out control characters, line ends and bidirectional overrides, and nothing else', () => {
    expect(visible(`a${escape}[31mb\n\u202e\u0085é🙂`)).toBe('a\\u{1b}[31mb\\u{a}\\u{202e}\\u{85}é🙂');
  });
});

describe('text report', () => {
  const plain = textReporter(false);
  const textOf = (one: Report, frame?: Frame) => {
    const [first] = one.diagnostics;
    return plain.file({ report: one, frames: new Map(first && frame ? [[first, frame]] : []) });
  };

  it('gives verdict, code, message, range, frame, hint, clause, then what was and was not checked', () => {
    const lines: FrameLine[] = [{ kind: 'names', text: '          len_header' }, { kind: 'bytes', text: '00000000  47 47 55 46' }, { kind: 'marks', text: '          ^^ ^^ ^^ ^^' }];
    const frame: Frame = { lines, marked: [{ name: 'len_header', byteRange: [0, 8] }, { name: 'crc', record: 'archive/data/0', byteRange: [8, 9] }] };
    expect(textOf(report([finding({ code: 'SAFETENSORS_HEADER_TOO_LARGE', message: 'too long' })]), frame).split('\n')).toEqual([
      'dir/a b.bin: invalid (fake v1, 1.23 MB, 1 tensor, 5,000 parameters)',
      '  error SAFETENSORS_HEADER_TOO_LARGE  too long',
      '    at: bytes [0, 4), len_header, crc of archive/data/0',
      '                len_header',
      '      00000000  47 47 55 46',
      '                ^^ ^^ ^^ ^^',
      expect.stringMatching(/^ {4}expected: .*100,000,000/),
      '    hint: convert it',
      '    clause: specs/safetensors#S-1.2',
      '  checked: the sizes',
      '  not checked: the values',
      '',
    ]);
  });
  it('says in which file a finding is, where it is another one', () => {
    const at = (one: Report) => textOf(one).match(/at: .*/g);
    expect(at(report([finding({ source: 'dir/shard.bin' })]))).toEqual(['at: bytes [0, 4) of dir/shard.bin']);
    expect(at(report([finding({ source: 'dir/model/shard.bin' })], { path: 'dir/model' }))).toEqual(['at: bytes [0, 4) of shard.bin']);
    expect(at(report([finding()]))).toEqual(['at: bytes [0, 4)']);
  });
  it('lets no escape sequence of a file through, in message, pointer, hint, path or variant', () => {
    const evil = `${escape}]0;x\u0007`;
    const text = textOf(report([finding({ message: evil, pointer: `/tensors/${evil}`, hint: evil })], { path: evil, variant: evil, producer: { name: evil, evidence: [{ message: evil }] } }));
    expect(text).toContain('\\u{1b}]0;x\\u{7}');
    expect(text).not.toContain(escape);
  });
  it('tells the errors of files with errors, and nothing else, when it is quiet', () => {
    const quiet = textReporter(false, true);
    const warned = report([finding({ severity: 'warning', code: 'FORMAT_AMBIGUOUS' })], { summary: { errors: 0, warnings: 1, infos: 0 }, verdict: 'warnings' });
    expect(quiet.file({ report: warned, frames: new Map() })).toBe('');
    const both = quiet.file({ report: report([finding(), finding({ severity: 'warning', code: 'FORMAT_AMBIGUOUS' })], { summary: { errors: 1, warnings: 1, infos: 0 } }), frames: new Map() });
    expect(both).toContain('error FORMAT_GGUF');
    expect(both).not.toMatch(/warning|checked/);
    const known = { name: 'mine', evidence: [{ message: 'its mark' }] };
    expect(quiet.file({ report: report([finding()], { producer: known }), frames: new Map() })).not.toContain('mine');
    expect(plain.file({ report: report([finding()], { producer: known }), frames: new Map() })).toContain('probably written by: mine (its mark)');
    expect(quiet.unchecked({ path: 'x', reason: 'y' }) + quiet.total(findings(warned, warned))).toBe('');
  });
  it('colours only when asked', () => {
    expect(textReporter(true).file({ report: report([finding()]), frames: new Map() })).toContain(`${escape}[31m`);
  });
  it('cuts a long list and says how many are left', () => {
    const many = Array.from({ length: shownDiagnostics + 7 }, () => finding());
    const text = textOf(report(many));
    expect(text.match(/error FORMAT_GGUF/g)).toHaveLength(shownDiagnostics);
    expect(text).toContain('… and 7 more');
  });
  it('counts the files by verdict when there are several', () => {
    expect(plain.total(findings(report([])))).toBe('');
    const two = { ...findings(report([]), report([], { verdict: 'valid' })), unchecked: [{ path: 'x', reason: 'y' }] };
    expect(plain.total(two)).toBe('\n3 files: 1 valid; 1 invalid; 1 not checked\n');
  });
  it('counts files that could not be read, and what was found in the others', () => {
    const sum = report([finding()], { summary: { errors: 2, warnings: 1, infos: 0 } });
    const all = { ...findings(sum, report([finding()])), failed: [{ path: 'x', message: 'gone' }] };
    expect(plain.total(all)).toBe('\n3 files: 2 invalid; 1 could not be read\nfound: 3 errors, 1 warning\n');
    expect(plain.total({ ...findings(sum), failed: [{ path: 'x', message: 'gone' }] })).toContain('2 files: ');
  });
  it('names a format of one variant once', () => {
    const one = report([], { format: 'safetensors', variant: 'safetensors' });
    expect(textOf(one)).toContain('(safetensors, 1.23 MB');
    expect(htmlReport(findings(one))).toContain('safetensors, 1.23 MB');
    expect(textOf(report([]))).toContain('(fake v1, 1.23 MB');
  });
  it('cuts facts at words to the width of a terminal, and leaves rows of bytes whole', () => {
    const bytes = `00000000  ${'00 '.repeat(16)}|................|`;
    const frame: Frame = { lines: [{ kind: 'bytes', text: bytes }], marked: [] } as unknown as Frame;
    const long = finding({ message: 'a word '.repeat(30).trim(), hint: 'advice of many words '.repeat(8).trim() });
    const checked = { report: report([long]), frames: new Map([[long, frame]]) };
    const [headline = '', ...narrow] = textReporter(false, false, 60).file(checked).split('\n');
    expect(narrow.filter((line) => line.length > 60)).toEqual([`      ${bytes}`]);
    expect(narrow.filter((line) => /^ {4}(a|word) /.test(line)).length).toBeGreaterThan(2);
    // The same words, in the same order.
    expect([headline, ...narrow].join(' ').replaceAll(/\s+/g, ' ')).toBe(plain.file(checked).split('\n').join(' ').replaceAll(/\s+/g, ' '));
    expect(textReporter(true, false, 60).file(checked)).toContain(`${escape}[2mhint:`);
  });
});

describe('JSON report', () => {
  it('satisfies its published schema', () => {
    const schema: unknown = JSON.parse(readFileSync(new URL('../../schema/report.schema.json', import.meta.url), 'utf8'));
    const validate = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true }).compile(schema as object);
    const document = JSON.parse(jsonReport({ ...findings(report([finding(), finding({ source: 'other', byteRange: undefined, hint: undefined })])), unchecked: [{ path: 'x', reason: 'y' }], failed: [{ path: 'z', code: 'IO_DENIED', message: 'no' }, { path: 'z', message: 'no' }] })) as { reports: object[] };
    validate(document);
    expect(validate.errors).toBeNull();
    const first = finding();
    const framed = { ...findings(), files: [{ report: report([first]), frames: new Map([[first, { lines: [], marked: [{ name: 'crc', record: 'a', byteRange: [0, 4] as const }] }]]) }] };
    const withFields = JSON.parse(jsonReport(framed)) as { reports: { diagnostics: object[] }[] };
    expect(validate(withFields)).toBe(true);
    expect(withFields.reports[0]?.diagnostics[0]).toMatchObject({ fields: [{ name: 'crc', record: 'a', byteRange: [0, 4] }] });
    expect(validate({ ...document, reports: [{ ...document.reports[0], verdict: 'fine' }] })).toBe(false);
    expect(validate({ ...document, failed: [{ path: 'z' }] })).toBe(false);
  });
  it('gives byte ranges as two numbers and names the source only when it is another file', () => {
    const { reports } = JSON.parse(jsonReport(findings(report([finding(), finding({ source: 'shard' })])))) as { reports: { diagnostics: object[] }[] };
    expect(reports[0]?.diagnostics[0]).toEqual({ code: 'FORMAT_GGUF', severity: 'error', message: 'this is a GGUF file', byteRange: [0, 4], hint: 'convert it', clause: 'specs/formats#F-2.7' });
    expect(reports[0]?.diagnostics[1]).toHaveProperty('source', 'shard');
  });
});

describe('SARIF report', () => {
  interface Sarif {
    version: string;
    runs: { tool: { driver: { rules: { id: string }[] } }; results: { ruleId: string; ruleIndex: number; level: string; locations: { physicalLocation: object }[] }[] }[];
  }
  it('refers to its rules by index and gives binary regions', () => {
    const { version, runs } = JSON.parse(sarifReport(findings(report([finding(), finding({ code: 'FORMAT_AMBIGUOUS', severity: 'warning', byteRange: undefined })])))) as Sarif;
    expect(version).toBe('2.1.0');
    const run = runs[0];
    expect(run?.results.map(({ ruleId, ruleIndex }) => run.tool.driver.rules[ruleIndex]?.id === ruleId)).toEqual([true, true]);
    expect(run?.results.map(({ level }) => level)).toEqual(['error', 'warning']);
    expect(run?.results[0]?.locations[0]?.physicalLocation).toEqual({ artifactLocation: { uri: 'dir/a%20b.bin' }, region: { byteOffset: 0, byteLength: 4 } });
    expect(run?.results[1]?.locations[0]?.physicalLocation).not.toHaveProperty('region');
  });
  it('keeps URLs, makes absolute paths file URLs and leaves relative ones relative', () => {
    expect(artifactUri('https://example.org/a.bin')).toBe('https://example.org/a.bin');
    expect(artifactUri('/a/b#c.bin')).toBe('file:///a/b%23c.bin');
    expect(artifactUri('a/50%.bin')).toBe('a/50%25.bin');
  });
});

describe('HTML report', () => {
  it('escapes what comes from files and loads nothing', () => {
    const page = htmlReport(findings(report([finding({ message: '<script>alert(1)</script>' })], { path: '"><img src=x>' })));
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).not.toMatch(/<(script|img|link|iframe)/);
    expect(page).not.toMatch(/<[^>]*\b(src|href|on\w+)=/);
    expect(htmlReport({ ...findings(), failed: [{ path: '<b>', message: '<i>' }] })).toContain('&lt;b&gt; <small> &lt;i&gt;');
    expect(html(`'"&`)).toBe('&#39;&quot;&amp;');
  });
});

describe('humanBytes', () => {
  it('uses powers of ten and three digits', () => {
    expect([0, 999, 1000, 1056540, 13476839424].map(humanBytes)).toEqual(['0 B', '999 B', '1.00 kB', '1.06 MB', '13.5 GB']);
  });
});

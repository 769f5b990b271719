/**
 * SARIF 2.1.0 (OASIS, 27 March 2020), the subset that code hosts show: one run, its rules, one result a finding.
 * Binary regions are byteOffset and byteLength (3.30.11, 3.30.12).
 */
import { pathToFileURL } from 'node:url';
import { isAbsolute } from 'node:path';
import type { CodeEntry, Diagnostic, Severity } from '@weightspec/core';
import { isUrl } from '../folders.js';
import { codeIndex, type FailedFile, type Findings } from './checked-file.js';

const levels: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = { error: 'error', warning: 'warning', info: 'note' };

/** A relative path stays relative (3.4.4), so that a report means the same on another machine. */
export function artifactUri(path: string): string {
  if (isUrl(path)) return path;
  if (isAbsolute(path)) return pathToFileURL(path).href;
  return path.replaceAll('\\', '/').split('/').map(encodeURIComponent).join('/');
}

function rule(id: string, entry: CodeEntry) {
  return {
    id,
    shortDescription: { text: entry.summary },
    fullDescription: { text: entry.rationale },
    help: { text: `${entry.hint} (${entry.clause})` },
    defaultConfiguration: { level: levels[entry.severity] },
    properties: { clause: entry.clause },
  };
}

function result(diagnostic: Diagnostic, ruleIndex: number) {
  const { code, severity, message, source, byteRange, pointer, hint } = diagnostic;
  const region = byteRange && { byteOffset: byteRange[0], byteLength: Math.max(0, byteRange[1] - byteRange[0]) };
  return {
    ruleId: code,
    ...(ruleIndex >= 0 ? { ruleIndex } : {}),
    level: levels[severity],
    message: { text: hint === undefined ? message : `${message.replace(/\.$/, '')}. ${hint}` },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: artifactUri(source) }, ...(region ? { region } : {}) },
        ...(pointer === undefined ? {} : { logicalLocations: [{ fullyQualifiedName: pointer }] }),
      },
    ],
  };
}

/** 3.58: what kept the tool from finishing, as opposed to what it found. */
const notification = ({ path, code, message }: FailedFile) => ({
  ...(code === undefined ? {} : { descriptor: { id: code } }),
  level: 'error' as const,
  message: { text: message },
  locations: [{ physicalLocation: { artifactLocation: { uri: artifactUri(path) } } }],
});

/** The log as an object; a test compares its type with the standard's. */
export function sarifLog({ version, files, unchecked, failed }: Findings) {
  const index = codeIndex();
  const used = [...new Set(files.flatMap(({ report }) => report.diagnostics.map(({ code }) => code)))].filter((code) => index.has(code)).toSorted();
  const rules = used.flatMap((code) => {
    const entry = index.get(code);
    return entry ? [rule(code, entry)] : [];
  });
  const run = {
    tool: { driver: { name: 'weightspec', version, rules } },
    columnKind: 'utf16CodeUnits' as const,
    artifacts: files.map(({ report }) => ({
      location: { uri: artifactUri(report.path) },
      length: report.stats.fileSize,
      properties: { verdict: report.verdict, format: report.format, variant: report.variant, checked: report.stats.checked, notChecked: report.stats.notChecked },
    })),
    invocations: [{ executionSuccessful: failed.length === 0, ...(failed.length > 0 ? { toolExecutionNotifications: failed.map(notification) } : {}) }],
    results: files.flatMap(({ report }) => report.diagnostics.map((diagnostic) => result(diagnostic, used.indexOf(diagnostic.code)))),
    ...(unchecked.length > 0 ? { properties: { notChecked: unchecked } } : {}),
  };
  return { $schema: 'https://json.schemastore.org/sarif-2.1.0.json', version: '2.1.0' as const, runs: [run] };
}

export const sarifReport = (findings: Findings): string => `${JSON.stringify(sarifLog(findings), null, 2)}\n`;

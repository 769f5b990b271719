import type { CodeEntry, Diagnostic } from '@weightspec/core';
import { codeIndex, type CheckedFile, type Findings } from './checked-file.js';

/** The JSON report of docs/cli.md. Stable: fields are only ever added. */
export function jsonReport({ version, files, unchecked, failed }: Findings): string {
  const codes = codeIndex();
  const document = {
    tool: { name: 'weightspec', version },
    reports: files.map((file) => jsonFile(file, codes)),
    ...(unchecked.length > 0 ? { notChecked: unchecked } : {}),
    ...(failed.length > 0 ? { failed } : {}),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function jsonFile({ report, frames }: CheckedFile, codes: ReadonlyMap<string, CodeEntry>): object {
  return { ...report, diagnostics: report.diagnostics.map((diagnostic) => ({ ...jsonDiagnostic(diagnostic, report.path), clause: codes.get(diagnostic.code)?.clause, fields: frames.get(diagnostic)?.marked })) };
}

/** `source` is given only where it is not the file that the report is about. */
function jsonDiagnostic({ code, severity, message, byteRange, pointer, hint, source }: Diagnostic, path: string): object {
  return { code, severity, message, byteRange, pointer, hint, source: source === path ? undefined : source };
}

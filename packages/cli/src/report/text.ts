import pc from 'picocolors';
import type { Diagnostic, Severity, Verdict } from '@weightspec/core';
import type { Report } from '@weightspec/formats';
import { codeIndex, formatWords, shownDiagnostics, type CheckedFile, type Findings, type UncheckedFile } from './checked-file.js';
import { expectation } from './clauses.js';
import { visible } from './escape.js';
import { fieldNames, type Frame, type FrameLine } from './hexdump.js';
import { counted, grouped, humanBytes } from './numbers.js';
import { wrapped } from './wrap.js';

type Colors = ReturnType<typeof pc.createColors>;

const verdictWords: Readonly<Record<Verdict, string>> = { valid: 'valid', warnings: 'valid, with warnings', invalid: 'invalid', unrecognized: 'unrecognized' };

/**
 * Prints findings for people. Everything that comes out of a file is escaped. `quiet`: only files with errors, and of those only the
 * errors. `width`: columns of the terminal; other lines than those of bytes are cut to it at words.
 */
export function textReporter(color: boolean, quiet = false, width = Infinity) {
  const c = pc.createColors(color);
  const verdictColors: Readonly<Record<Verdict, Colors['green']>> = { valid: c.green, warnings: c.yellow, invalid: c.red, unrecognized: c.red };
  const severityColors: Readonly<Record<Severity, Colors['green']>> = { error: c.red, warning: c.yellow, info: c.cyan };
  const codes = codeIndex();

  /** A fact behind its label; what does not fit in the first line stands below it, two columns further in. */
  function row(indent: number, label: string, painted: string, text: string): string[] {
    const [first = '', ...rest] = wrapped(`${label} ${text}`, width - indent);
    const head = first.startsWith(label) ? painted + first.slice(label.length) : first;
    return [' '.repeat(indent) + head, ...wrapped(rest.join(' '), width - indent - 2).filter((line) => line !== '').map((line) => ' '.repeat(indent + 2) + line)];
  }
  const fact = (indent: number, label: string, text: string): string[] => row(indent, label, c.dim(label), text);

  function headline(report: Report): string {
    const { path, verdict, stats } = report;
    const what = [formatWords(report).join(' ')].filter((words) => words !== '');
    const contents = stats.parameterCount > 0 ? [counted(stats.tensorCount, 'tensor'), counted(stats.parameterCount, 'parameter')] : [];
    const facts = [...what, humanBytes(stats.fileSize), ...contents].map(visible).join(', ');
    return `${c.bold(visible(path))}: ${verdictColors[verdict](c.bold(verdictWords[verdict]))} ${c.dim(`(${facts})`)}`;
  }

  const paint = ({ kind, text }: FrameLine, severity: Severity): string => (kind === 'marks' ? severityColors[severity](text) : kind === 'names' ? c.cyan(text) : c.dim(text));

  /** `path`: of the report. A finding in another file, such as a shard, or in what a file holds deflated, says in which. */
  function finding({ code, severity, message, source, byteRange, pointer, hint }: Diagnostic, frame: Frame | undefined, path: string): string[] {
    const elsewhere = source === path ? '' : ` of ${visible(source.startsWith(`${path}/`) ? source.slice(path.length + 1) : source)}`;
    const where = [byteRange && `bytes [${byteRange[0]}, ${byteRange[1]})${elsewhere}`, fieldNames(frame?.marked ?? []), pointer && visible(pointer)].filter(Boolean).join(', ');
    const clause = codes.get(code)?.clause;
    const expected = clause === undefined ? undefined : expectation(clause);
    return [
      ...row(2, `${severity} ${code}`, severityColors[severity](`${severity} ${c.bold(code)}`), ` ${visible(message)}`),
      ...(where === '' ? [] : fact(4, 'at:', where)),
      ...(frame?.lines ?? []).map((line) => `      ${paint(line, severity)}`),
      ...(expected === undefined ? [] : fact(4, 'expected:', expected)),
      ...(hint ? fact(4, 'hint:', visible(hint)) : []),
      ...(clause ? fact(4, 'clause:', clause) : []),
    ];
  }

  function producer({ producer: found }: Report): string[] {
    if (!found || found.name === 'unknown') return [];
    const evidence = found.evidence.map(({ message }) => visible(message)).join('; ');
    return fact(2, 'probably written by:', `${visible(found.name)}${evidence === '' ? '' : ` (${evidence})`}`);
  }

  function coverage({ stats }: Report): string[] {
    return [
      ...(stats.checked.length > 0 ? fact(2, 'checked:', stats.checked.map(visible).join('; ')) : []),
      ...(stats.notChecked.length > 0 ? fact(2, 'not checked:', stats.notChecked.map(visible).join('; ')) : []),
    ];
  }

  return {
    file({ report, frames }: CheckedFile): string {
      if (quiet && report.summary.errors === 0) return '';
      const told = quiet ? report.diagnostics.filter(({ severity }) => severity === 'error') : report.diagnostics;
      const shown = told.slice(0, shownDiagnostics);
      const more = (quiet ? report.summary.errors : report.stats.limits.diagnosticsFound) - shown.length;
      const lines = [
        headline(report),
        ...(quiet ? [] : producer(report)),
        ...shown.flatMap((diagnostic) => finding(diagnostic, frames.get(diagnostic), report.path)),
        ...(more > 0 ? [`  … and ${grouped(more)} more; --format json lists them`] : []),
        ...(quiet ? [] : coverage(report)),
      ];
      return `${lines.join('\n')}\n`;
    },
    unchecked: ({ path, reason }: UncheckedFile): string => quiet ? '' : `${visible(path)}: ${c.dim(`not checked (${visible(reason)})`)}\n`,
    total({ files, unchecked, failed }: Findings): string {
      const all = files.length + unchecked.length + failed.length;
      if (quiet || all < 2) return '';
      const counts = (['valid', 'warnings', 'invalid', 'unrecognized'] as const).flatMap((verdict) => {
        const count = files.filter(({ report }) => report.verdict === verdict).length;
        return count > 0 ? [`${grouped(count)} ${verdictWords[verdict]}`] : [];
      });
      const rest = [...(unchecked.length > 0 ? [`${grouped(unchecked.length)} not checked`] : []), ...(failed.length > 0 ? [`${grouped(failed.length)} could not be read`] : [])];
      const found = (['error', 'warning', 'info'] as const).flatMap((severity) => {
        const count = files.reduce((sum, { report }) => sum + report.summary[`${severity}s`], 0);
        return count > 0 ? [counted(count, severity)] : [];
      });
      return `\n${counted(all, 'file')}: ${[...counts, ...rest].join('; ')}\n${found.length > 0 ? `found: ${found.join(', ')}\n` : ''}`;
    },
  };
}

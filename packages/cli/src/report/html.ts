import type { Diagnostic } from '@weightspec/core';
import { codeIndex, formatWords, shownDiagnostics, type CheckedFile, type Findings } from './checked-file.js';
import { expectation } from './clauses.js';
import { html } from './escape.js';
import { fieldNames, type Frame } from './hexdump.js';
import { counted, grouped, humanBytes } from './numbers.js';

const style = `
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.3rem} h2{font-size:1.05rem;word-break:break-all;margin:2rem 0 .3rem} pre{background:#f3f3f3;padding:.6rem;overflow-x:auto;font-size:13px}
.valid{color:#11692b}.warnings,.warning{color:#7a5200}.invalid,.unrecognized,.error{color:#b3141d}.info{color:#155a8a}
.finding{border-left:3px solid currentColor;padding-left:.8rem;margin:.8rem 0}.finding>*{color:#1b1b1b}.finding>h3{color:inherit;font-size:1rem;margin:0}
pre .names{color:#155a8a} pre .marks{color:#b3141d;font-weight:bold} small{color:#5a5a5a} @media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}.finding>*{color:#e6e6e6}pre{background:#242424}small{color:#a8a8a8}
.valid{color:#6fd08c}.warnings,.warning{color:#e8b84a}.invalid,.unrecognized,.error{color:#ff7b81}.info{color:#7cc4f5}pre .names{color:#7cc4f5}pre .marks{color:#ff7b81}}`;

/** One page that loads nothing and runs nothing: it can be attached to a ticket and opened anywhere. */
export function htmlReport({ version, files, unchecked, failed }: Findings): string {
  const clauses = codeIndex();
  const clauseOf = (code: string) => clauses.get(code)?.clause;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>weightspec report</title><style>${style}</style></head><body>
<h1>weightspec ${html(version)}: ${counted(files.length, 'file')} checked</h1>
${files.map((file) => section(file, clauseOf)).join('\n')}
${failed.length > 0 ? `<h2>Could not be read</h2><ul>${failed.map(({ path, code = '', message }) => `<li>${html(path)} <small>${html(code)} ${html(message)}</small></li>`).join('')}</ul>` : ''}
${unchecked.length > 0 ? `<h2>Not checked</h2><ul>${unchecked.map(({ path, reason }) => `<li>${html(path)} <small>${html(reason)}</small></li>`).join('')}</ul>` : ''}
</body></html>
`;
}

function section({ report, frames }: CheckedFile, clauseOf: (code: string) => string | undefined): string {
  const { path, verdict, format, diagnostics, stats, producer } = report;
  const shown = diagnostics.slice(0, shownDiagnostics);
  const more = stats.limits.diagnosticsFound - shown.length;
  const facts = [...(format === null ? ['no known format'] : formatWords(report)), humanBytes(stats.fileSize), stats.tensorCount > 0 ? counted(stats.tensorCount, 'tensor') : ''].filter((fact) => fact !== '');
  return `<section><h2>${html(path)}: <span class="${verdict}">${verdict}</span></h2><small>${html(facts.join(', '))}</small>
${producer && producer.name !== 'unknown' ? `<p>Probably written by ${html(producer.name)}</p>` : ''}
${shown.map((diagnostic) => finding(diagnostic, frames.get(diagnostic), clauseOf(diagnostic.code))).join('\n')}
${more > 0 ? `<p>… and ${grouped(more)} more findings</p>` : ''}
${list('Checked', stats.checked)}${list('Not checked', stats.notChecked)}</section>`;
}

function finding({ code, severity, message, byteRange, hint }: Diagnostic, frame: Frame | undefined, clause: string | undefined): string {
  const names = frame && frame.marked.length > 0 ? `, ${html(fieldNames(frame.marked))}` : '';
  const where = byteRange ? ` <small>bytes [${byteRange[0]}, ${byteRange[1]})${names}</small>` : '';
  const expected = clause === undefined ? undefined : expectation(clause);
  return `<div class="finding ${severity}"><h3>${severity} ${html(code)}</h3><div>${html(message)}${where}</div>
${frame ? `<pre>${frame.lines.map(({ kind, text }) => `<span class="${kind}">${html(text)}</span>`).join('\n')}</pre>` : ''}${expected ? `<div>Expected: ${html(expected)}</div>` : ''}${hint ? `<div>Hint: ${html(hint)}</div>` : ''}${clause ? `<small>${html(clause)}</small>` : ''}</div>`;
}

function list(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `<p>${title}: ${items.map(html).join('; ')}</p>`;
}

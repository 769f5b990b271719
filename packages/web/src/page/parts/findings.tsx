import { useState } from 'preact/hooks';
import type { Diagnostic } from '@weightspec/core';
import { counted, grouped } from '@weightspec/formats';
import { baseName } from '../model/items.js';
import type { View } from '../workers/protocol.js';
import type { Selection } from './app.js';
import { Clause } from './clauses.js';

interface FindingsProps {
  readonly view: View;
  readonly selection?: Selection;
  readonly onSelect: (selection: Selection) => void;
}

const MOST_SHOWN = 200;

export function Findings({ view, onSelect }: FindingsProps) {
  const { diagnostics, stats } = view.report;
  const [chosen, setChosen] = useState<Diagnostic>();
  const choose = (diagnostic: Diagnostic): void => {
    setChosen(chosen === diagnostic ? undefined : diagnostic);
    const file = fileOf(diagnostic.source, view);
    if (diagnostic.byteRange && file) onSelect({ file, byteRange: diagnostic.byteRange });
  };
  const shown = diagnostics.slice(0, MOST_SHOWN);
  return (
    <section class="card findings" aria-labelledby="findings-title">
      <h2 id="findings-title">Findings <span class="count">{countsOf(view)}</span></h2>
      {diagnostics.length === 0 && <p class="dim">Nothing to report about what was checked.</p>}
      {shown.length > 0 && <ul>
        {shown.map((diagnostic, index) => (
          <li key={index} class={`finding ${diagnostic.severity}`}>
            <button type="button" aria-expanded={chosen === diagnostic} onClick={() => choose(diagnostic)}>
              <span class="severity">{diagnostic.severity}</span> <b>{diagnostic.code}</b>
              <span class="message">{diagnostic.message}</span>
              <Where diagnostic={diagnostic} path={view.report.path} />
            </button>
            {chosen === diagnostic && <Explanation diagnostic={diagnostic} view={view} />}
          </li>
        ))}
      </ul>}
      {diagnostics.length > shown.length && <p class="dim">… and {grouped(stats.limits.diagnosticsFound - shown.length)} more</p>}
    </section>
  );
}

/** 2 errors, 1 warning. */
function countsOf({ report: { summary } }: View): string {
  const counts = [counted(summary.errors, 'error'), counted(summary.warnings, 'warning'), counted(summary.infos, 'note')].filter((count) => !count.startsWith('0 '));
  return counts.join(', ') || '0';
}

/** Of files dropped without their folder, findings still name one. */
function fileOf(source: string, { files }: View): string | undefined {
  return (files.find(({ name }) => name === source) ?? files.find(({ name }) => baseName(name) === baseName(source)))?.name;
}

function Where({ diagnostic: { byteRange, pointer, source }, path }: { readonly diagnostic: Diagnostic; readonly path: string }) {
  const parts = [source === path ? undefined : source, byteRange && `bytes [${byteRange[0]}, ${byteRange[1]})`, pointer].filter((part) => part !== undefined);
  return parts.length > 0 ? <span class="where">{parts.join(', ')}</span> : null;
}

function Explanation({ diagnostic, view }: { readonly diagnostic: Diagnostic; readonly view: View }) {
  const entry = view.codes[diagnostic.code];
  return (
    <div class="explanation">
      {diagnostic.byteRange && <a class="stacked" href="#bytes-title">Its bytes</a>}
      {diagnostic.hint && <p><b>What to do:</b> {diagnostic.hint}</p>}
      {entry && <p><b>Why:</b> {entry.rationale}</p>}
      {entry && <Clause reference={entry.clause} />}
    </div>
  );
}

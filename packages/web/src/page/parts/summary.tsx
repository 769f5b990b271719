import { proxy } from 'comlink';
import type { Verdict } from '@weightspec/core';
import { counted, grouped, humanBytes } from '@weightspec/formats';
import { inspector } from '../threads.js';
import type { Checked, View } from '../workers/protocol.js';
import { FaultMessage } from './fault.js';
import { Progress } from './progress.js';
import { useTask } from './task.js';

/** The core speaks of the command's option; here a button does the same. */
const forPage = (text: string): string => text.replace('use --deep', 'check every byte');

const words: Readonly<Record<Verdict, string>> = { valid: 'Valid', warnings: 'Valid, with warnings', invalid: 'Invalid', unrecognized: 'Not recognized' };

export function Summary({ view, onChecked }: { readonly view: View; readonly onChecked: (checked: Checked) => void }) {
  const { report, evidence, metadata } = view;
  const { stats, producer } = report;
  const [deep, start] = useTask<void>();
  const check = () =>
    start(async (progress) => {
      onChecked(await inspector.checkDeep(proxy((done: number, total: number) => progress(total > 0 ? done / total : 1))));
    });
  return (
    <section class="card summary" aria-labelledby="summary-title">
      <div class="headline">
        <h2 id="summary-title">{report.path}</h2>
        <span class={`verdict ${report.verdict}`}>{words[report.verdict]}</span>
        <nav aria-label="On this page">
          <a href="#findings-title">Findings</a>
          <a href="#bytes-title">Bytes</a>
          {stats.tensorCount > 0 && <a href="#tensors-title">Tensors</a>}
          {stats.tensorCount > 0 && <a href="#run-title">Run</a>}
        </nav>
      </div>
      <dl class="facts">
        <Fact name="Format">{report.format ?? 'none that is known'}{report.variant && report.variant !== report.format && <> <b>{report.variant}</b></>}</Fact>
        <Fact name="Size">{humanBytes(stats.fileSize)}</Fact>
        {stats.tensorCount > 0 && <Fact name="Contents">{counted(stats.tensorCount, 'tensor')}, {counted(stats.parameterCount, 'parameter')}</Fact>}
        {evidence && <Fact name="Recognized by">{evidence}</Fact>}
        {producer && producer.name !== 'unknown' && <Fact name="Probably written by">{producer.name}{producer.evidence.length > 0 && <span class="dim"> ({producer.evidence.map(({ message }) => message).join('; ')})</span>}</Fact>}
      </dl>
      {Object.keys(metadata).length > 0 && (
        <details>
          <summary>Metadata ({grouped(Object.keys(metadata).length)})</summary>
          <dl class="metadata">
            {Object.entries(metadata).map(([key, value]) => <div key={key}><dt>{key}</dt><dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd></div>)}
          </dl>
        </details>
      )}
      <div class="coverage">
        {stats.checked.length > 0 && <p><b>Checked:</b> {stats.checked.join('; ')}</p>}
        {stats.notChecked.length > 0 && <p><b>Not checked:</b> {stats.notChecked.map(forPage).join('; ')}</p>}
      </div>
      {deep.progress !== undefined && <Progress label="Reading every byte" value={deep.progress} onCancel={() => void inspector.cancel()} />}
      {deep.fault && <FaultMessage fault={deep.fault} title="The check could not go on" />}
      {deep.progress === undefined && stats.tensorCount > 0 && !stats.limits.deep && <button type="button" onClick={() => void check()}>Check every byte</button>}
    </section>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

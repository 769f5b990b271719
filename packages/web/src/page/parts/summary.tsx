import { proxy } from 'comlink';
import type { Verdict } from '@weightspec/core';
import { counted, grouped, humanBytes, type Asked } from '@weightspec/formats';
import { baseName } from '../model/items.js';
import { inspector } from '../threads.js';
import type { Checked, View } from '../workers/protocol.js';
import { FaultMessage } from './fault.js';
import { Progress } from './progress.js';
import { save } from './save.js';
import { useTask } from './task.js';

/** The core speaks of the command's option; here a button does the same. */
const forPage = (text: string): string => text.replace('use --deep', 'check every byte');

/** A file that goes with a model and never is one. */
export const isVocabulary = ({ report }: View): boolean => report.format === 'llama2c-tokenizer';

export const verdictWords: Readonly<Record<Verdict, string>> = { valid: 'Valid', warnings: 'Valid, with warnings', invalid: 'Invalid', unrecognized: 'Not recognized' };

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
        <span class={`verdict ${report.verdict}`}>{verdictWords[report.verdict]}</span>
        <nav aria-label="On this page">
          <a href="#findings-title">Findings</a>
          <a href="#bytes-title">Bytes</a>
          {stats.tensorCount > 0 && <a href="#tensors-title">Tensors</a>}
          {stats.tensorCount > 0 && !isVocabulary(view) && <a href="#run-title">Run</a>}
        </nav>
      </div>
      <dl class="facts">
        <Fact name="Format">{report.format ?? 'none that is known'}{report.variant && report.variant !== report.format && <> <b>{report.variant}</b></>}</Fact>
        <Fact name="Size">{humanBytes(stats.fileSize)}</Fact>
        {stats.tensorCount > 0 && <Fact name="Contents">{counted(stats.tensorCount, 'tensor')}, {counted(stats.parameterCount, 'parameter')}{stats.parameterCount > 0 && <span class="dim"> ({bitsEach(view)} bits each)</span>}</Fact>}
        {evidence && <Fact name="Recognized by" wide>{evidence}</Fact>}
        {producer && producer.name !== 'unknown' && <Fact name="Probably written by" wide>{producer.name}{producer.evidence.length > 0 && <span class="dim"> ({producer.evidence.map(({ message }) => message).join('; ')})</span>}</Fact>}
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
        {view.asked.length > 1 && <AskedFor asked={view.asked} />}
      </div>
      {deep.progress !== undefined && <Progress label="Reading every byte" value={deep.progress} onCancel={() => void inspector.cancel('checkDeep')} />}
      {deep.fault && <FaultMessage fault={deep.fault} title="The check could not go on" />}
      <div class="actions">
        {deep.progress === undefined && stats.tensorCount > 0 && !stats.limits.deep && <button type="button" onClick={() => void check()}>Check every byte</button>}
        <button type="button" onClick={() => save(`${baseName(report.path)}.report.json`, jsonOf(view))}>Save the report (JSON)</button>
      </div>
    </section>
  );
}

/** Bits that a parameter takes with its scales. */
function bitsEach({ tensors, report: { stats } }: View): string {
  const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return ((8 * bytes) / stats.parameterCount).toPrecision(3);
}

/** What `weightspec validate --format json` prints. */
function jsonOf({ report, codes }: View): string {
  const diagnostics = report.diagnostics.map((diagnostic) => ({ ...diagnostic, clause: codes[diagnostic.code]?.clause }));
  return `${JSON.stringify({ tool: { name: 'weightspec', version: WEIGHTSPEC_VERSION }, reports: [{ ...report, diagnostics }] }, null, 2)}\n`;
}

const outcomes = [['found', ''], ['absent', 'not there: '], ['refused', 'refused, or not there: ']] as const;

/** Of an address, which files were asked for, and what came of it. */
function AskedFor({ asked }: { readonly asked: readonly Asked[] }) {
  const parts = outcomes.flatMap(([outcome, before]) => {
    const files = asked.filter((file) => file.outcome === outcome).map(({ name }) => name);
    return files.length > 0 ? [`${before}${files.join(', ')}`] : [];
  });
  const refused = asked.find(({ outcome }) => outcome === 'refused');
  return (
    <>
      <p><b>Asked for:</b> {parts.join('; ')}</p>
      {refused && <p>A browser does not say whether a file is missing or may not be read from another page (CORS): {refused.reason}. If it is there, download it and drop it here with the weights.</p>}
    </>
  );
}

function Fact({ name, wide, children }: { readonly name: string; readonly wide?: boolean; readonly children: preact.ComponentChildren }) {
  return <div class={wide ? 'wide' : ''}><dt>{name}</dt><dd>{children}</dd></div>;
}

import { proxy } from 'comlink';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { grouped, humanBytes } from '@weightspec/formats';
import type { Analysis } from '../model/analysis.js';
import { roles, treeOf } from '../model/tree.js';
import { inspector } from '../threads.js';
import type { TensorRow, View } from '../workers/protocol.js';
import type { Selection } from './app.js';
import { Chart } from './chart.js';
import type { Charts } from './charts.js';
import { FaultMessage } from './fault.js';
import { Progress } from './progress.js';
import { useTask } from './task.js';

interface TensorsProps {
  readonly view: View;
  readonly selected?: string;
  readonly onSelect: (name: string) => void;
  readonly onBytes: (selection: Selection) => void;
}

/** More rows make the page slow to lay out; a filter finds the others. */
const MOST_ROWS = 200;

interface Column {
  readonly title: string;
  readonly numeric?: boolean;
  readonly compare: (a: TensorRow, b: TensorRow) => number;
}

const byText = (of: (row: TensorRow) => string) => (a: TensorRow, b: TensorRow): number => of(a).localeCompare(of(b), 'en', { numeric: true });
const columns: readonly Column[] = [
  { title: 'Tensor', compare: byText(({ name }) => name) },
  { title: 'Type', compare: byText(({ dtype }) => dtype) },
  { title: 'Shape', compare: (a, b) => a.elementCount - b.elementCount },
  { title: 'Bytes', numeric: true, compare: (a, b) => a.byteLength - b.byteLength },
  { title: 'Offset', numeric: true, compare: (a, b) => byText(({ file }) => file)(a, b) || a.byteOffset - b.byteOffset },
];

export function Tensors({ view: { tensors }, selected, onSelect, onBytes }: TensorsProps) {
  const tree = useMemo(() => treeOf(tensors), [tensors]);
  const latest = useRef(onSelect);
  latest.current = onSelect;
  const draw = useCallback((charts: Charts, element: HTMLElement) => charts.treemap(element, tree, (name) => latest.current(name)), [tree]);
  const row = tensors.find(({ name }) => name === selected);
  return (
    <section class="card tensors" aria-labelledby="tensors-title">
      <h2 id="tensors-title">Tensors <span class="count">{grouped(tensors.length)}</span></h2>
      <Chart class="treemap" label="Bytes by tensor, as areas; press one to select it" draw={draw} />
      <ul class="legend" aria-label="Colours of the areas">{roles.map((role, index) => <li key={role}><span class={`swatch role${index}`} />{role}</li>)}</ul>
      {row && <Detail key={row.name} row={row} onBytes={onBytes} />}
      <Table tensors={tensors} selected={selected} onSelect={onSelect} />
    </section>
  );
}

function Table({ tensors, selected, onSelect }: { readonly tensors: readonly TensorRow[]; readonly selected?: string; readonly onSelect: (name: string) => void }) {
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState({ column: 4, descending: false });
  const [all, setAll] = useState(false);
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/);
    const found = tensors.filter(({ name, dtype }) => words.every((word) => `${name} ${dtype}`.toLowerCase().includes(word)));
    const { compare } = columns[sort.column]!;
    return found.toSorted((a, b) => (sort.descending ? compare(b, a) : compare(a, b)));
  }, [tensors, filter, sort]);
  const shown = all ? rows : rows.slice(0, MOST_ROWS);
  const sortBy = (column: number): void => setSort({ column, descending: sort.column === column ? !sort.descending : columns[column]!.numeric === true && column !== 4 });
  return (
    <>
      <label class="filter">Filter <input type="search" value={filter} placeholder="e.g. layers.0 F16" onInput={(event) => setFilter(event.currentTarget.value)} /> <span class="dim" role="status">{filter === '' ? '' : `${grouped(rows.length)} of ${grouped(tensors.length)}`}</span></label>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of tensors">
        <table>
          <thead>
            <tr>
              {columns.map(({ title, numeric }, index) => (
                <th key={title} scope="col" class={numeric ? 'number' : ''} aria-sort={sort.column === index ? (sort.descending ? 'descending' : 'ascending') : 'none'}>
                  <button type="button" onClick={() => sortBy(index)}>{title}<span aria-hidden="true">{sort.column === index ? (sort.descending ? ' ↓' : ' ↑') : ''}</span></button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={row.name} class={row.name === selected ? 'selected' : ''}>
                <td><button type="button" class="link" aria-pressed={row.name === selected} onClick={() => onSelect(row.name)}>{row.name}</button></td>
                <td>{row.dtype}</td>
                <td>[{row.shape.join(', ')}]</td>
                <td class="number">{humanBytes(row.byteLength)}</td>
                <td class="number">{grouped(row.byteOffset)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length < rows.length && <button type="button" onClick={() => setAll(true)}>Show all {grouped(rows.length)}</button>}
    </>
  );
}

function Detail({ row, onBytes }: { readonly row: TensorRow; readonly onBytes: (selection: Selection) => void }) {
  const [analysis, start] = useTask<Analysis>();
  const place = useRef<HTMLDivElement>(null);
  // Before the first paint: what is about to be pressed must not move.
  useLayoutEffect(() => place.current?.scrollIntoView({ block: 'nearest' }), []);
  // Another tensor ends what goes on for this one.
  useEffect(() => () => void inspector.cancel(), []);
  const run = () => start((progress) => inspector.analyse(row.name, proxy(progress)));
  return (
    <div class="detail" ref={place} aria-labelledby="detail-title">
      <h3 id="detail-title">{row.name}</h3>
      <p>{row.dtype} [{row.shape.join(', ')}], {grouped(row.elementCount)} elements, bytes [{row.byteOffset}, {row.byteOffset + row.byteLength}) of {row.file}</p>
      <div class="actions">
        <button type="button" onClick={() => onBytes({ file: row.file, byteRange: [row.byteOffset, row.byteOffset + row.byteLength] })}>Show its bytes</button>
        {row.hasValues && analysis.progress === undefined && !analysis.result && <button type="button" onClick={() => void run()}>Histogram and quantization error</button>}
        {!row.hasValues && <span class="dim">Values of this type are not shown.</span>}
      </div>
      {analysis.progress !== undefined && <Progress label="Reading its values" value={analysis.progress} onCancel={() => void inspector.cancel()} />}
      {analysis.fault && <FaultMessage fault={analysis.fault} title="The values could not be read" />}
      {analysis.result && <Values analysis={analysis.result} />}
    </div>
  );
}

const short = (value: number): string => (value === 0 ? '0' : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2));

function Values({ analysis }: { readonly analysis: Analysis }) {
  const draw = useCallback((charts: Charts, element: HTMLElement) => charts.histogram(element, analysis), [analysis]);
  const { min, max, mean, std, zeros, nonFinite, roundTrips } = analysis;
  return (
    <div class="values">
      <div>
        <Chart class="histogram" label={`Histogram of its values, from ${short(min)} to ${short(max)}`} draw={draw} />
        <p class="figures">min <b>{short(min)}</b> max <b>{short(max)}</b> mean <b>{short(mean)}</b> deviation <b>{short(std)}</b> zeros <b>{grouped(zeros)}</b>{nonFinite > 0 && <span class="bad"> NaN or infinite <b>{grouped(nonFinite)}</b></span>}</p>
      </div>
      {roundTrips ? (
        <div class="scroll" tabIndex={0} role="region" aria-label="Quantization error">
          <table class="errors">
            <caption>What storing it in another type would change</caption>
            <thead><tr><th scope="col">Type</th><th scope="col" class="number">Bytes</th><th scope="col" class="number">Error (rms)</th><th scope="col" class="number">Largest</th><th scope="col" class="number">Signal to noise</th></tr></thead>
            <tbody>
              {roundTrips.map(({ dtype, byteLength, rmse, maxAbs, snrDb }) => (
                <tr key={dtype}><th scope="row">{dtype}</th><td class="number">{humanBytes(byteLength)}</td><td class="number">{short(rmse)}</td><td class="number">{short(maxAbs)}</td><td class="number">{snrDb === null ? (rmse === 0 ? 'exact' : '–') : `${snrDb.toFixed(1)} dB`}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : <p class="dim">With values that are not finite there is no quantization error to show.</p>}
    </div>
  );
}

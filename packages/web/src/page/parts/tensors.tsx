import { proxy } from 'comlink';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { counted, grouped, humanBytes } from '@weightspec/formats';
import type { Analysis } from '../model/analysis.js';
import { groupBy } from '../model/group-by.js';
import { roles, treeOf } from '../model/tree.js';
import { inspector } from '../threads.js';
import type { TensorRow, View } from '../workers/protocol.js';
import type { ChosenTensor, Selection } from './app.js';
import { Chart } from './chart.js';
import type { Charts } from './charts.js';
import { Copy } from './copy.js';
import { FaultMessage } from './fault.js';
import { Progress } from './progress.js';
import { useTask } from './task.js';

interface TensorsProps {
  readonly view: View;
  readonly selected?: ChosenTensor;
  readonly onSelect: (name: string) => void;
  readonly onBytes: (selection: Selection) => void;
}

/** Tables with more rows than this lay out only those that are seen. */
const MOST_ROWS = 200;
/** As the style sheet has it. */
const ROW_PIXELS = 34;
/** Rows laid out before and behind those that are seen. */
const SPARE_ROWS = 20;

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

export function Tensors({ view: { tensors, report }, selected, onSelect, onBytes }: TensorsProps) {
  const tree = useMemo(() => treeOf(tensors), [tensors]);
  const latest = useRef(onSelect);
  latest.current = onSelect;
  const draw = useCallback((charts: Charts, element: HTMLElement) => charts.treemap(element, tree, (name) => latest.current(name)), [tree]);
  const row = tensors.find(({ name }) => name === selected?.name);
  return (
    <section class="card tensors" aria-labelledby="tensors-title">
      <h2 id="tensors-title">Tensors <span class="count">{counted(tensors.length, 'tensor')}, {counted(report.stats.parameterCount, 'parameter')}</span></h2>
      <Chart class="treemap" label="Bytes by tensor, as areas; press one to select it" draw={draw} />
      <ul class="legend" aria-label="Colours of the areas">{roles.map((role, index) => <li key={role}><span class={`swatch role${index}`} />{role}</li>)}</ul>
      {row && <Detail key={row.name} row={row} chosen={selected!} allBytes={tensors.reduce((sum, { byteLength }) => sum + byteLength, 0)} onBytes={onBytes} />}
      <Table tensors={tensors} selected={selected?.name} onSelect={onSelect} />
    </section>
  );
}

interface TypeCount {
  readonly dtype: string;
  readonly count: number;
  readonly byteLength: number;
}

/** The most bytes first. */
function typesOf(tensors: readonly TensorRow[]): TypeCount[] {
  const types = [...groupBy(tensors, ({ dtype }) => dtype)].map(([dtype, of]) => ({ dtype, count: of.length, byteLength: of.reduce((sum, { byteLength }) => sum + byteLength, 0) }));
  return types.toSorted((a, b) => b.byteLength - a.byteLength);
}

function Table({ tensors, selected, onSelect }: { readonly tensors: readonly TensorRow[]; readonly selected?: string; readonly onSelect: (name: string) => void }) {
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState({ column: 4, descending: false });
  const types = useMemo(() => typesOf(tensors), [tensors]);
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/);
    // A whole type means that type: F16 is not BF16.
    const isType = (word: string): boolean => types.some(({ dtype }) => dtype.toLowerCase() === word);
    const matches = ({ name, dtype }: TensorRow, word: string): boolean => name.toLowerCase().includes(word) || (isType(word) ? dtype.toLowerCase() === word : dtype.toLowerCase().includes(word));
    const { compare } = columns[sort.column]!;
    return tensors.filter((row) => words.every((word) => matches(row, word))).toSorted((a, b) => (sort.descending ? compare(b, a) : compare(a, b)));
  }, [tensors, types, filter, sort]);
  const { scroller, onScroll, first, last } = useRowsSeen(rows);
  const sortBy = (column: number): void => setSort({ column, descending: sort.column === column ? !sort.descending : columns[column]!.numeric === true && column !== 4 });
  return (
    <>
      <div class="find">
        <label class="filter">Filter <input type="search" value={filter} placeholder="e.g. layers.0 F16" onInput={(event) => setFilter(event.currentTarget.value)} /></label>
        <ul class="types" aria-label="Types">
          {types.map(({ dtype, count, byteLength }) => (
            <li key={dtype}><button type="button" aria-pressed={filter === dtype} onClick={() => setFilter(filter === dtype ? '' : dtype)}><b>{dtype}</b> {grouped(count)}<span class="dim"> · {humanBytes(byteLength)}</span></button></li>
          ))}
        </ul>
        <span class="dim" role="status">{filter === '' ? '' : `${grouped(rows.length)} of ${grouped(tensors.length)}, ${humanBytes(rows.reduce((sum, { byteLength }) => sum + byteLength, 0))}`}</span>
      </div>
      <div class="scroll" tabIndex={0} role="region" aria-label="Table of tensors" ref={scroller} onScroll={onScroll}>
        <table class="list" aria-rowcount={rows.length + 1}>
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
            {first > 0 && <Gap rows={first} />}
            {rows.slice(first, last).map((row, index) => (
              <tr key={row.name} class={row.name === selected ? 'selected' : ''} aria-rowindex={first + index + 2}>
                <td><button type="button" class="link" title={row.name} aria-pressed={row.name === selected} onClick={() => onSelect(row.name)}>{row.name}</button></td>
                <td>{row.dtype}</td>
                <td title={`${grouped(row.elementCount)} elements`}>[{row.shape.join(', ')}]</td>
                <td class="number" title={`${grouped(row.byteLength)} bytes`}>{humanBytes(row.byteLength)}</td>
                <td class="number" title={row.file}>{grouped(row.byteOffset)}</td>
              </tr>
            ))}
            {last < rows.length && <Gap rows={rows.length - last} />}
          </tbody>
        </table>
        {rows.length === 0 && <p class="none">No tensor has such a name or type.</p>}
      </div>
    </>
  );
}

/** Stands for rows that are not laid out. */
const Gap = ({ rows }: { readonly rows: number }) => <tr aria-hidden="true" style={{ height: `${rows * ROW_PIXELS}px` }}><td colSpan={columns.length} /></tr>;

/** The rows [first, last) to lay out. Other rows start at the top. */
function useRowsSeen(rows: readonly TensorRow[]) {
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0;
    setTop(0);
  }, [rows]);
  const onScroll = (event: { readonly currentTarget: HTMLDivElement }): void => {
    const row = Math.floor(event.currentTarget.scrollTop / ROW_PIXELS);
    // Not for each pixel: the spare rows last for a while.
    setTop(row - (row % (SPARE_ROWS / 2)));
  };
  if (rows.length <= MOST_ROWS) return { scroller, onScroll, first: 0, last: rows.length };
  const seen = Math.ceil((scroller.current?.clientHeight ?? 480) / ROW_PIXELS);
  return { scroller, onScroll, first: Math.max(0, top - SPARE_ROWS), last: Math.min(rows.length, top + seen + 2 * SPARE_ROWS) };
}

interface DetailProps {
  readonly row: TensorRow;
  readonly chosen: ChosenTensor;
  /** Of all tensors. */
  readonly allBytes: number;
  readonly onBytes: (selection: Selection) => void;
}

function Detail({ row, chosen, allBytes, onBytes }: DetailProps) {
  const [analysis, start] = useTask<Analysis>();
  const place = useRef<HTMLDivElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  // Before the first paint: what is about to be pressed must not move. The keyboard goes on from here.
  useLayoutEffect(() => {
    title.current?.focus({ preventScroll: true });
    place.current?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);
  // Another tensor ends what goes on for this one.
  useEffect(() => () => void inspector.cancel('analyse'), []);
  const run = () => start((progress) => inspector.analyse(row.name, proxy(progress)));
  return (
    <div class="detail" ref={place} role="group" aria-labelledby="detail-title">
      <h3 id="detail-title" tabIndex={-1} ref={title}>{row.name}</h3>
      <p>{row.dtype} [{row.shape.join(', ')}], {counted(row.elementCount, 'element')}, {humanBytes(row.byteLength)}{allBytes > 0 && ` (${((100 * row.byteLength) / allBytes).toPrecision(2)} % of all)`}, bytes [{row.byteOffset}, {row.byteOffset + row.byteLength}) of {row.file}</p>
      <div class="actions">
        <button type="button" onClick={() => onBytes({ file: row.file, byteRange: [row.byteOffset, row.byteOffset + row.byteLength], reveal: true })}>Show its bytes</button>
        <Copy label="Copy its name" text={() => row.name} />
        {row.hasValues && analysis.progress === undefined && !analysis.result && <button type="button" onClick={() => void run()}>Histogram and quantization error</button>}
        {!row.hasValues && <span class="dim">Values of this type are not shown.</span>}
      </div>
      {analysis.progress !== undefined && <Progress label="Reading its values" value={analysis.progress} onCancel={() => void inspector.cancel('analyse')} />}
      {analysis.fault && <FaultMessage fault={analysis.fault} title="The values could not be read" />}
      {analysis.result && <Values analysis={analysis.result} />}
    </div>
  );
}

const short = (value: number): string => (value === 0 ? '0' : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2));

const Figure = ({ name, bad, children }: { readonly name: string; readonly bad?: boolean; readonly children: string }) => <span class={bad ? 'bad' : ''}>{name} <b>{children}</b></span>;

function Values({ analysis }: { readonly analysis: Analysis }) {
  const draw = useCallback((charts: Charts, element: HTMLElement) => charts.histogram(element, analysis), [analysis]);
  const { min, max, mean, std, zeros, nonFinite, roundTrips } = analysis;
  return (
    <div class="values">
      <div>
        <Chart class="histogram" label={`Histogram of its values, from ${short(min)} to ${short(max)}`} draw={draw} />
        <p class="figures"><Figure name="min">{short(min)}</Figure> <Figure name="max">{short(max)}</Figure> <Figure name="mean">{short(mean)}</Figure> <Figure name="deviation">{short(std)}</Figure> <Figure name="zeros">{grouped(zeros)}</Figure> {nonFinite > 0 && <Figure name="NaN or infinite" bad>{grouped(nonFinite)}</Figure>}</p>
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

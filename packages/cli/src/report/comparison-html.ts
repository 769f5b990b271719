/** The comparison as one page that loads nothing, with a chart of the error by layer. */
import type { ComparedTensor } from '@weightspec/convert';
import * as echarts from 'echarts/core';
import { LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { figure, note, verdictTexts, type NamedComparison } from './comparison-text.js';
import { html, visible } from './escape.js';

echarts.use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const OUTSIDE = 'outside the layers';
const WIDTH = 960;
const HEIGHT = 440;

/** Points of one role, such as attention.wq, by layer. */
interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: string, relative: number])[];
}

/** One series a role. Equal tensors are left out: a logarithmic axis has no zero. */
function seriesOf(tensors: readonly ComparedTensor[]): { readonly categories: readonly string[]; readonly series: readonly Series[] } {
  const categories: string[] = [];
  const byRole = new Map<string, (readonly [string, number])[]>();
  for (const { name, difference } of tensors) {
    const layer = /^layers\.(\d+)\.(.*?)(?:\.weight)?$/.exec(name);
    const x = layer ? layer[1]! : visible(name.replace(/\.weight$/, ''));
    if (!categories.includes(x)) categories.push(x);
    const relative = difference?.relative ?? 0;
    if (relative <= 0) continue;
    const role = layer ? visible(layer[2]!) : OUTSIDE;
    byRole.set(role, [...(byRole.get(role) ?? []), [x, relative]]);
  }
  return { categories: inOrder(categories), series: [...byRole].map(([name, points]) => ({ name, points })) };
}

/** The embedding, the layers by number, then what comes after them. */
function inOrder(categories: readonly string[]): readonly string[] {
  const rank = (name: string): number => (/^\d+$/.test(name) ? Number(name) : /embed/.test(name) ? -1 : Number.MAX_SAFE_INTEGER);
  return categories.toSorted((a, b) => rank(a) - rank(b));
}

/** The chart as SVG text. It is drawn without a browser. */
export function comparisonSvg({ comparison }: NamedComparison): string {
  const { categories, series } = seriesOf(comparison.tensors);
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: { text: series.length > 0 ? 'Difference of B from A, relative to A’s root mean square' : 'No tensor differs', left: 'center', textStyle: { fontSize: 14 } },
      legend: { type: 'plain', bottom: 0, textStyle: { fontSize: 11 } },
      grid: { left: 70, right: 30, top: 50, bottom: 90 },
      xAxis: { type: 'category', name: 'layer', nameLocation: 'middle', nameGap: 28, data: [...categories] },
      yAxis: { type: 'log', axisLabel: { formatter: (value: number) => figure(value) } },
      series: series.map(({ name, points }) => ({ name, type: 'line', symbolSize: 7, lineStyle: { opacity: name === OUTSIDE ? 0 : 1 }, data: points.map((point) => [...point]) })),
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

const style = `
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1b1b;background:#fff}
h1{font-size:1.3rem} svg{max-width:100%;height:auto} table{border-collapse:collapse;font-size:13px} td,th{padding:.15rem .6rem;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right;font-variant-numeric:tabular-nums}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}td,th{border-color:#333}}`;

export function comparisonHtml(named: NamedComparison, version: string): string {
  const { paths, comparison } = named;
  const { a, b, configuration, missing, extra, tensors, verdict } = comparison;
  const side = (label: string, path: string, { format, variant }: typeof a) => `<p>${label}: ${html(path)} <small>(${html(format)} ${html(variant)})</small></p>`;
  const list = (title: string, items: readonly string[]) => (items.length === 0 ? '' : `<p>${title}: ${items.map(html).join(', ')}</p>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>weightspec comparison</title><style>${style}</style></head><body>
<h1>weightspec ${html(version)}: ${html(verdictTexts[verdict])}</h1>
${side('A', paths.a, a)}${side('B', paths.b, b)}
${list('Configuration', configuration.map(({ field, a: left, b: right }) => `${field} is ${left} in A and ${right} in B`))}${list('Only in A', missing)}${list('Only in B', extra)}
${comparisonSvg(named)}
<table><tr><th>tensor</th><th>A</th><th>B</th><th>max abs</th><th>rmse</th><th>relative</th><th>SNR dB</th><th>cosine</th><th></th></tr>
${tensors.map(tableRow).join('\n')}
</table></body></html>
`;
}

function tableRow(tensor: ComparedTensor): string {
  const { name, a, b, difference } = tensor;
  const cells = difference?.equal ? ['equal', '', '', '', ''] : [difference?.maxAbs, difference?.rmse, difference?.relative, difference?.snrDb, difference?.cosine].map(figure);
  return `<tr><td>${html(name)}</td><td>${html(a.storage)}</td><td>${html(b.storage)}</td>${cells.map((cell) => `<td class="n">${cell}</td>`).join('')}<td>${html(note(tensor))}</td></tr>`;
}

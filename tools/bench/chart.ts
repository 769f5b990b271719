/** The rows as bars, drawn without a browser: one group a row, ours first. */
import * as echarts from 'echarts/core';
import { BarChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import type { SpeedReport, SpeedRow } from './speed.js';

echarts.use([BarChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

const labelOf = ({ model, type, kind, tokens }: SpeedRow): string => `${model} ${type}${kind === 'prefill' ? `, ${tokens} tokens` : ''}`;

/** SVG text. */
export function speedSvg({ machine, rows }: SpeedReport): string {
  const shown = rows.filter(({ ours }) => ours).toReversed();
  const peerNames = [...new Set(shown.flatMap(({ peers }) => peers.map(({ name }) => name)))];
  const valueOf = (row: SpeedRow, name: string): number | null => (name === 'weightspec' ? row.ours : row.peers.find((peer) => peer.name === name)?.speed)?.median ?? null;
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 140 + 22 * shown.length * (1 + peerNames.length) });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: '#ffffff',
      title: { text: `Tokens a second, ${machine.threads} threads, ${machine.processor}`, left: 'center', textStyle: { fontSize: 14 } },
      legend: { type: 'plain', bottom: 0 },
      grid: { left: 190, right: 60, top: 50, bottom: 60 },
      xAxis: { type: 'log', min: 1 },
      yAxis: { type: 'category', data: shown.map(labelOf) },
      series: ['weightspec', ...peerNames].map((name) => ({
        name, type: 'bar', data: shown.map((row) => valueOf(row, name)),
        label: { show: true, position: 'right', fontSize: 10, formatter: ({ value }: { value: unknown }) => (typeof value === 'number' ? value.toPrecision(3) : '') },
      })),
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

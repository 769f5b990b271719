/** The two charts, and nothing else of echarts. Canvas, because the page's policy forbids inline styles. */
import { BarChart, TreemapChart } from 'echarts/charts';
import { AriaComponent, GridComponent, TooltipComponent } from 'echarts/components';
import { init, use, type ECharts } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { grouped, humanBytes } from '@weightspec/formats';
import type { Analysis } from '../model/analysis.js';
import { roles, type Role, type TreeNode } from '../model/tree.js';

use([BarChart, TreemapChart, AriaComponent, GridComponent, TooltipComponent, CanvasRenderer]);

export interface Charts {
  readonly treemap: typeof treemap;
  readonly histogram: typeof histogram;
}

/** The page's colours, as they are in light or dark. */
function colors(element: HTMLElement): (name: string) => string {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** More groups leave no room for their names. */
const MOST_NAMED = 150;

const colorOf = (role: Role): string => `role${roles.indexOf(role)}`;

export function treemap(element: HTMLElement, tree: readonly TreeNode[], onSelect: (tensor: string) => void): ECharts {
  const color = colors(element);
  const chart = init(element);
  const data = (node: TreeNode): object => ({
    name: node.tensor === undefined ? node.label : node.label.replace(/\.weight$/, ''),
    value: node.byteLength,
    tensor: node.tensor,
    itemStyle: { color: node.children ? color('line') : color(colorOf(node.role)) },
    children: node.children?.toReversed().map(data),
  });
  const isNamed = tree.length <= MOST_NAMED;
  // Of areas of one size the last comes first, and layers are of one size.
  chart.setOption({
    animation: false,
    aria: { enabled: true, label: { description: 'Bytes by tensor. The table below has the same numbers.' } },
    tooltip: { renderMode: 'richText', formatter: ({ name, value, data: { tensor } }: { name: string; value: number; data: { tensor?: string } }) => `${tensor ?? name}\n${humanBytes(value)}`, confine: true },
    series: [{
      type: 'treemap', data: tree.toReversed().map(data), roam: false, nodeClick: false, breadcrumb: { show: false }, width: '100%', height: '100%', left: 0, top: 0, visibleMin: isNamed ? 30 : 1,
      label: { fontSize: 11, color: '#fff', overflow: 'truncate' },
      upperLabel: { show: true, height: 18, fontSize: 11, color: color('text') },
      itemStyle: { borderColor: color('card'), borderWidth: 1, gapWidth: 1 },
      levels: isNamed
        ? [{ itemStyle: { gapWidth: 3, borderWidth: 0 }, upperLabel: { show: false } }, { itemStyle: { gapWidth: 1, borderWidth: 2, borderColor: color('line') } }]
        : [{ itemStyle: { gapWidth: 1, borderWidth: 0 }, upperLabel: { show: false } }, { itemStyle: { gapWidth: 0, borderWidth: 0 }, upperLabel: { show: false } }, { itemStyle: { borderWidth: 0 }, label: { show: false } }],
    }],
  });
  chart.on('click', (event) => {
    const { tensor } = (event.data ?? {}) as { readonly tensor?: string };
    if (tensor !== undefined) onSelect(tensor);
  });
  return chart;
}

export function histogram(element: HTMLElement, { histogram: counts, min, max, elementCount }: Analysis): ECharts {
  const color = colors(element);
  const chart = init(element);
  const width = (max - min) / counts.length;
  const edge = (index: number): string => (min + width * index).toPrecision(3);
  chart.setOption({
    animation: false,
    aria: { enabled: true, label: { description: `Histogram of ${grouped(elementCount)} values from ${min} to ${max}.` } },
    grid: { left: 52, right: 12, top: 8, bottom: 26 },
    tooltip: { renderMode: 'richText', confine: true, formatter: ({ dataIndex, value }: { dataIndex: number; value: number }) => `${edge(dataIndex)} to ${edge(dataIndex + 1)}\n${grouped(value)} values` },
    xAxis: { type: 'category', data: counts.map((_, index) => edge(index)), axisLabel: { color: color('dim'), hideOverlap: true }, axisLine: { lineStyle: { color: color('line') } } },
    yAxis: { type: 'value', axisLabel: { color: color('dim') }, splitLine: { lineStyle: { color: color('line') } } },
    series: [{ type: 'bar', data: [...counts], barCategoryGap: '5%', itemStyle: { color: color('accent') } }],
  });
  return chart;
}

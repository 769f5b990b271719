import { useEffect, useRef } from 'preact/hooks';
import type { ECharts } from 'echarts/core';
import type { Charts } from './charts.js';

interface ChartProps {
  readonly label: string;
  readonly class: string;
  /** Draws into the element. The library is fetched when the first chart is. */
  readonly draw: (charts: Charts, element: HTMLElement) => ECharts;
}

export function Chart({ label, class: className, draw }: ChartProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let chart: ECharts | undefined;
    let gone = false;
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const redraw = (): void =>
      void import('./charts.js').then((charts) => {
        if (gone || !element.current) return;
        chart?.dispose();
        chart = draw(charts, element.current);
      });
    const resized = new ResizeObserver(() => chart?.resize());
    resized.observe(element.current!);
    scheme.addEventListener('change', redraw);
    redraw();
    return () => {
      gone = true;
      resized.disconnect();
      scheme.removeEventListener('change', redraw);
      chart?.dispose();
    };
  }, [draw]);
  return <div ref={element} class={className} role="img" aria-label={label} />;
}

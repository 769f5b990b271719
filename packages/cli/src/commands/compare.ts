import { compare, type Comparison } from '@weightspec/convert';
import { openConversionInput, type OpenedInput } from '../conversion-input.js';
import { untilInterrupted } from '../interruption.js';
import { progressBar } from '../progress.js';
import { comparisonJson, comparisonText } from '../report/comparison-text.js';
import { EXIT, type Terminal } from '../terminal.js';
import { version } from '../version.js';
import { writeWholeFile } from '../whole-file.js';

export interface CompareCommandOptions {
  readonly json?: boolean;
  /** Where a page with a chart goes; the chart alone when it ends in .svg. */
  readonly html?: string;
}

/** Prints how far two models are apart. Exit code 1 when they are different. */
export async function compareModels(a: string, b: string, options: CompareCommandOptions, terminal: Terminal): Promise<number> {
  const opened: OpenedInput[] = [];
  try {
    for (const target of [a, b]) opened.push(await openConversionInput(target));
    const comparison = await compared(opened, terminal);
    const named = { paths: { a, b }, comparison };
    terminal.stdout.write(options.json ? comparisonJson(named) : comparisonText(named));
    if (options.html !== undefined) {
      const { comparisonHtml, comparisonSvg } = await import('../report/comparison-html.js');
      const page = options.html.endsWith('.svg') ? comparisonSvg(named) : comparisonHtml(named, version());
      await writeWholeFile(options.html, page, opened.flatMap(({ paths }) => paths));
    }
    return comparison.verdict === 'different' ? EXIT.invalid : EXIT.ok;
  } finally {
    for (const input of opened) await input.close();
  }
}

async function compared([a, b]: readonly OpenedInput[], terminal: Terminal): Promise<Comparison> {
  const bar = progressBar('comparing', terminal);
  try {
    return await untilInterrupted((signal) => compare(a!.input, b!.input, { progress: bar.progress, signal }));
  } finally {
    bar.stop();
  }
}

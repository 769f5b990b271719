/**
 * Runs every bench module and prints a table: `npm run bench`, or `npm run bench -- codecs` for some of them.
 * Exits with 1 when a ratio falls short. Compare figures within one run only.
 */
import type { BenchModule, BenchResult, StartResult } from './bench.js';
import * as cli from './cli.js';
import * as codecs from './codecs.js';
import * as convert from './convert.js';

/** One line a module. */
const modules: Readonly<Record<string, BenchModule>> = { cli, codecs, convert };

function ratioOf({ gigabytesPerSecond, baseline }: BenchResult): number | undefined {
  return baseline && gigabytesPerSecond / baseline.gigabytesPerSecond;
}

function isShort(result: BenchResult | StartResult): boolean {
  if ('milliseconds' in result) return result.milliseconds > result.allowedRatio * result.baseline.milliseconds;
  return (ratioOf(result) ?? Infinity) < (result.requiredRatio ?? 0);
}

const asFraction = (ratio: number) => (ratio < 1 ? `1/${(1 / ratio).toFixed(1)}` : `${ratio.toFixed(2)}x`);

function startRow(result: StartResult): string {
  const { name, milliseconds, baseline, allowedRatio } = result;
  const ratio = `${asFraction(milliseconds / baseline.milliseconds).padStart(8)}  of ${baseline.name}, ${baseline.milliseconds.toFixed(0)} ms`;
  return `${name.padEnd(54)}  ${milliseconds.toFixed(0).padStart(5)} ms  ${ratio}  (at most ${asFraction(allowedRatio)}: ${isShort(result) ? 'SLOW' : 'ok'})`;
}

function row(result: BenchResult | StartResult): string {
  if ('milliseconds' in result) return startRow(result);
  const ratio = ratioOf(result);
  const columns = [result.name.padEnd(34), `${result.gigabytesPerSecond.toFixed(2)} GB/s`.padStart(11)];
  if (ratio !== undefined) columns.push(asFraction(ratio).padStart(8), `of ${result.baseline?.name}`);
  if (result.requiredRatio !== undefined) columns.push(`(at least ${asFraction(result.requiredRatio)}: ${isShort(result) ? 'SHORT' : 'ok'})`);
  return columns.join('  ');
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(modules, name));
if (unknown.length > 0) throw new RangeError(`no bench ${unknown.join(', ')}; there are ${Object.keys(modules).join(', ')}`);
for (const [name, module] of Object.entries(modules)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const results = await module.bench();
  console.log(`${module.heading}\n${results.map(row).join('\n')}\n`);
  if (results.some(isShort)) process.exitCode = 1;
}

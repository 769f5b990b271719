/**
 * Runs every bench module and prints a table: `npm run bench`, or `npm run bench -- codecs` for some of them.
 * Exits with 1 when a ratio falls short. Compare figures within one run only.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchModule, BenchOptions, BenchResult, StartResult } from './bench.js';
import { speedSvg } from './chart.js';
import * as cli from './cli.js';
import * as codecs from './codecs.js';
import * as convert from './convert.js';
import * as decode from './decode.js';
import { cacheFolder, models, type ModelId, type WeightType } from './models.js';
import * as prefill from './prefill.js';
import * as quantize from './quantize.js';
import { ratioOf as speedRatio, type SpeedReport, type SpeedRow } from './speed.js';
import * as start from './start.js';
import * as wasm from './wasm.js';
import * as webgpu from './webgpu.js';

/** One line a module. */
const modules: Readonly<Record<string, BenchModule>> = { cli, codecs, convert, decode, prefill, quantize, start, wasm, webgpu };

const USAGE = `npm run bench -- [${Object.keys(modules).join(' | ')} …] [options]

  --models S,M,W,Q,L   models of decode and prefill: 15M, 110M, 220M (qwen.cpp's), 0.5B, 1.1B
  --types f32,q8_0     weight types (f32, f16, q8_0, q4_0, int8)
  --threads N          default: all cores
  --rounds N           samples of each engine (default 5)
  --backend NAME       ours in decode and prefill: native (default), wasm, reference, webgpu (alone: the bench webgpu)
  --out FOLDER         writes NAME.json, and NAME.svg for decode and prefill

Models are made once, in WEIGHTSPEC_BENCH_DIR (${cacheFolder()}).
Peers: node-llama-cpp from npm (PEER_NODE_LLAMA_CPP=FOLDER with node_modules), PEER_LLAMACPP=FOLDER with llama-bench,
PEER_LLAMA2C=run, PEER_LLAMA2C_RUNQ=runq, PEER_QWENCPP=main, PEER_GGML=libggml-base (quantize).`;

function ratioOf({ gigabytesPerSecond, baseline }: BenchResult): number | undefined {
  return baseline && gigabytesPerSecond / baseline.gigabytesPerSecond;
}

function isShort(result: BenchResult | StartResult | SpeedRow): boolean {
  if ('kind' in result) return result.ours === undefined || (result.goal !== undefined && (speedRatio(result)?.ratio ?? Infinity) < result.goal.ratio);
  if ('milliseconds' in result) return result.milliseconds > result.allowedRatio * result.baseline.milliseconds;
  return (ratioOf(result) ?? Infinity) < (result.requiredRatio ?? 0);
}

const asFraction = (ratio: number) => (ratio < 1 ? `1/${(1 / ratio).toFixed(1)}` : `${ratio.toFixed(2)}x`);

function startRow(result: StartResult): string {
  const { name, milliseconds, baseline, allowedRatio } = result;
  const ratio = `${asFraction(milliseconds / baseline.milliseconds).padStart(8)}  of ${baseline.name}, ${baseline.milliseconds.toFixed(0)} ms`;
  return `${name.padEnd(54)}  ${milliseconds.toFixed(0).padStart(5)} ms  ${ratio}  (at most ${asFraction(allowedRatio)}: ${isShort(result) ? 'SLOW' : 'ok'})`;
}

const speed = ({ median, min, max }: NonNullable<SpeedRow['ours']>): string => `${median.toPrecision(3)} (${min.toPrecision(3)}–${max.toPrecision(3)})`;

function speedRow(row: SpeedRow): string {
  const { model, type, kind, tokens, ours, failure, peers, goal, bandwidth, logits } = row;
  const columns = [`${model} ${type}${kind === 'prefill' ? ` ${tokens} tokens` : ''}`.padEnd(26), `ours ${ours ? speed(ours) : `FAILED: ${failure}`} tok/s`];
  for (const peer of peers) columns.push(`${peer.name} ${peer.speed ? speed(peer.speed) : `failed: ${peer.failure}`}`);
  const ratio = speedRatio(row);
  if (ratio) columns.push(`${ratio.ratio.toFixed(2)}x of ${ratio.peer}${goal ? ` (at least ${goal.ratio}x: ${isShort(row) ? 'SHORT' : 'ok'})` : ''}`);
  else if (goal) columns.push(`no ${goal.family} to compare with (at least ${goal.ratio}x is asked for)`);
  if (bandwidth) columns.push(`reads ${bandwidth.ours.toFixed(1)} of ${bandwidth.machine.toFixed(1)} GB/s (${((100 * bandwidth.ours) / bandwidth.machine).toFixed(0)} %)`);
  if (logits) columns.push(`logits differ by at most ${logits.greatestDifference.toPrecision(2)} (deviation ${logits.deviation.toPrecision(2)})`);
  return columns.join('  ');
}

function resultRow(result: BenchResult | StartResult): string {
  if ('milliseconds' in result) return startRow(result);
  const ratio = ratioOf(result);
  const columns = [result.name.padEnd(34), `${result.gigabytesPerSecond.toFixed(2)} GB/s`.padStart(11)];
  if (ratio !== undefined) columns.push(asFraction(ratio).padStart(8), `of ${result.baseline?.name}`);
  if (result.requiredRatio !== undefined) columns.push(`(at least ${asFraction(result.requiredRatio)}: ${isShort(result) ? 'SHORT' : 'ok'})`);
  return columns.join('  ');
}

/** The items of a list, each of them known. Throws RangeError. */
function listed<T extends string>(text: string | undefined, known: readonly T[], what: string): readonly T[] | undefined {
  const items = text?.split(',') as T[] | undefined;
  const unknown = items?.find((item) => !known.includes(item));
  if (unknown !== undefined) throw new RangeError(`no ${what} ${unknown}; there are ${known.join(', ')}`);
  return items;
}

function positive(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${option} takes a number from 1, not ${text}`);
  return value;
}

const backends: readonly string[] = ['native', 'wasm', 'reference', 'webgpu'];
const types: readonly WeightType[] = ['f32', 'f16', 'q8_0', 'q4_0', 'int8'];

async function writeResults(folder: string, name: string, results: readonly (BenchResult | StartResult)[] | SpeedReport): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(results, null, 2)}\n`);
  if ('rows' in results) await writeFile(join(folder, `${name}.svg`), speedSvg(results));
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { models: text, types: text, threads: text, rounds: text, backend: text, out: text, help: { type: 'boolean', short: 'h' } } });
  if (values.help) return console.log(USAGE);
  const [backend] = listed(values.backend, backends, 'backend') ?? [];
  const wanted = positionals.length === 0 && backend === 'webgpu' ? ['webgpu'] : positionals;
  const unknown = wanted.filter((name) => !Object.hasOwn(modules, name));
  if (unknown.length > 0) throw new RangeError(`no bench ${unknown.join(', ')}; there are ${Object.keys(modules).join(', ')}`);
  const options: BenchOptions = {
    models: listed(values.models, Object.keys(models) as ModelId[], 'model'), types: listed(values.types, types, 'type'),
    threads: positive(values.threads, '--threads'), rounds: positive(values.rounds, '--rounds'), backend,
    onRow: (measured) => console.log(speedRow(measured)),
  };
  for (const [name, module] of Object.entries(modules)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.log(module.heading);
    const results = await module.bench(options);
    // Rows of speeds are printed as they come.
    if ('rows' in results) console.log(results.notes.map((note) => `${note}\n`).join(''));
    else console.log(`${results.map(resultRow).join('\n')}\n`);
    if (values.out !== undefined) await writeResults(values.out, name, results);
    if (('rows' in results ? results.rows : results).some(isShort)) process.exitCode = 1;
  }
}

await main();

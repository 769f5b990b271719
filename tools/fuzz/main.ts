/** `npm run fuzz -- [--minutes N] [--inputs N] [--target NAME …] [--seed S] [--jobs N] [--findings FOLDER] [--corpus FOLDER]`. */
import { parseArgs } from 'node:util';
import { fuzz, type TargetReport } from './fuzz.js';
import { targets } from './targets.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    inputs: { type: 'string' },
    target: { type: 'string', multiple: true },
    seed: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    findings: { type: 'string', default: 'tools/fuzz/findings' },
    corpus: { type: 'string' },
  },
});

const names = targets.map(({ name }) => name);
/** Ends the program as one that was used wrongly. */
function usageError(message: string): never {
  console.error(message);
  process.exit(2);
}
function positive(option: string, value: string | undefined, otherwise: number): number {
  const number = value === undefined ? otherwise : Number(value);
  return number > 0 ? number : usageError(`--${option} ${value} is not a positive number`);
}

const wanted = values.target ?? names;
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) usageError(`there is no target ${unknown.join(', ')}; there are ${names.join(', ')}`);

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const row = ({ target, inputs, crashes, hangs, memory, mostGrowthBytes, mostResidentBytes, behaviours, seconds }: TargetReport): readonly string[] => [target, String(inputs), String(crashes), String(hangs), String(memory), mebibytes(mostGrowthBytes), mebibytes(mostResidentBytes), String(behaviours), seconds.toFixed(0)];

const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
console.log(`seed ${seed}`);
const reports = await fuzz({
  targets: wanted,
  minutes: positive('minutes', values.minutes, values.inputs === undefined ? 1 : 24 * 60),
  inputs: positive('inputs', values.inputs, Infinity),
  seed,
  jobs: positive('jobs', values.jobs, 1),
  findingsFolder: values.findings,
  ...(values.corpus === undefined ? {} : { corpusFolder: values.corpus }),
  report: (line) => console.log(line),
});

const table = [['target', 'inputs', 'crashes', 'hangs', 'too much memory', 'most growth', 'most resident', 'behaviours', 'seconds'], ...reports.map(row)];
const widths = table[0]!.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
console.log('');
for (const cells of table) console.log(cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join('  '));
const findings = reports.flatMap((report) => report.findings);
for (const path of findings) console.log(path);
console.log(findings.length === 0 ? 'no findings' : `${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;

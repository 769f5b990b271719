import { readFileSync } from 'node:fs';
import pc from 'picocolors';
import { CliError } from '../codes.js';
import { clauseText } from '../report/clauses.js';
import { widthOf, wrapped } from '../report/wrap.js';
import { EXIT, wantsColor, type Terminal } from '../terminal.js';
import { allCodeFamilies } from './all-codes.js';

/** Prints what one code means. Throws CliError, with the nearest codes as its hint, for one that does not exist. */
export async function explain(asked: string, { stdout, env }: Terminal): Promise<number> {
  const families = allCodeFamilies();
  const code = asked.trim().toUpperCase().replaceAll('-', '_');
  const family = families.find(({ codes }) => Object.hasOwn(codes, code));
  const entry = family?.codes[code];
  if (!entry) {
    const near = nearest(code, families.flatMap(({ codes }) => Object.keys(codes)));
    throw new CliError('CLI_UNKNOWN_CODE', `no code is called ${asked}`, near.length > 0 ? `Did you mean ${near.join(' or ')}?` : undefined);
  }
  const { severity, clause, rationale, hint } = entry;
  const c = pc.createColors(wantsColor(stdout, env));
  const paint = { error: c.red, warning: c.yellow, info: c.cyan }[severity];
  const width = widthOf(stdout, 110) - INDENT;
  const row = (label: string, text: string) => wrapped(text, width).map((line, i) => `  ${c.dim((i === 0 ? label : '').padEnd(INDENT - 2))}${line}\n`).join('');
  const wording = clauseText(clause);
  stdout.write(`${c.bold(code)}: ${entry.summary}\n`);
  stdout.write(row('severity', paint(severity)) + row('clause', clause) + (wording === undefined ? '' : row('', wording)) + row('why', rationale) + row('what to do', hint));
  const example = exampleOf(code);
  if (example) {
    const { from, files = [], run = [], message, at, frame = [] } = example;
    const makings = [...(from === '' ? [] : [from]), ...files];
    // Contents of several lines stand below their file's name.
    const lines = [...makings.flatMap((text) => text.split('\n').flatMap((line, i) => (i === 0 ? wrapped(line, width) : [`  ${line}`]))), ...run];
    stdout.write(lines.map((line, i) => `  ${c.dim((i === 0 ? 'example' : '').padEnd(INDENT - 2))}${line}\n`).join(''));
    stdout.write(row('says', message) + (at === undefined ? '' : row('at', at)) + frame.map((line) => `    ${line}\n`).join(''));
  }
  return EXIT.ok;
}

/** Columns of the labels. */
const INDENT = 14;

/** As tools/docs/render-examples.ts writes it from the fixtures. */
interface CodeExample {
  readonly from: string;
  readonly message: string;
  readonly at?: string;
  readonly frame?: readonly string[];
  readonly files?: readonly string[];
  readonly run?: readonly string[];
}

/** The smallest file that is known to have this finding; or files, a command or a program that have it. */
function exampleOf(code: string): CodeExample | undefined {
  const examples = JSON.parse(readFileSync(new URL('../../data/examples.json', import.meta.url), 'utf8')) as Readonly<Record<string, CodeExample>>;
  return Object.hasOwn(examples, code) ? examples[code] : undefined;
}

/** Up to three codes within a few typing errors of `asked`, or that hold it. */
export function nearest(asked: string, known: readonly string[]): readonly string[] {
  const reach = Math.max(2, Math.floor(asked.length / 4));
  return known
    .map((code) => ({ code, distance: code.includes(asked) && asked.length > 3 ? 1 : editDistance(asked, code) }))
    .filter(({ distance }) => distance <= reach)
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ code }) => code);
}

/** Levenshtein distance, one row at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

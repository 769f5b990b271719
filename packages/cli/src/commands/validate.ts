import { extname, join } from 'node:path';
import { formats, type Report } from '@weightspec/formats';
import { openCheckers } from '../checkers.js';
import type { CheckOutcome } from '../checking.js';
import { inputsOf, type Input } from '../inputs.js';
import type { CheckedFile, FailedFile, Findings, UncheckedFile } from '../report/checked-file.js';
import { visible } from '../report/escape.js';
import { textReporter } from '../report/text.js';
import { widthOf } from '../report/wrap.js';
import { EXIT, wantsColor, type Terminal } from '../terminal.js';
import { version } from '../version.js';
import { writeWholeFile } from '../whole-file.js';

export type ReportFormat = 'text' | 'json' | 'sarif' | 'html' | 'junit';

export interface ValidateCommandOptions {
  readonly format: ReportFormat;
  /** Files that get a report too, each in the format of its ending. */
  readonly report?: readonly string[];
  readonly strict?: boolean;
  readonly quiet?: boolean;
  /** More errors, or warnings, in all files together make the exit code 1. */
  readonly maxErrors?: number;
  readonly maxWarnings?: number;
  readonly deep?: boolean;
  /** What a quantized model was made of, to compare it with. */
  readonly original?: string;
  /** Files at once. Default 1. */
  readonly jobs?: number;
  /** Store whole files of servers that send no ranges. */
  readonly download?: boolean;
}

/** Checks every target and prints the findings, in the order of the targets. A file that cannot be read does not keep the others from being checked. */
export async function validate(targets: readonly string[], options: ValidateCommandOptions, terminal: Terminal): Promise<number> {
  const { jobs = 1, strict, deep, download, original, quiet } = options;
  const files: CheckedFile[] = [];
  const unchecked: UncheckedFile[] = [];
  const failed: FailedFile[] = [];
  const reporter = options.format === 'text' ? textReporter(wantsColor(terminal.stdout, terminal.env), quiet, widthOf(terminal.stdout, 160)) : undefined;

  const checkers = await openCheckers({ jobs, original }, quiet ? notATerminal(terminal) : terminal);
  try {
    const check = ({ path, folder }: Listened): Promise<CheckOutcome> => checkers.check({ path, folder, strict, deep, download });
    for await (const { input, outcome } of inOrder(withFilesLeft(inputsOf(targets)), jobs, check)) {
      if ('failed' in outcome) {
        failed.push(outcome.failed);
        terminal.stderr.write(outcome.told);
        continue;
      }
      const reason = input.named ? undefined : whyLeftOut(outcome.file.report);
      if (reason === undefined) {
        files.push(outcome.file);
        if (reporter) terminal.stdout.write(reporter.file(outcome.file));
      } else {
        unchecked.push({ path: input.path, reason });
      }
    }
  } finally {
    await checkers.close();
  }

  const findings = { version: version(), files, unchecked, failed };
  if (reporter) terminal.stdout.write(unchecked.map((file) => reporter.unchecked(file)).join('') + reporter.total(findings));
  else terminal.stdout.write(await render(findings, options.format));
  for (const path of options.report ?? []) await writeReport(path, findings);
  return exitCode(findings, targets, options, terminal);
}

interface Done {
  readonly input: Listened;
  readonly outcome: CheckOutcome;
}

/** Checks up to `jobs` inputs at once and gives what came of them in the order of the inputs. */
async function* inOrder(inputs: AsyncIterable<Listened>, jobs: number, check: (input: Listened) => Promise<CheckOutcome>): AsyncGenerator<Done> {
  const underWay: Promise<Done>[] = [];
  for await (const input of inputs) {
    const done = check(input).then((outcome) => ({ input, outcome }));
    underWay.push(done);
    // Which inputs come next depends on what was found in this one.
    if (input.done) {
      const { outcome } = await done;
      if ('file' in outcome) input.done(outcome.file.report);
    }
    if (underWay.length >= jobs) yield underWay.shift()!;
  }
  for (const done of underWay) yield done;
}

/** An input, and whom to tell what was found. */
type Listened = Input & { readonly done?: (report: Report) => void };

/** Configurations that the report on a folder is about as well. */
const configurations = ['config.json', 'params.json', 'generation_config.json'];

/** After a model's folder, the files in it that are no part of the model. */
async function* withFilesLeft(inputs: AsyncIterable<Input>): AsyncGenerator<Listened> {
  for await (const input of inputs) {
    const seen = new Set(configurations);
    yield input.folder ? { ...input, done: ({ stats }) => stats.files?.forEach((name) => seen.add(name)) } : input;
    for (const { name } of input.folder ?? []) if (!seen.has(name)) yield { path: join(input.path, name), named: false };
  }
}

/** Progress goes to terminals only. */
const notATerminal = (terminal: Terminal): Terminal => ({ ...terminal, stderr: { write: (chunk) => terminal.stderr.write(chunk) } });

/** Why a file found in a folder is none of ours, or undefined when it counts. */
function whyLeftOut({ path, verdict, diagnostics }: Report): string | undefined {
  if (verdict !== 'unrecognized') return undefined;
  // Under the name of a weight file it is damage, a failed download or something that hides, not some other file.
  if (formats.some(({ extensions }) => extensions.includes(extname(path).toLowerCase()))) return undefined;
  const [found] = diagnostics;
  return found ? `${found.code}: ${found.message}` : 'no format claims it';
}

/** Findings in one of the formats, whole. */
export async function render(findings: Findings, format: ReportFormat): Promise<string> {
  switch (format) {
    case 'json':
      return (await import('../report/json.js')).jsonReport(findings);
    case 'sarif':
      return (await import('../report/sarif.js')).sarifReport(findings);
    case 'html':
      return (await import('../report/html.js')).htmlReport(findings);
    case 'junit':
      return (await import('../report/junit.js')).junitReport(findings);
    default: {
      const reporter = textReporter(false);
      return findings.files.map((file) => reporter.file(file)).join('') + findings.unchecked.map((file) => reporter.unchecked(file)).join('') + reporter.total(findings);
    }
  }
}

const endings: Readonly<Record<string, ReportFormat>> = { '.json': 'json', '.sarif': 'sarif', '.html': 'html', '.xml': 'junit', '.txt': 'text' };

/** The file appears when it is whole, and in place of no file that was checked. Throws IoError. */
async function writeReport(path: string, findings: Findings): Promise<void> {
  const text = await render(findings, endings[extname(path).toLowerCase()] ?? 'text');
  await writeWholeFile(path, text, findings.files.map(({ report }) => report.path));
}

function exitCode({ files, failed }: Findings, targets: readonly string[], { maxErrors = 0, maxWarnings = Infinity }: ValidateCommandOptions, { stderr }: Terminal): number {
  if (failed.length > 0) return EXIT.trouble;
  if (files.length === 0) {
    stderr.write(`nothing was checked: no file in ${visible(targets.join(', '))} was recognised\n`);
    return EXIT.invalid;
  }
  // A file that nobody recognises was not checked: no number of errors is agreed to there.
  if (files.some(({ report }) => report.verdict === 'unrecognized')) return EXIT.invalid;
  const total = (kind: 'errors' | 'warnings') => files.reduce((sum, { report }) => sum + report.summary[kind], 0);
  return total('errors') > maxErrors || total('warnings') > maxWarnings ? EXIT.invalid : EXIT.ok;
}

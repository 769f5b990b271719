import { extname, join } from 'node:path';
import { formats, validateFolder, validateSource, type FolderFile, type Report, type ReportOptions } from '@weightspec/formats';
import { atomicFileSink, openSource } from '@weightspec/io/node';
import { faultOf, reportFault } from '../faults.js';
import { folderResolver, formatsBeside, isIndexFile, isUrl } from '../folders.js';
import { inputsOf, type Input } from '../inputs.js';
import { progressBar } from '../progress.js';
import { withFolderFrames, withFrames, type CheckedFile, type FailedFile, type Findings, type UncheckedFile } from '../report/checked-file.js';
import { visible } from '../report/escape.js';
import { textReporter } from '../report/text.js';
import { EXIT, wantsColor, type Terminal } from '../terminal.js';
import { version } from '../version.js';

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
}

/** Checks every target and prints the findings. A file that cannot be read does not keep the others from being checked. */
export async function validate(targets: readonly string[], options: ValidateCommandOptions, terminal: Terminal): Promise<number> {
  const files: CheckedFile[] = [];
  const unchecked: UncheckedFile[] = [];
  const reporter = options.format === 'text' ? textReporter(wantsColor(terminal.stdout, terminal.env), options.quiet) : undefined;
  const failed: FailedFile[] = [];

  const { smoothQuantCheck } = await import('../smoothquant-check.js');
  const exports = await smoothQuantCheck(options.original);
  for await (const input of withFilesLeft(inputsOf(targets))) {
    try {
      const further = exports.further(input.path);
      const file = await (input.folder ? checkFolder(input.path, input.folder, { ...options, further }, terminal) : check(input, { ...options, further }, terminal));
      input.done?.(file.report);
      const reason = input.named ? undefined : whyLeftOut(file.report);
      if (reason === undefined) {
        files.push(file);
        if (reporter) terminal.stdout.write(reporter.file(file));
      } else {
        unchecked.push({ path: input.path, reason });
      }
    } catch (error) {
      failed.push({ path: input.path, ...faultOf(error) });
      reportFault(error, terminal);
    }
  }
  await exports.close();

  const findings = { version: version(), files, unchecked, failed };
  if (reporter) terminal.stdout.write(unchecked.map(reporter.unchecked).join('') + reporter.total(findings));
  else terminal.stdout.write(await render(findings, options.format));
  for (const path of options.report ?? []) await writeReport(path, findings);
  return exitCode(findings, targets, options, terminal);
}

/** An input, and whom to tell what was found. */
type Listened = Input & { readonly done?: (report: Report) => void };

/** Configurations that the report on a folder is about as well. */
const configurations = ['config.json', 'params.json', 'generation_config.json'];

/** After a model's folder, the files in it that are no part of the model. */
async function* withFilesLeft(inputs: AsyncIterable<Input>): AsyncGenerator<Listened> {
  for await (const input of inputs) {
    const seen = new Set(configurations);
    yield { ...input, done: ({ stats }) => stats.files?.forEach((name) => seen.add(name)) };
    for (const { name } of input.folder ?? []) if (!seen.has(name)) yield { path: join(input.path, name), named: false };
  }
}

type CheckOptions = ValidateCommandOptions & Pick<ReportOptions, 'further'>;

async function checkFolder(path: string, files: readonly FolderFile[], { strict, deep, quiet, further }: CheckOptions, terminal: Terminal): Promise<CheckedFile> {
  const bar = progressBar(path, quiet ? notATerminal(terminal) : terminal);
  const folder = folderResolver(path);
  try {
    const report = await validateFolder(files, folder.resolve, { name: path, strict, deep, further, progress: bar.progress });
    return await withFolderFrames(report, files.map(({ name }) => join(path, name)));
  } finally {
    bar.stop();
    await folder.closeAll();
  }
}

async function check({ path }: Input, { strict, deep, quiet, further }: CheckOptions, terminal: Terminal): Promise<CheckedFile> {
  const source = await openSource(path);
  const shards = isIndexFile(path) ? formatsBeside(path) : undefined;
  const bar = progressBar(path, quiet ? notATerminal(terminal) : terminal);
  try {
    const report = await validateSource(source, { strict, deep, further, progress: bar.progress, formats: shards?.formats ?? formats });
    return await withFrames(report, source);
  } finally {
    bar.stop();
    await source.close();
    await shards?.closeAll();
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
  const sink = await atomicFileSink(path, { protect: findings.files.map(({ report }) => report.path).filter((checked) => !isUrl(checked)) });
  await sink.write(new TextEncoder().encode(await render(findings, endings[extname(path).toLowerCase()] ?? 'text')));
  await sink.commit();
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

import { dirname, resolve as absolute } from 'node:path';
import { formats, validateSource } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import { CliError } from '../codes.js';
import { diagnosticLine } from '../faults.js';
import { folderResolver, formatsBeside, isIndexFile } from '../folders.js';
import { openTarget } from '../inputs.js';
import { planRepair, type RepairPlan } from '../repair/plan.js';
import { withFrames } from '../report/checked-file.js';
import { visible } from '../report/escape.js';
import { textReporter } from '../report/text.js';
import { widthOf } from '../report/wrap.js';
import { smoothQuantCheck } from '../smoothquant-check.js';
import { EXIT, wantsColor, type Terminal } from '../terminal.js';
import { writeWholeFile } from '../whole-file.js';

/**
 * Writes a repaired copy of `path` to `destination` and says what changed. Throws CliError for a file that has nothing to repair or
 * that cannot be repaired without guessing, IoError.
 */
export async function repair(path: string, destination: string, { download }: { readonly download?: boolean }, terminal: Terminal): Promise<number> {
  const source = await openTarget(path, { download, stdin: terminal.stdin });
  const shards = isIndexFile(path) ? folderResolver(dirname(path)) : undefined;
  const beside = isIndexFile(path) ? formatsBeside(path) : undefined;
  const exports = await smoothQuantCheck(undefined);
  try {
    const plan = await planRepair(source, { formats: beside?.formats ?? formats, resolve: shards?.resolve, further: exports.further(path) });
    refuse(path, plan, terminal);
    // The names of shards are looked up beside the index.
    if (shards && dirname(absolute(destination)) !== dirname(absolute(path))) throw new CliError('CLI_REPAIR_ELSEWHERE', `${destination}: the shards are in ${dirname(path)}`);
    await writeWholeFile(destination, (sink) => plan.write(sink), [path]);
    for (const { code, message } of plan.changes) terminal.stdout.write(`changed: ${visible(message)}${code === '' ? '' : ` (${code})`}\n`);
    for (const { code, message } of plan.remaining) terminal.stdout.write(`left as it is: ${code} ${visible(message)}\n`);
  } finally {
    await source.close();
    await shards?.closeAll();
    await beside?.closeAll();
    await exports.close();
  }
  return report(destination, terminal);
}

function refuse(path: string, { changes, remaining }: RepairPlan, { stderr }: Terminal): void {
  const errors = remaining.filter(({ severity }) => severity === 'error');
  if (errors.length === 0 && changes.length > 0) return;
  for (const diagnostic of remaining) stderr.write(diagnosticLine(diagnostic));
  if (remaining.length === 0) throw new CliError('CLI_NOTHING_TO_REPAIR', `${path} has nothing that could be repaired`);
  throw new CliError('CLI_NOT_REPAIRABLE', `${path} cannot be repaired without guessing`);
}

/** What was written, checked as `validate` checks it. */
async function report(path: string, { stdout, env }: Terminal): Promise<number> {
  const source = await openSource(path);
  const beside = isIndexFile(path) ? formatsBeside(path) : undefined;
  try {
    const checked = await withFrames(await validateSource(source, { formats: beside?.formats ?? formats }), source);
    stdout.write(textReporter(wantsColor(stdout, env), false, widthOf(stdout, 160)).file(checked));
    return checked.report.summary.errors > 0 ? EXIT.invalid : EXIT.ok;
  } finally {
    await source.close();
    await beside?.closeAll();
  }
}

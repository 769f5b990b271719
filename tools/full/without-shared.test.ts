// The unit suite as someone has it who cloned the project alone, without the real models and goldens beside it: it must
// pass, with the tests that need them reported as skipped.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { run, workspaceRoot } from './packed-project.js';

/** The part of vitest's JSON report that is looked at. */
interface Report {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly { readonly name: string; readonly status: string; readonly message: string }[];
}

it('passes without shared data, and says what it skipped', { timeout: 420_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-without-shared-'));
  try {
    const report = await unitSuite(join(folder, 'report.json'), join(folder, 'nothing-here'));
    const failed = report.testResults.filter(({ status }) => status === 'failed').map(({ name, message }) => `${name}: ${message}`);
    expect(failed).toEqual([]);
    expect(report.success).toBe(true);
    // Fixtures, properties and goldens of the project itself stay; what reads real models is skipped, not passed.
    expect(report.numPassedTests).toBeGreaterThan(1000);
    expect(report.numPendingTests).toBeGreaterThan(200);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function unitSuite(reportPath: string, sharedData: string): Promise<Report> {
  // A vitest inside a vitest must not take itself for one of its workers.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_ENV$)/.test(name));
  const args = [join(workspaceRoot, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'tools/vitest.config.mjs', '--reporter=json', `--outputFile=${reportPath}`];
  // A failed run exits with 1 and is judged by its report; one that wrote none is an error of its own.
  const failure = await run(process.execPath, args, { cwd: workspaceRoot, env: { ...Object.fromEntries(inherited), WEIGHTSPEC_SHARED_DATA: sharedData } }).then(() => undefined, (error: unknown) => error);
  try {
    return JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  } catch {
    throw failure;
  }
}

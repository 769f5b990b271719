// The tests that read real models, as someone has them who cloned the project alone, without those beside it: they must pass, with
// what needs the models reported as skipped. All other test files never look there, and `npm test` has run them.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
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
    expect(report.testResults.length).toBeGreaterThan(25);
    expect(report.numPassedTests).toBeGreaterThan(1000);
    expect(report.numPendingTests).toBeGreaterThan(200);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Test files that name what finds the real models, themselves or through a suite that they run. */
function filesThatLook(): string[] {
  const files = ['packages', 'fixtures', 'tools'].flatMap((folder) => readdirSync(join(workspaceRoot, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)));
  const tests = files.filter((name) => name.endsWith('.test.ts') && !/node_modules|[/\\]dist[/\\]|tools[/\\]full/.test(name));
  return tests.filter((name) => /sharedData|WEIGHTSPEC_SHARED_DATA|\/testing['/]/.test(readFileSync(join(workspaceRoot, name), 'utf8')));
}

async function unitSuite(reportPath: string, sharedData: string): Promise<Report> {
  // A vitest inside a vitest must not take itself for one of its workers.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_ENV$)/.test(name));
  const args = [join(workspaceRoot, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'tools/vitest.config.mjs', ...filesThatLook(), '--reporter=json', `--outputFile=${reportPath}`];
  // A failed run exits with 1 and is judged by its report; one that wrote none is an error of its own.
  const failure = await run(process.execPath, args, { cwd: workspaceRoot, env: { ...Object.fromEntries(inherited), WEIGHTSPEC_SHARED_DATA: sharedData } }).then(() => undefined, (error: unknown) => error);
  try {
    return JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  } catch {
    throw failure;
  }
}

// The conformance suite through the built command, on every backend that opens here; the others are named as skipped.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConformanceReport } from '@weightspec/conformance';
import { workspaceRoot } from './packed-project.js';

const conform = (...argv: string[]) => spawnSync(process.execPath, [join(workspaceRoot, 'packages/cli/bin/weightspec.js'), 'conform', ...argv, '--json'], { encoding: 'utf8', maxBuffer: 2 ** 26 });
const failuresOf = ({ results }: ConformanceReport): string[] => results.filter(({ status }) => status === 'failed').map(({ id, code, message }) => `${id} ${code}: ${message}`);

describe('weightspec conform', () => {
  it('passes every case of every suite', { timeout: 240_000 }, () => {
    const { status, stdout } = conform('--backend', 'reference');
    const report = JSON.parse(stdout) as ConformanceReport;
    expect(failuresOf(report)).toEqual([]);
    expect({ status, skipped: report.summary.skipped, all: report.summary.passed === report.selection.casesInAll }).toEqual({ status: 0, skipped: 0, all: true });
  });
  it.for(['native', 'wasm', 'webgpu'])('passes ops and models on the %s backend, where it opens', { timeout: 240_000 }, (backend, context) => {
    const { status, stdout, stderr } = conform('ops', 'models', '--backend', backend);
    const missing = status === 2 && stderr.includes('BACKEND_UNAVAILABLE');
    if (missing) console.log(`skipped: the ${backend} backend: ${stderr.trim()}`);
    context.skip(missing, 'the backend does not open here');
    const report = JSON.parse(stdout) as ConformanceReport;
    for (const { suite, reason, count } of report.skips) console.log(`${backend}: skipped ${count} cases of ${suite}: ${reason}`);
    expect(failuresOf(report)).toEqual([]);
    expect(report.summary.passed).toBeGreaterThan(100);
    expect(status).toBe(0);
  });
});

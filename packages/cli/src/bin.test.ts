import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The built command (npm test builds before it tests). */
const bin = fileURLToPath(new URL('../bin/weightspec.js', import.meta.url));

/** Wall-clock milliseconds of the fastest of some runs: the others waited for something else. */
function fastest(args: readonly string[], runs: number): number {
  const times = Array.from({ length: runs }, () => {
    const started = performance.now();
    expect(spawnSync(process.execPath, args).status).toBe(0);
    return performance.now() - started;
  });
  return Math.min(...times);
}

describe('the weightspec command', () => {
  it('passes the exit code and both outputs on', () => {
    const bad = spawnSync(process.execPath, [bin, 'validate', fileURLToPath(import.meta.url)], { encoding: 'utf8' });
    expect(bad.status).toBe(1);
    expect(bad.stdout).toContain('FORMAT_PLAIN_TEXT');
    const usage = spawnSync(process.execPath, [bin, '--nonsense'], { encoding: 'utf8' });
    expect({ status: usage.status, stdout: usage.stdout }).toEqual({ status: 2, stdout: '' });
  });
  it('prints its version within 2.5 times the time of an empty Node program', () => {
    expect(fastest([bin, '--version'], 7)).toBeLessThan(2.5 * fastest(['-e', '0'], 7));
  });
  it('ends without a stack trace when the reader of its output goes away', async () => {
    const child = spawn(process.execPath, [bin, 'codes'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
  });
  it.skipIf(!existsSync('/dev/full'))('says that the disk is full, and does not blame the file for it', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = spawnSync(process.execPath, [bin, 'codes'], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
    closeSync(full);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: the output cannot be written: ENOSPC[^\n]*\n$/);
  });
});

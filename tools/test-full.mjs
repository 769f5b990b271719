// `npm run test:full [-- NAME…]`: builds, then runs each tools/full/*.test.ts (or those named) as one part, in its own process and
// under its own time cap, two at a time, and ends with one line that counts the parts. A part whose tests were all skipped counts as
// skipped. What a part prints is shown when it is over, so that two of them do not mix.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const config = join(root, 'tools/full/vitest.config.mjs');
const MINUTES_PER_PART = 8;
/** Take minutes: begun first, so that none of them is left to run alone at the end. */
const LONGEST = ['webgpu-goldens', 'sanitizers', 'cross', 'without-shared', 'fuzz'];
let interrupted = false;

/** Runs node, shows its output at the end, in a process group of its own so that the cap ends its children too. */
function runNode(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: process.platform !== 'win32' });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
    let timedOut = false;
    const kill = (signal) => {
      try {
        process.kill(process.platform === 'win32' ? child.pid : -Number(child.pid), signal);
      } catch {
        // Already gone.
      }
    };
    const interrupt = () => {
      interrupted = true;
      kill('SIGINT');
    };
    process.once('SIGINT', interrupt);
    process.once('SIGTERM', interrupt);
    const cap = setTimeout(() => {
      timedOut = true;
      kill('SIGKILL');
    }, MINUTES_PER_PART * 60_000);
    child.on('close', (code, signal) => {
      clearTimeout(cap);
      process.stdout.write(Buffer.concat(output));
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
      resolve({ ok: code === 0, why: timedOut ? `stopped after ${MINUTES_PER_PART} minutes` : signal ? `ended by ${signal}` : `exit code ${code}` });
    });
  });
}

async function runPart(file, reportPath) {
  const { ok, why } = await runNode([vitest, 'run', '--config', config, '--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`, join('tools/full', file)]);
  if (!ok) return { outcome: 'failed', note: why };
  const { numPassedTests, numPendingTests } = JSON.parse(readFileSync(reportPath, 'utf8'));
  if (numPassedTests === 0) return { outcome: 'skipped', note: `${numPendingTests} tests skipped` };
  return { outcome: 'passed', note: `${numPassedTests} tests${numPendingTests > 0 ? `, ${numPendingTests} skipped` : ''}` };
}

const results = [];
async function part(name, run) {
  if (interrupted) return 'failed';
  const start = performance.now();
  const result = await run();
  results.push({ name, seconds: (performance.now() - start) / 1000, ...result });
  return result.outcome;
}

const reports = mkdtempSync(join(tmpdir(), 'weightspec-full-'));
const wanted = process.argv.slice(2);
const names = readdirSync(join(root, 'tools/full')).filter((file) => file.endsWith('.test.ts')).map((file) => file.replace('.test.ts', '')).toSorted();
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`no part is called ${unknown.join(', ')}; there are ${names.join(', ')}`);
  process.exit(2);
}
const started = performance.now();
const built = await part('build', async () => {
  const { ok, why } = await runNode([join(root, 'tools/build.mjs')]);
  return { outcome: ok ? 'passed' : 'failed', note: ok ? 'all packages' : why };
});
const waiting = [...LONGEST, ...names.filter((name) => !LONGEST.includes(name))].filter((name) => wanted.length === 0 || wanted.includes(name));
async function worker() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const file = `${name}.test.ts`;
    await part(name, () => (built === 'passed' ? runPart(file, join(reports, `${name}.json`)) : { outcome: 'failed', note: 'not run: the build failed' }));
  }
}
await Promise.all([worker(), worker()]);
rmSync(reports, { recursive: true, force: true });

console.log('');
for (const { name, outcome, seconds, note } of results) console.log(`${outcome.padEnd(8)} ${name} (${seconds.toFixed(0)} s; ${note})`);
const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped, in ${((performance.now() - started) / 60_000).toFixed(1)} minutes`);
process.exitCode = interrupted ? 130 : count('failed') > 0 ? 1 : 0;

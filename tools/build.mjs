// Builds every package in dependency order, through turbo's cache. Telemetry is off: a build talks to nobody.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const turbo = fileURLToPath(new URL('../node_modules/turbo/bin/turbo', import.meta.url));
const quiet = process.argv.includes('--quiet');
const result = spawnSync(
  process.execPath,
  [turbo, 'run', 'build', '--log-order=grouped', ...(quiet ? ['--log-prefix=none'] : [])],
  { cwd: root, stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit', encoding: 'utf8', env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' } },
);
if (quiet && result.status !== 0) process.stderr.write(`${result.stdout}${result.stderr}`);
if (result.error) process.stderr.write(`${result.error.message}\n`);
process.exitCode = result.status ?? 1;

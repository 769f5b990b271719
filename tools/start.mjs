// `npm start`: builds, then shows what Weightspec does with a small model that comes with the project.
// The model recites a text only when every tensor was read from its place, so the text is the proof.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const weightspec = join(root, 'packages/cli/bin/weightspec.js');
const example = join(root, 'fixtures/golden/recite');
const model = relative(root, join(example, 'model.bin'));

/** Shows the command as a user would type it, then what it prints. Exits when it does not end as expected. */
function show(title, args, { exitCode = 0, cwd = root } = {}) {
  process.stdout.write(`\n${title}\n\n$ npx weightspec ${args.map((arg) => (/^[\w./,-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ')}\n`);
  const { status, stdout } = spawnSync(process.execPath, [weightspec, ...args], { cwd, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  process.stdout.write(stdout);
  if (status !== exitCode) fail(`expected exit code ${exitCode}, got ${status}`);
  return stdout;
}

function fail(message) {
  process.stderr.write(`\n${message}\n`);
  process.exit(1);
}

process.stdout.write('Building …\n');
const build = spawnSync(process.execPath, [join(root, 'tools/build.mjs'), '--quiet'], { cwd: root, stdio: 'inherit' });
if (build.status !== 0) process.exit(1);

show('1. Is this weight file what it claims to be?', ['validate', model, '--deep']);

const { text } = JSON.parse(readFileSync(join(example, 'manifest.json'), 'utf8'));
const said = show('2. Does it mean what it should? Run it: the model recites a text that swapped or damaged tensors would garble.', ['run', model, '-p', '']);
if (!said.includes(text)) fail('the model did not recite the text that fixtures/golden/recite/manifest.json names');

const sum = show('3. A trained one, in a folder of its own: it adds, as long as every tensor is in its place.', ['run', relative(root, join(root, 'fixtures/golden/addition')), '-p', '17+25=']);
if (sum.trim() !== '17+25=42') fail('the model of fixtures/golden/addition no longer adds');

const folder = mkdtempSync(join(tmpdir(), 'weightspec-start-'));
try {
  writeFileSync(join(folder, 'truncated.bin'), readFileSync(join(example, 'model.bin')).subarray(0, -1));
  show('4. The first file, one byte short:', ['validate', 'truncated.bin'], { exitCode: 1, cwd: folder });
} finally {
  rmSync(folder, { recursive: true });
}

process.stdout.write(`
All four went as they should. Next, with a file of your own:

  npx weightspec validate FILE|FOLDER|URL --deep
  npx weightspec inspect FILE
  npx weightspec --help
`);

/**
 * Regenerates fixtures/golden from float64 mathematics. Imports nothing from packages/: goldens must not be made by
 * the code that they test. With --check, compares instead of writing and exits with 1 if anything differs.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { additionGolden } from './addition-golden.js';
import { codecsGolden } from './codecs-golden.js';
import type { GoldenFiles } from './golden-files.js';
import { opsGolden } from './ops-golden.js';
import { reciteGolden } from './recite-golden.js';
import { buildRecital } from './recite.js';
import { tokenizersGolden } from './tokenizers-golden.js';
import { tinyModelsGolden } from './tiny-models.js';
import { tinySharedGolden } from './tiny-shared.js';

/** The repository's root, from the sources as well as from tools/dist. */
function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) folder = dirname(folder);
  return folder;
}

export const goldenFolder = join(repositoryRoot(), 'fixtures', 'golden');

export const allGoldens = (): GoldenFiles => new Map([...reciteGolden(), ...tinySharedGolden(), ...tinyModelsGolden(), ...opsGolden(), ...codecsGolden(), ...tokenizersGolden(buildRecital().pieces), ...additionGolden(join(goldenFolder, 'addition'))]);

/** Paths below fixtures/golden of every committed file. */
export function committedPaths(): string[] {
  return readdirSync(goldenFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((folder) => readdirSync(join(goldenFolder, folder.name)).map((name) => `${folder.name}/${name}`));
}

/** What differs between the files generated and those committed, one line each. */
export function differences(generated: GoldenFiles): string[] {
  const committed = existsSync(goldenFolder) ? committedPaths() : [];
  const missing = [...generated.keys()].filter((path) => !committed.includes(path)).map((path) => `${path}: not committed`);
  const surplus = committed.filter((path) => !generated.has(path)).map((path) => `${path}: committed, but not generated`);
  const changed = committed.filter((path) => generated.has(path) && !readFileSync(join(goldenFolder, path)).equals(generated.get(path)!)).map((path) => `${path}: other bytes than generated`);
  return [...missing, ...surplus, ...changed];
}

function writeAll(generated: GoldenFiles): void {
  for (const [path, bytes] of generated) {
    const file = join(goldenFolder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
}

function main(): void {
  const generated = allGoldens();
  if (!process.argv.includes('--check')) {
    writeAll(generated);
    console.log(`wrote ${generated.size} files below fixtures/golden`);
    return;
  }
  const found = differences(generated);
  console.log(found.length === 0 ? `fixtures/golden: ${generated.size} files are as generated` : found.join('\n'));
  process.exitCode = found.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();

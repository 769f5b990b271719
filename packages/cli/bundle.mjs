// Joins the command with the packages that it is made of into a few files: some 220 modules loaded one by one take as long as all else
// that a command does before its first result. Packages of others are left where they are installed.
import { readFileSync, rmSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, 'dist', 'bundle');
/** The command, and the scripts of its threads. */
const entries = ['main', 'check-worker', 'encode-worker'];

/** The package whose file this is, and the file's place in it. */
function placeOf(file) {
  let folder = dirname(file);
  for (;;) {
    try {
      const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (name) return { name, path: relative(folder, file).split(sep).join('/') };
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    if (dirname(folder) === folder) throw new Error(`${file} is in no package`);
    folder = dirname(folder);
  }
}

/** Where modules ask for their own place, other than for a script that is bundled too. */
const ownPlace = new RegExp(`(?<!new URL\\('\\./(?:${entries.join('|')})\\.js', )\\bimport\\.meta\\.url\\b`, 'g');

/** Modules find the files beside them (data, the addon, the page) where their package is installed, not beside the bundle. */
const ownPlaces = {
  name: 'own-places',
  transform(code, id) {
    // Names with a null byte are the bundler's own.
    if (id.startsWith('\0') || code.search(ownPlace) < 0) return undefined;
    const { name, path } = placeOf(id);
    const head = [
      "import { createRequire as requireFrom__ } from 'node:module';",
      "import { pathToFileURL as urlOf__ } from 'node:url';",
      `const ownUrl__ = new URL('${path}', urlOf__(requireFrom__(import.meta.url).resolve('${name}/package.json'))).href;`,
    ];
    return { code: `${head.join('\n')}\n${code.replace(ownPlace, 'ownUrl__')}`, map: null };
  },
};

rmSync(out, { recursive: true, force: true });
const bundle = await rolldown({
  input: Object.fromEntries(entries.map((name) => [name, join(here, 'dist', `${name}.js`)])),
  platform: 'node',
  // Names of packages but ours; paths are none (on Windows they begin with a drive).
  external: (id) => /^(?!@weightspec\/)[@a-z]/.test(id) && !isAbsolute(id),
  plugins: [ownPlaces],
  logLevel: 'warn',
  onLog(level, log, report) {
    // A module that one command imports at once and another only when needed is in the first one's file: nothing is lost.
    if (log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') report(level, log);
  },
});
await bundle.write({ dir: out, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' });

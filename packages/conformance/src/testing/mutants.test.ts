/** Every fault must fail a named case, and the list of which by which is docs/mutants.md (`npm run conform:mutants` writes it). */
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { assemble } from '../../../../fixtures/conformance/assemble.js';
import { memoryStore, runConformance, weightspecSubject, type CaseList, type CaseResult } from '../index.js';
import { referenceBackend } from '@weightspec/kernels';
import { mutants, withHashes, type Mutant } from './mutants.js';

const assembled = assemble();
const list = JSON.parse(new TextDecoder().decode(assembled.list)) as CaseList;

interface Caught {
  readonly mutant: Mutant;
  readonly failed: readonly CaseResult[];
}
const caught: Caught[] = [];

async function hunt(mutant: Mutant): Promise<Caught> {
  const changed = new Map(Object.entries(mutant.changedFiles ?? {}).map(([path, change]) => [path, change(assembled.files.get(path)!)]));
  for (const [path, bytes] of changed) expect(bytes).not.toEqual(assembled.files.get(path));
  const report = await runConformance({ list: await withHashes(list, changed), store: memoryStore(new Map([...assembled.files, ...changed])), subject: mutant.subject, patterns: mutant.patterns });
  return { mutant, failed: report.results.filter(({ status }) => status === 'failed') };
}

describe('seeded faults', () => {
  it.each(mutants)('$place: $name', async (mutant) => {
    const result = await hunt(mutant);
    caught.push(result);
    expect(result.failed.map(({ id }) => id)).not.toEqual([]);
    expect(result.failed.some(({ code }) => code === 'CONFORM_STALE_DATA')).toBe(false);
  });
  it('are at least 25, under distinct names, with one in the bytes of a file for every reader', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(25);
    expect(new Set(mutants.map(({ name, place }) => `${place} ${name}`)).size).toBe(mutants.length);
    const inFiles = mutants.filter(({ place }) => place === 'file bytes').map(({ name }) => name.split(':')[0]);
    expect(inFiles).toEqual(expect.arrayContaining(['llama2c', 'ggml-qwen', 'safetensors', 'torch-checkpoint', 'sharded index', 'tokenizer.bin', 'rank file']));
  });
  it('are all that fails: without them the same cases pass', async () => {
    const patterns = [...new Set(mutants.flatMap((mutant) => mutant.patterns))];
    const report = await runConformance({ list, store: memoryStore(assembled.files), subject: weightspecSubject({ backend: referenceBackend }), patterns });
    expect(report.results.filter(({ status }) => status !== 'passed')).toEqual([]);
  });
  it('are caught by the cases that docs/mutants.md names', async () => {
    expect(caught).toHaveLength(mutants.length);
    // No counts: every new fixture would change them.
    const row = ({ mutant, failed }: Caught): string => `| ${mutant.place} | ${mutant.name} | \`${failed[0]?.id}\` | ${failed[0]?.code} |`;
    const text = `# Faults that the conformance suite was shown to catch\n\nWritten by \`npm run conform:mutants\`; the tests compare. Each fault is put into this project alone, by wrapping its code or by changing the\nbytes of a file together with its hash.\n\n| place | fault | first case that fails | code |\n|---|---|---|---|\n${caught.map(row).join('\n')}\n`;
    await expect(text).toMatchFileSnapshot(fileURLToPath(new URL('../../../../docs/mutants.md', import.meta.url)));
  });
  afterAll(() => console.log(`${caught.filter(({ failed }) => failed.length > 0).length} of ${mutants.length} faults caught`));
});

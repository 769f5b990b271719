import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allCodeFamilies } from '@weightspec/cli';
import { renderExamples, type CodeExample } from './render-examples.js';

const root = new URL('../../', import.meta.url);
const shipped = readFileSync(new URL('packages/cli/data/examples.json', root), 'utf8');
const examples = JSON.parse(shipped) as Readonly<Record<string, CodeExample>>;

describe('the examples that explain shows', () => {
  it('are what the reports on those bytes say (npm run docs rewrites them)', async () => {
    expect(shipped).toBe(await renderExamples(root));
  });
  it('exist for every code', () => {
    const codes = allCodeFamilies().flatMap((family) => Object.keys(family.codes));
    expect(codes.filter((code) => !Object.hasOwn(examples, code))).toEqual([]);
    expect(Object.keys(examples).filter((code) => !codes.includes(code))).toEqual([]);
  });
  it('show bytes, files, or a command or program', () => {
    const shown = ({ from, run = [] }: CodeExample): boolean => (from !== '') !== run.length > 0;
    expect(Object.entries(examples).filter(([, example]) => !shown(example) || example.message === '')).toEqual([]);
  });
});

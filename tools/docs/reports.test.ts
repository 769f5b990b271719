import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formats } from '@weightspec/formats';
import { renderReports } from './render-reports.js';

const root = new URL('../../', import.meta.url);

describe('docs/examples', async () => {
  const wanted = await renderReports(root);
  it('is what the reports say today (npm run docs rewrites it)', () => {
    expect(readdirSync(new URL('docs/examples/', root)).toSorted()).toEqual([...wanted.keys()].map((path) => path.replace('docs/examples/', '')).toSorted());
    expect([...wanted].filter(([path, text]) => readFileSync(new URL(path, root), 'utf8') !== text).map(([path]) => path)).toEqual([]);
  });
  it('has one broken file of each format, with an error in it', () => {
    const without = formats.filter(({ id }) => {
      const { runs } = JSON.parse(wanted.get(`docs/examples/${id}.sarif`)!) as { runs: { results: { level: string }[] }[] };
      return !runs[0]?.results.some(({ level }) => level === 'error');
    });
    expect(without).toEqual([]);
  });
  it('names no machine and no version', () => {
    expect([...wanted].filter(([, text]) => /file:\/\/|\/(home|root|tmp|work)\/|weightspec \d+\.\d+|"version": "0/.test(text)).map(([path]) => path)).toEqual([]);
  });
});

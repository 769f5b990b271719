import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allCodeFamilies } from '@weightspec/cli';
import { renderClauses } from './render-clauses.js';

const root = new URL('../../', import.meta.url);
const shipped = readFileSync(new URL('packages/cli/data/clauses.json', root), 'utf8');

describe('the clauses that the command carries', () => {
  it('say what the specifications say (npm run docs rewrites them)', () => {
    expect(shipped).toBe(renderClauses(root));
  });
  it('hold every numbered clause that a code cites', () => {
    const clauses = JSON.parse(shipped) as Readonly<Record<string, string>>;
    const cited = allCodeFamilies().flatMap(({ codes }) => Object.values(codes).map(({ clause }) => clause));
    const numbered = cited.filter((clause) => /#[A-Z]+-\d/.test(clause));
    expect(numbered.length).toBeGreaterThan(200);
    expect(numbered.filter((clause) => (clauses[clause]?.length ?? 0) < 6)).toEqual([]);
  });
});

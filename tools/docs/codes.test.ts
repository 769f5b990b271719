import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { allCodeFamilies } from '@weightspec/cli';
import { renderCodes } from './render-codes.js';

const readPage = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** `# A heading, so` → `a-heading-so`, as code hosts name the anchor. */
const anchorsOf = (markdown: string) => [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase().replaceAll(/[^\w -]/g, '').replaceAll(' ', '-'));

/** Whether the page that `clause` names has it: under a heading in docs/, as a numbered clause or a code elsewhere. */
function isWritten(clause: string): boolean {
  const [page = '', anchor = ''] = clause.split('#');
  if (page.startsWith('docs/')) return anchorsOf(readPage(`${page}.md`)).includes(anchor);
  return new RegExp(`\\b${anchor.replaceAll('.', '\\.')}(?![.\\d]*\\d)`).test(readPage(`${page}/README.md`));
}

describe('docs/CODES.md', () => {
  it('says what the code tables say (npm run docs rewrites it)', () => {
    expect(readPage('docs/CODES.md')).toBe(renderCodes(allCodeFamilies()));
  });
  it('has one section a code, with a link to its clause', () => {
    const codes = { X_ONE: { severity: 'error', summary: 'Bad', clause: 'specs/x#C-1', rationale: 'Because <unk>.', hint: 'Mend it.' } } as const;
    const page = renderCodes([{ id: 'x', title: 'X files', codes }]);
    expect(page).toContain('## X files (`x`)\n\n### X_ONE\n\n**error** · [specs/x#C-1](../specs/x/README.md)\n\nBad. Because &lt;unk>.\n\nWhat to do: Mend it.\n');
  });
});

describe('the clauses that codes cite', () => {
  it('are written where they point', () => {
    const cited = allCodeFamilies().flatMap(({ codes }) => Object.entries(codes).map(([code, { clause }]) => ({ code, clause })));
    expect(cited.filter(({ clause }) => !isWritten(clause))).toEqual([]);
    expect(isWritten('specs/formats#F-2.99')).toBe(false);
    expect(isWritten('docs/cli#no-such-heading')).toBe(false);
  });
});

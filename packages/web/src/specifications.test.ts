import { codeFamilies } from '@weightspec/formats';
import { smoothquantCodes } from '@weightspec/smoothquant';
import { describe, expect, it } from 'vitest';
import { clausesOf, readSpecifications } from '../build/specifications.js';

const specifications = readSpecifications(new URL('../../../specs/', import.meta.url));

describe('the clauses that the page shows', () => {
  it('have a text for every code of every format', () => {
    const entries = [...codeFamilies().map(({ codes }) => codes), smoothquantCodes].flatMap((codes) => Object.entries(codes));
    const without = entries.filter(([, { clause }]) => {
      const [, folder = '', id = ''] = /^specs\/([^#]+)#(.+)$/.exec(clause) ?? [];
      return !specifications[folder]?.clauses[id];
    });
    expect(entries.length).toBeGreaterThan(100);
    expect(without.map(([code, { clause }]) => `${code} ${clause}`)).toEqual([]);
  });

  it('end where the next begins, on one line or another', () => {
    const text = '## C-1 Title\n- **C-1.1** One\n  goes on. **C-1.2 Two.** Three\n\nNot a clause\n| F-2.1 | `CODE` | bytes | |\n';
    expect(clausesOf(text)).toEqual({ 'C-1': 'Title', 'C-1.1': 'One goes on.', 'C-1.2': 'Two: Three', 'F-2.1': '`CODE`; bytes' });
  });

  it('are found from header fields', () => {
    expect(specifications.llama2c?.fields.n_heads?.clauses).toEqual(['C-1.4', 'C-1.5', 'C-1.6']);
    expect(specifications['ggml-qwen']?.fields.ggml_type?.clauses).toEqual(['G-2.3']);
  });
});

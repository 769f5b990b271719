import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { allCodeFamilies } from '@weightspec/cli';
import { packageApi } from './api.js';
import { buildSite } from './build-site.js';
import { blocksOf, drawBlocks, type Structure } from './layout-svg.js';

const root = new URL('../../../', import.meta.url);
const out = mkdtempSync(join(tmpdir(), 'weightspec-site-'));
afterAll(() => rmSync(out, { recursive: true }));

const textOf = (page: string): string => readFileSync(join(out, page), 'utf8');

describe('the site', () => {
  const pages = buildSite(root, out);
  const anchors = new Map<string, ReadonlySet<string>>();
  const anchorsOf = (page: string): ReadonlySet<string> => {
    const known = anchors.get(page) ?? new Set(Array.from(textOf(page).matchAll(/ id="([^"]+)"/g), ([, id = '']) => id));
    anchors.set(page, known);
    return known;
  };

  it('has no link that leads nowhere, neither to a page nor to an anchor', () => {
    const broken: string[] = [];
    let links = 0;
    for (const page of pages) {
      for (const [, , link = ''] of textOf(page).matchAll(/ (href|src)="([^"]*)"/g)) {
        if (/^https?:/.test(link)) continue;
        links += 1;
        const [path = '', anchor] = link.split('#');
        const there = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)));
        const isThere = existsSync(join(out, there)) && statSync(join(out, there)).isFile();
        if (!isThere || (anchor !== undefined && !anchorsOf(there).has(anchor))) broken.push(`${page}: ${link}`);
      }
    }
    expect(broken).toEqual([]);
    expect(links).toBeGreaterThan(1000);
  });
  it('draws every .ksy specification, with every field of it', () => {
    const folders = readdirSync(new URL('specs/', root));
    const specifications = folders.map((folder) => readdirSync(new URL(`specs/${folder}/`, root)).filter((name) => name.endsWith('.ksy')).length);
    expect(folders.map((folder) => textOf(`specs/${folder}/index.html`).match(/<svg /g)?.length ?? 0)).toEqual(specifications);
    const all = folders.map((folder) => textOf(`specs/${folder}/index.html`)).join('');
    const fields = ['shared_classifier', 'num_attention_heads', 'len_header', 'ofs_directory', 'max_token_length', 'tok_embeddings'];
    expect(fields.filter((field) => !all.includes(`>${field}</text>`))).toEqual([]);
  });
  it('has every code, most with the bytes of an example', () => {
    const page = textOf('docs/CODES.html');
    const codes = allCodeFamilies().flatMap((family) => Object.keys(family.codes));
    const ids = anchorsOf('docs/CODES.html');
    expect(codes.filter((code) => !ids.has(code.toLowerCase()))).toEqual([]);
    expect(page.match(/^ +\^\^/gm)!.length).toBeGreaterThan(150);
  });
  it('has the docstrings of what packages export', () => {
    const [io] = packageApi(new URL('packages/io/', root));
    const source = io?.entries.find(({ name }) => name === 'httpSource');
    expect(source).toMatchObject({ kind: 'function', declaration: expect.stringContaining('Promise<HttpSource>') as string, doc: expect.stringContaining('one request for its first window') as string });
    expect(textOf('packages/io/index.html')).toContain('id="@weightspec/io.httpSource"');
  });
  it('loads nothing from elsewhere, runs nothing, and names no machine', () => {
    const offending = pages.filter((page) => /<(script|link|iframe)\b|<img[^>]+src="https?:|\/(home|root|work)\/\w/.test(textOf(page)));
    expect(offending).toEqual([]);
  });
});

describe('the drawing of a layout', () => {
  const structure: Structure = {
    meta: { title: 'A <file>' },
    seq: [
      { id: 'magic', contents: 'ab' },
      { id: 'head', type: 'head' },
      { id: 'name', size: 'len_name' },
      { id: 'after', type: 'u1' },
      { id: 'rows', type: 'row(_index)', repeat: 'expr', 'repeat-expr': 'count' },
    ],
    types: { head: { seq: [{ id: 'len_name', type: 'u2', valid: { max: 9 } }, { id: 'check_it', type: 'check(len_name > 0)' }] }, row: { seq: [{ id: 'value', type: 'f4' }] }, check: { seq: [{ id: 'enforced', size: 0 }] } },
  };
  const blocks = blocksOf('a', () => structure);

  it('gives offsets as long as they are fixed, sizes and rules, with fixed structures in place', () => {
    expect(blocks).toEqual([
      {
        title: 'A <file>',
        rows: [
          { name: 'magic', offset: 0, rule: '= "ab"', kind: 'field', size: 2 },
          { name: 'len_name', offset: 2, rule: '≤ 9', kind: 'field', size: 2 },
          { name: 'name', offset: 4, kind: 'field', size: 'len_name' },
          { name: 'after', kind: 'field', size: 1 },
          { name: 'rows', kind: 'many', size: 'row × count' },
        ],
      },
      { title: 'row', rows: [{ name: 'value', kind: 'field', size: 4 }] },
    ]);
  });
  it('is SVG whose texts are escaped', () => {
    expect(drawBlocks(blocks, 'x')).toContain('A &lt;file&gt;');
    expect(drawBlocks(blocks, 'x').match(/<rect /g)).toHaveLength(6);
  });
});

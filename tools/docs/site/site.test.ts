import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { allCodeFamilies } from '@weightspec/cli';
import { formats } from '@weightspec/formats';
import { packageApi } from './api.js';
import { buildSite } from './build-site.js';
import { blocksOf, drawBlocks, type Structure } from './layout-svg.js';
import { schemaBlocks } from './schema-layout.js';

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
  it('draws every .ksy specification and every JSON Schema, with every field of it', () => {
    const folders = readdirSync(new URL('specs/', root));
    const specifications = folders.map((folder) => readdirSync(new URL(`specs/${folder}/`, root)).filter((name) => /\.(ksy|schema\.json)$/.test(name)).length);
    const formatFolders = formats.map(({ id }) => (id === 'llama2c-tokenizer' ? 'llama2c' : id));
    expect(formatFolders.filter((folder) => specifications[folders.indexOf(folder)] === 0)).toEqual([]);
    expect(folders.map((folder) => textOf(`specs/${folder}/index.html`).match(/<svg /g)?.length ?? 0)).toEqual(specifications);
    const all = folders.map((folder) => textOf(`specs/${folder}/index.html`)).join('');
    const fields = ['shared_classifier', 'num_attention_heads', 'len_header', 'ofs_directory', 'max_token_length', 'tok_embeddings', 'LONG_BINPUT', 'weight_map.*', 'metadata.total_size', 'shardName'];
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
  it('says what a field can be when another decides, and where it ends when a byte does', () => {
    const opcodes: Structure = {
      seq: [{ id: 'code', type: 'u1', enum: 'op' }, { id: 'argument', type: { 'switch-on': 'code', cases: { 'op::put': 'u2be' } } }, { id: 'line', terminator: 10 }],
      enums: { op: { 0x71: 'put', 0x2e: 'stop' } },
    };
    expect(blocksOf('a', () => opcodes)).toEqual([
      { title: 'a', rows: [{ name: 'code', offset: 0, kind: 'field', size: 1 }, { name: 'argument', offset: 1, kind: 'field', size: 'by code' }, { name: 'line', kind: 'field', size: 'up to the byte 0x0a' }] },
      { title: 'argument by code', rows: [{ name: 'STOP', kind: 'field', size: 'no argument', rule: 'code = 0x2e' }, { name: 'PUT', kind: 'field', size: 'u2be', rule: 'code = 0x71' }] },
    ]);
  });
  it('gives the members of a JSON Schema by their path, with what they must be', () => {
    expect(schemaBlocks({
      title: 'An index',
      required: ['map'],
      additionalProperties: false,
      properties: { head: { type: 'object', properties: { total: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } } }, map: { type: 'object', minProperties: 1, additionalProperties: { $ref: '#/$defs/name' } } },
      $defs: { name: { type: 'string', maxLength: 9, allOf: [{ pattern: 'a$' }, { not: { pattern: '/' } }] } },
    })).toEqual([
      {
        title: 'An index',
        rows: [
          { name: 'head', kind: 'field', size: 'object' },
          { name: 'head.total', kind: 'field', size: 'integer', rule: '≥ 0, ≤ 2^53 − 1' },
          { name: 'map', kind: 'field', size: 'object', rule: 'required, ≥ 1 members' },
          { name: 'map.*', kind: 'many', size: 'name × any name' },
          { name: '*', kind: 'place', size: 'no other member' },
        ],
      },
      { title: 'name', rows: [{ name: 'string', kind: 'field', size: 'value', rule: '≤ 9 characters' }, { name: 'matches', kind: 'field', size: 'a$' }, { name: 'does not match', kind: 'field', size: '/' }] },
    ]);
    expect(() => schemaBlocks({ properties: { a: { enum: [1] } as object } })).toThrow('no place for enum');
  });
  it('is SVG whose texts are escaped', () => {
    expect(drawBlocks(blocks, 'x')).toContain('A &lt;file&gt;');
    expect(drawBlocks(blocks, 'x').match(/<rect /g)).toHaveLength(6);
  });
});

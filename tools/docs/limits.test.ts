/** docs/limits.md against the constants in the code: values, codes, and that none is missing. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { codeFamilies } from '@weightspec/formats';
import { tiktokenCodes } from '@weightspec/tokenizers';

const root = new URL('../../', import.meta.url);
const textOf = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const readers = ['safetensors', 'sharded-index', 'llama2c', 'ggml-qwen', 'torch-checkpoint', 'tokenizers', 'models', 'formats'];
/** Not limits of what is read: how the reader itself works. */
const inner = new Set(['safetensors/src/json-reader.ts MAX_U64', 'safetensors/src/json-reader.ts MAX_INTERNED_BYTES', 'safetensors/src/contiguous.ts MAX_SPAN_BYTES', 'torch-checkpoint/src/zip.ts MAX_U32', 'torch-checkpoint/src/zip-writer.ts MAX_U32']);

interface Row {
  readonly value: string;
  readonly file: string;
  readonly name: string;
  readonly codes: readonly string[];
}
const rows: readonly Row[] = textOf('docs/limits.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| reader'))
  .map((line) => {
    const [, , , value = '', constant = '', beyond = ''] = line.split('|').map((cell) => cell.trim());
    const [, file = '', name = ''] = /^`(.*)` (\w+)$/.exec(constant) ?? [];
    return { value, file, name, codes: beyond.match(/\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b/g) ?? [] };
  });

/** The value of a constant that is spelled with numbers and operators. */
function valueIn(file: string, name: string): number {
  const [, expression] = new RegExp(`\\b${name}(?: =|:) ([\\d_ *<]+)[;,]`).exec(textOf(`packages/${file}`)) ?? [];
  if (expression === undefined) throw new Error(`${file} has no number ${name}`);
  const [, left = '', operator, right = ''] = /^([\d_]+(?: \* 2)?)(?: (\*\*|<<) (\d+))?$/.exec(expression.trim()) ?? [];
  const number = (digits: string): number => Number(digits.replaceAll('_', ''));
  if (operator === '<<') return number(left) * 2 ** number(right);
  if (operator === undefined) return number(left);
  const [factor = '', base] = left.split(' * ');
  return base === undefined ? number(factor) ** number(right) : number(factor) * number(base) ** number(right);
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(new URL(`packages/${folder}/`, root), { withFileTypes: true })) {
    if (entry.isDirectory()) yield* sources(`${folder}/${entry.name}`);
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) yield `${folder}/${entry.name}`;
  }
}

describe('docs/limits.md', () => {
  const withConstant = rows.filter(({ file }) => file !== '');
  it.each(withConstant)('states $name of $file as it is in the code', ({ value, file, name }) => {
    expect(Number(value.replaceAll(',', ''))).toBe(valueIn(file, name));
  });
  it('knows how constants are spelled', () => {
    expect(withConstant.length).toBeGreaterThan(35);
    expect([valueIn('torch-checkpoint/src/limits.ts', 'pickleBytes'), valueIn('tokenizers/src/tiktoken-ranks.ts', 'MAX_FILE_BYTES'), valueIn('formats/src/folder.ts', 'MAX_CONFIG_BYTES')]).toEqual([2 ** 24, 2 ** 24, 2 ** 24]);
  });
  it('names codes that exist', () => {
    const known = new Set([...codeFamilies().flatMap(({ codes }) => Object.keys(codes)), ...Object.keys(tiktokenCodes), 'MODEL_CONFIG', 'CLI_BAD_CONFIG']);
    expect(rows.flatMap(({ codes }) => codes).filter((code) => !known.has(code))).toEqual([]);
    expect(textOf('packages/models/src/errors.ts')).toContain("'MODEL_CONFIG'");
    expect(textOf('packages/cli/src/codes.ts')).toContain('CLI_BAD_CONFIG');
  });
  it('leaves no limit of a reader out', () => {
    const listed = new Set(rows.map(({ file, name }) => `${file} ${name}`));
    const constants = readers.flatMap((reader) => [...sources(`${reader}/src`)]).filter((file) => !file.includes('/fields/')).flatMap((file) => Array.from(textOf(`packages/${file}`).matchAll(/^(?:export )?const (MAX_\w+|MOST_\w*BYTES) =/gm), ([, name]) => `${file} ${name}`));
    const torch = Array.from(textOf('packages/torch-checkpoint/src/limits.ts').matchAll(/^ {2}(\w+):/gm), ([, name]) => `torch-checkpoint/src/limits.ts ${name}`);
    expect(torch.length).toBeGreaterThan(12);
    expect([...constants, ...torch].filter((constant) => !listed.has(constant) && !inner.has(constant))).toEqual([]);
  });
});

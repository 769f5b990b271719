import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { codeFamilies } from '@weightspec/formats';
import { renderExamples, type CodeExample } from './render-examples.js';

const root = new URL('../../', import.meta.url);
const shipped = readFileSync(new URL('packages/cli/data/examples.json', root), 'utf8');
const examples = JSON.parse(shipped) as Readonly<Record<string, CodeExample>>;

describe('the examples that explain shows', () => {
  it('are what the reports on those bytes say (npm run docs rewrites them)', async () => {
    expect(shipped).toBe(await renderExamples(root));
  });
  it('exist for every code that one file alone can have', () => {
    // Of a model in several files, or of what is asked to be written; and limits that only files of megabytes break.
    const elsewhere = /^FOLDER_|_WRITE_|^SHARDED_INDEX_(TENSOR_TWICE|TOO_LARGE)|^FORMAT_(AMBIGUOUS|SAFETENSORS|GGML_QWEN|ZIP|PICKLE)$/;
    const codes = codeFamilies().flatMap((family) => Object.keys(family.codes));
    expect(codes.filter((code) => !elsewhere.test(code) && !Object.hasOwn(examples, code))).toEqual([]);
    expect(codes.filter((code) => elsewhere.test(code) && Object.hasOwn(examples, code))).toEqual([]);
  });
});

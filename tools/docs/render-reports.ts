/** Reports on one broken file of each format, as `validate` writes them; the version is left out, so that a release changes nothing. */
import { readFileSync } from 'node:fs';
import { render, withFrames } from '@weightspec/cli';
import { formats, validateSource } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { shardedIndexFormat } from '@weightspec/sharded-index';

const brokenFiles: readonly (readonly [format: string, path: string])[] = [
  ['llama2c', 'fixtures/llama2c/invalid/ak42-version-3.bin'],
  ['llama2c-tokenizer', 'fixtures/llama2c/invalid/tokenizer-gen5-max-length-small.bin'],
  ['ggml-qwen', 'fixtures/ggml-qwen/invalid/rows.bin'],
  ['safetensors', 'fixtures/safetensors/invalid/overlap.safetensors'],
  ['torch-checkpoint', 'fixtures/torch-checkpoint/invalid/crc-local.pth'],
  ['sharded-index', 'docs/examples/model.safetensors.index.json'],
];

/** An index whose first shard would be read from another folder. */
const index = `{
  "metadata": { "total_size": 8 },
  "weight_map": {
    "model.embed_tokens.weight": "../secret/model-00001-of-00002.safetensors",
    "model.norm.weight": "model-00002-of-00002.safetensors"
  }
}
`;

/** By path in the repository. `root`: the repository, with a slash at its end. */
export async function renderReports(root: URL): Promise<ReadonlyMap<string, string>> {
  const files = new Map([['docs/examples/model.safetensors.index.json', index]]);
  const withoutShards = shardedIndexFormat(() => Promise.resolve(undefined));
  const list = formats.map((format) => (format.id === withoutShards.id ? withoutShards : format));
  const rows: string[] = [];
  for (const [format, path] of brokenFiles) {
    const bytes = files.has(path) ? new TextEncoder().encode(files.get(path)) : new Uint8Array(readFileSync(new URL(path, root)));
    const source = memorySource(bytes, path);
    const file = await withFrames(await validateSource(source, { formats: list }), source);
    const findings = { version: '(any)', files: [file], unchecked: [], failed: [] };
    for (const kind of ['sarif', 'html'] as const) files.set(`docs/examples/${format}.${kind}`, await render(findings, kind));
    rows.push(`| ${format} | \`${path}\` | ${file.report.diagnostics.filter(({ severity }) => severity === 'error').map(({ code }) => `\`${code}\``).join(', ')} | [HTML](${format}.html), [SARIF](${format}.sarif) |`);
  }
  files.set('docs/examples/README.md', `<!-- Written by \`npm run docs\`. Do not edit. -->

# Reports on broken files

What \`weightspec validate --format html\` and \`--format sarif\` say of one broken file of each format.

| format | file | errors | reports |
|---|---|---|---|
${rows.join('\n')}
`);
  return files;
}

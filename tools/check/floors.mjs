// Imports go down only. A package may depend on packages of lower floors (docs/architecture.md), and source files
// may import only what their package.json names. Generators of fixtures and goldens import nothing from packages/.
import { existsSync, readFileSync, readdirSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const floors = [
  ['core'],
  ['io', 'codecs', 'tokenizers'],
  ['llama2c', 'ggml-qwen', 'safetensors', 'torch-checkpoint', 'gguf'],
  ['sharded-index', 'models', 'kernels'],
  ['formats', 'engine', 'backend-wasm', 'backend-native', 'backend-webgpu'],
  ['convert', 'smoothquant', 'conformance'],
  ['web'],
  ['cli'],
];
const testOnly = new Set(['oracles']);
const topLevel = new Set(['package.json', 'package-lock.json', 'turbo.json', 'packages', 'specs', 'fixtures', 'tools', 'docs', 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE', 'node_modules']);
const floorOf = (name) => floors.findIndex((floor) => floor.includes(name));
const problems = [];

for (const entry of readdirSync(root)) {
  if (!entry.startsWith('.') && !topLevel.has(entry)) problems.push(`${entry}: not one of the top-level entries that docs/architecture.md names`);
}

function* sources(folder) {
  for (const entry of readdirSync(new URL(folder, root), { withFileTypes: true })) {
    if (['node_modules', 'dist', 'generated', 'spec'].includes(entry.name)) continue;
    if (entry.isDirectory()) yield* sources(`${folder}${entry.name}/`);
    else if (/\.(ts|mts|mjs|js)$/.test(entry.name)) yield `${folder}${entry.name}`;
  }
}
const importsOf = (file) => [...readFileSync(new URL(file, root), 'utf8').matchAll(/(?:from|import\(?)\s*['"]([^'"]+)['"]/g)].map((match) => match[1]);

for (const name of readdirSync(new URL('packages/', root))) {
  if (!existsSync(new URL(`packages/${name}/package.json`, root))) continue;
  const manifest = JSON.parse(readFileSync(new URL(`packages/${name}/package.json`, root), 'utf8'));
  const own = floorOf(name);
  if (own < 0 && !testOnly.has(name)) problems.push(`packages/${name}: stands on no floor; add it to tools/check/floors.mjs`);
  const dependencies = Object.keys(manifest.dependencies ?? {});
  for (const dependency of dependencies.filter((d) => d.startsWith('@weightspec/')).map((d) => d.slice(12))) {
    if (testOnly.has(dependency)) problems.push(`packages/${name}: depends on ${dependency}, which is for tests only`);
    else if (!testOnly.has(name) && floorOf(dependency) >= own) problems.push(`packages/${name} (floor ${own}) depends on ${dependency} (floor ${floorOf(dependency)})`);
  }
  for (const file of sources(`packages/${name}/src/`)) {
    // A testing folder that the package does not export is test code too.
    const shared = file.includes('/src/testing/') && !(manifest.exports ?? {})['./testing'];
    if (/\.(test|bench)\.ts$/.test(file) || shared || testOnly.has(name)) continue;
    for (const target of importsOf(file).filter((t) => !t.startsWith('.') && !t.startsWith('node:'))) {
      const [scope, rest] = target.split('/');
      const dependency = target.startsWith('@') ? `${scope}/${rest}` : scope;
      const named = target.startsWith('#') ? manifest.imports?.[target] : dependencies.includes(dependency) || manifest.peerDependencies?.[dependency];
      if (!named) problems.push(`${file}: imports ${target}, which its package.json does not name`);
    }
    const nodeFree = name !== 'cli' && name !== 'backend-native' && !file.includes('/node/');
    if (nodeFree && importsOf(file).some((target) => target.startsWith('node:'))) problems.push(`${file}: imports node:*, but the package promises to run in a browser`);
  }
}
for (const folder of ['fixtures/', 'tools/golden/']) {
  if (!existsSync(new URL(folder, root))) continue;
  for (const file of sources(folder)) {
    if (file.endsWith(".test.ts")) continue;
    if (importsOf(file).some((target) => target.includes('@weightspec/') || target.includes('packages/'))) problems.push(`${file}: a generator of fixtures or goldens must not import the code that they test`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
} else {
  console.log('floors: imports go down only; generators import nothing from packages/');
}

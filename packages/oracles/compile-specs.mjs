// Compiles every specs/**/*.ksy to a JavaScript parser and its types in generated/, before tsc runs.
// The parsers are UMD modules, which export nothing in a package of type "module": generated/ is CommonJS of its own.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import compiler from 'kaitai-struct-compiler';
import { load as parseYaml } from 'js-yaml';
import { declarationsFromJava } from './declarations.mjs';

const specs = fileURLToPath(new URL('../../specs', import.meta.url));
const generated = fileURLToPath(new URL('generated', import.meta.url));

const load = (path) => parseYaml(readFileSync(path, 'utf8'));
const ksyFiles = readdirSync(specs, { recursive: true }).filter((name) => name.endsWith('.ksy')).map((name) => join(specs, name));
const compile = (language, path) => compiler.compile(language, load(path), { importYaml: async (name) => load(join(dirname(path), `${name}.ksy`)) }, false);

const outputs = new Map([['package.json', `${JSON.stringify({ type: 'commonjs' })}\n`]]);
for (const path of ksyFiles) {
  try {
    const className = basename(path, '.ksy').replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase());
    outputs.set(`${className}.js`, (await compile('javascript', path))[`${className}.js`]);
    outputs.set(`${className}.d.ts`, declarationsFromJava(className, (await compile('java', path))[`/${className}.java`], load(path)));
  } catch (error) {
    throw new Error(`${path}: ${String(error)}`, { cause: error });
  }
}

// Written at the end and file by file, so that whoever reads the folder meanwhile finds the last build whole.
mkdirSync(generated, { recursive: true });
for (const [name, text] of outputs) writeFileSync(join(generated, name), text);
for (const name of readdirSync(generated)) if (!outputs.has(name)) rmSync(join(generated, name), { recursive: true });

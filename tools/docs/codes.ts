/**
 * Writes docs/CODES.md from the code tables; with --check, says whether it is up to date (exit 1 when not).
 * Run by `npm run docs`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { allCodeFamilies } from '@weightspec/cli';
import { renderCodes } from './render-codes.js';

/** From tools/dist/docs, where the build puts this file. */
const page = fileURLToPath(new URL('../../../docs/CODES.md', import.meta.url));
const wanted = renderCodes(allCodeFamilies());

if (process.argv.includes('--check')) {
  const present = await readFile(page, 'utf8').catch(() => '');
  if (present !== wanted) {
    process.stderr.write('docs/CODES.md is not what the code tables say: run `npm run docs`\n');
    process.exitCode = 1;
  }
} else {
  await writeFile(page, wanted);
}

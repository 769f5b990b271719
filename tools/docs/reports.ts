/** Writes docs/examples: what `validate --format sarif` and `--format html` say of one broken file of each format. Run by `npm run docs`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { renderReports } from './render-reports.js';

/** From tools/dist/docs, where the build puts this file. */
const root = new URL('../../../', import.meta.url);
await mkdir(new URL('docs/examples/', root), { recursive: true });
for (const [path, text] of await renderReports(root)) await writeFile(new URL(path, root), text);

/** Writes packages/cli/data/clauses.json from specs/. Run by `npm run docs`; a test says whether it is up to date. */
import { writeFile } from 'node:fs/promises';
import { renderClauses } from './render-clauses.js';

/** From tools/dist/docs, where the build puts this file. */
const root = new URL('../../../', import.meta.url);
await writeFile(new URL('packages/cli/data/clauses.json', root), renderClauses(root));

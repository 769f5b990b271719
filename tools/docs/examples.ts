/** Writes packages/cli/data/examples.json from the fixtures. Run by `npm run docs`; a test says whether it is up to date. */
import { writeFile } from 'node:fs/promises';
import { renderExamples } from './render-examples.js';

/** From tools/dist/docs, where the build puts this file. */
const root = new URL('../../../', import.meta.url);
await writeFile(new URL('packages/cli/data/examples.json', root), await renderExamples(root));

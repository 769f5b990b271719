/** Writes packages/formats/src/fields/layouts.ts from specs/. Run by `npm run docs`; a test says whether it is up to date. */
import { writeFile } from 'node:fs/promises';
import { renderLayouts } from './render-layouts.js';

/** From tools/dist/docs, where the build puts this file. */
const root = new URL('../../../', import.meta.url);
await writeFile(new URL('packages/formats/src/fields/layouts.ts', root), renderLayouts(new URL('specs/', root)));

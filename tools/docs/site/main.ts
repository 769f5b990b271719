/** Builds docs/_site. Run by `npm run docs:site`. */
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSite } from './build-site.js';

/** From tools/dist/docs/site, where the build puts this file. */
const root = new URL('../../../../', import.meta.url);
const out = fileURLToPath(new URL('docs/_site/', root));
rmSync(out, { recursive: true, force: true });
const pages = buildSite(root, out);
process.stdout.write(`${pages.length} pages in docs/_site; open docs/_site/index.html\n`);

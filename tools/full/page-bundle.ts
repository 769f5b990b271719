import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** The text of one module that holds `page`, a file of this folder, and all it imports, as a page would load it. */
export async function bundledPage(page: string): Promise<string> {
  const entry = fileURLToPath(new URL(page, import.meta.url));
  const output = await build({ configFile: false, logLevel: 'error', build: { write: false, minify: false, target: 'es2022', lib: { entry, formats: ['es'], fileName: 'page' } } });
  const [first] = Array.isArray(output) ? output : [output];
  if (!first || !('output' in first)) throw new Error('vite built nothing');
  return first.output[0].code;
}

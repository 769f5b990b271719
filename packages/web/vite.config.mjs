// Builds src/page into dist/page: static files with relative links, so that they can be served from any folder.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { defineConfig } from 'vite';
import { contentSecurityPolicy } from './dist/headers.js';
import { specificationsPlugin } from './build/specifications.ts';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The page carries its policy itself, for servers that add no headers. */
const policy = {
  name: 'content-security-policy',
  transformIndexHtml: () => [{ tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy() }, injectTo: 'head-prepend' }],
};

/** What a visit transfers, compressed, in kB: before anything is opened, and with all that is loaded on demand. More is a mistake until it is decided. */
const MOST_AT_FIRST = 160;
const MOST_IN_ALL = 560;

/** Says how large the page is, and fails when it has grown beyond what was decided. */
const sizes = {
  name: 'sizes',
  closeBundle() {
    const folder = at('dist/page/');
    const compressed = (file) => gzipSync(readFileSync(folder + file), { level: 9 }).length / 1000;
    const files = ['index.html', ...readdirSync(`${folder}assets`).filter((file) => /\.(js|css|svg)$/.test(file)).map((file) => `assets/${file}`)];
    const first = files.filter((file) => /index[.-]|inspector\.worker|icon/.test(file));
    const sum = (list) => Math.round(list.reduce((total, file) => total + compressed(file), 0));
    const [atFirst, inAll] = [sum(first), sum(files)];
    console.log(`the page: ${atFirst} kB gzipped at first (at most ${MOST_AT_FIRST}), ${inAll} kB with charts, clauses and backends (at most ${MOST_IN_ALL})`);
    if (atFirst > MOST_AT_FIRST || inAll > MOST_IN_ALL) throw new Error('the page has grown beyond the sizes in vite.config.mjs');
  },
};

export default defineConfig({
  root: at('src/page'),
  base: './',
  publicDir: false,
  define: { WEIGHTSPEC_VERSION: JSON.stringify(JSON.parse(readFileSync(at('package.json'), 'utf8')).version) },
  plugins: [sizes, policy, specificationsPlugin(new URL('../../specs/', import.meta.url))],
  worker: { format: 'es' },
  build: {
    outDir: at('dist/page'),
    emptyOutDir: true,
    target: 'es2022',
    // A data: URL would need a wider policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    reportCompressedSize: false,
  },
});

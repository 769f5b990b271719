// Builds src/page into dist/page: static files with relative links, so that they can be served from any folder.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { contentSecurityPolicy } from './dist/headers.js';
import { specificationsPlugin } from './build/specifications.ts';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The page carries its policy itself, for servers that add no headers. */
const policy = {
  name: 'content-security-policy',
  transformIndexHtml: () => [{ tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy() }, injectTo: 'head-prepend' }],
};

export default defineConfig({
  root: at('src/page'),
  base: './',
  publicDir: false,
  plugins: [policy, specificationsPlugin(new URL('../../specs/', import.meta.url))],
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

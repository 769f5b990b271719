import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

// Tests read the sources of every package, not its build: one instance of each module, and no stale dist.
const alias = readdirSync(at('../packages'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(at(`../packages/${entry.name}/src/index.ts`)))
  .flatMap(({ name }) => [
    { find: new RegExp(`^@weightspec/${name}$`), replacement: at(`../packages/${name}/src/index.ts`) },
    { find: new RegExp(`^@weightspec/${name}/(node|contract|testing)$`), replacement: `${at(`../packages/${name}/src`)}/$1/index.ts` },
  ])
  .concat({ find: /^#threads$/, replacement: at('../packages/backend-wasm/src/node/index.ts') });

export default defineConfig({
  root: at('..'),
  resolve: { alias },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'fixtures/**/*.test.ts', 'tools/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'tools/full/**'],
    // One fewer is the default, which on two cores is half of them.
    maxWorkers: '100%',
    testTimeout: 60_000,
    reporters: ['default'],
  },
});

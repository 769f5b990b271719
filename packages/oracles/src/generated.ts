/** Loads the parsers that compile-specs.mjs made from specs/ into this package's generated/ (CommonJS). */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The exports of generated/<className>.js, typed by the .d.ts beside it. The same relative path holds from src/ and from dist/. */
export function loadGenerated(className: string): unknown {
  return require(`../generated/${className}.js`);
}

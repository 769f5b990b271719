/** Loads the parsers that compile-specs.mjs made from specs/ into this package's generated/ (CommonJS). */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * The classes of generated/<className>.js by their names, typed by the .d.ts beside each. A file is loaded when its class is first
 * used: most tests import this package for something else. The same relative path holds from src/ and from dist/.
 */
export function loadGenerated(...classNames: readonly string[]): unknown {
  const load = (name: string): unknown => (require(`../generated/${name}.js`) as Readonly<Record<string, unknown>>)[name];
  return Object.defineProperties({}, Object.fromEntries(classNames.map((name) => [name, { get: () => load(name) }])));
}

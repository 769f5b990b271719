import { readFileSync } from 'node:fs';

/** This package's version. Read from its manifest, so that there is one place to change. */
export function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { readonly version: string }).version;
}

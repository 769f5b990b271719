import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderLayouts } from './render-layouts.js';

const root = new URL('../../', import.meta.url);

describe('the field tables of the formats', () => {
  it('say what the .ksy specifications say (npm run docs rewrites them)', () => {
    expect(readFileSync(new URL('packages/formats/src/fields/layouts.ts', root), 'utf8')).toBe(renderLayouts(new URL('specs/', root)));
  });
});

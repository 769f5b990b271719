/** One rule for every format: a byte range lies inside the file that the finding names. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { validateSource } from './index.js';

const folder = fileURLToPath(new URL('../../../fixtures/', import.meta.url));
const fixtures = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => ['valid', 'ambiguous', 'invalid'].map((kind) => `${name}/${kind}`))
  .flatMap((kind) => listed(kind).map((name) => `${kind}/${name}`))
  .filter((name) => !name.endsWith('.json'));

function listed(path: string): string[] {
  try {
    return readdirSync(join(folder, path));
  } catch {
    return [];
  }
}

/** The fixture; cut, so that what formats expect is not there; and with one byte damaged near its front, another byte for each fixture. */
function* variantsOf(bytes: Uint8Array, index: number): Generator<Uint8Array> {
  yield bytes;
  for (const length of [0, 7, 28, 41, 256, bytes.length >> 1, bytes.length - 1]) {
    if (length >= 0 && length < bytes.length) yield bytes.subarray(0, length);
  }
  for (let offset = index % 8; offset < Math.min(48, bytes.length); offset += 8) {
    const damaged = Uint8Array.from(bytes);
    damaged[offset] = index % 3 === 0 ? 0xff : damaged[offset]! ^ 0x41;
    yield damaged;
  }
}

describe('every fixture, whole, cut and damaged', () => {
  it('is there to be looked at', () => expect(fixtures.length).toBeGreaterThan(100));
  it.each(fixtures.map((name, index) => ({ name, index })))('$name: byte ranges stay in the file', async ({ name, index }) => {
    const outside: string[] = [];
    for (const bytes of variantsOf(new Uint8Array(readFileSync(join(folder, name))), index)) {
      const { diagnostics, producer } = await validateSource(memorySource(bytes, name), { deep: true });
      const ranges = [...diagnostics, ...(producer?.evidence.map((evidence) => ({ code: 'producer', ...evidence })) ?? [])];
      for (const { code, byteRange } of ranges) {
        if (byteRange && !(byteRange[0] >= 0 && byteRange[0] <= byteRange[1] && byteRange[1] <= bytes.length)) outside.push(`${code} [${byteRange.join(', ')}) of ${bytes.length}`);
      }
    }
    expect([...new Set(outside)]).toEqual([]);
  });
});

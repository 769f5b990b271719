/** Two readings of safetensors files: the production reader, and the Kaitai container with JSON.parse. */
import { memorySource } from '@weightspec/io';
import { safetensors } from '@weightspec/safetensors';
import * as fc from 'fast-check';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { damageSafetensors, generateSafetensors } from './generate-safetensors.js';
import { readSafetensorsWithKaitai, type SafetensorsReading } from './safetensors.kaitai.js';
import { sharedData } from './shared-data.js';

const METADATA_KEY = '__metadata__';

async function readWithProduction(bytes: Uint8Array): Promise<SafetensorsReading> {
  const { checkpoint, diagnostics } = await safetensors.read(memorySource(bytes));
  const error = diagnostics.find(({ severity }) => severity === 'error');
  expect(checkpoint === undefined).toBe(error !== undefined);
  if (!checkpoint) return { accepted: false, reason: `${error!.code}: ${error!.message}` };
  const metadata = checkpoint.metadata[METADATA_KEY] as Readonly<Record<string, string>> | undefined;
  return { accepted: true, metadata, directory: checkpoint.tensors.map(({ name, dtype, shape, location }) => ({ name, dtype: dtype.name, shape, offset: location.offset, length: location.length })) };
}

/** Empty tensors at one offset may stand in any order: JSON.parse moves keys that look like numbers to the front. */
const comparable = (reading: SafetensorsReading) =>
  reading.accepted ? { ...reading, directory: reading.directory.toSorted((a, b) => a.offset - b.offset || a.length - b.length || (a.name < b.name ? -1 : 1)) } : reading;

/** What JSON.parse hides (duplicate keys, 1.0 for 1, half surrogates, depth) or takes (numbers that overflow). */
const hiddenFromJsonParse = /^SAFETENSORS_(DUPLICATE_KEY|NOT_UNSIGNED|JSON_LONE_SURROGATE|JSON_DEPTH|JSON_SYNTAX: a number is out of range)/;

/** How the two readings contradict each other, or undefined. */
function contradiction(production: SafetensorsReading, oracle: SafetensorsReading): string | undefined {
  if (production.accepted) return isDeepStrictEqual(comparable(production), comparable(oracle)) ? undefined : `accepted, but read otherwise: ${JSON.stringify(oracle)}`;
  return oracle.accepted && !hiddenFromJsonParse.test(production.reason) ? `refused (${production.reason}), but accepted by the oracle` : undefined;
}

/** Whether the production reader accepts `bytes`, with which the other reading must be in line. */
async function agree(bytes: Uint8Array): Promise<boolean> {
  const production = await readWithProduction(bytes);
  expect(contradiction(production, readSafetensorsWithKaitai(bytes))).toBeUndefined();
  return production.accepted;
}

describe('two independent readings of safetensors', () => {
  it('agree on generated files, and accept them all', async () => {
    await fc.assert(fc.asyncProperty(fc.nat({ max: 8 }), fc.nat(), async (tensorCount, seed) => {
      const bytes = generateSafetensors(tensorCount, seed);
      expect((await readWithProduction(bytes)).accepted).toBe(true);
      await agree(bytes);
    }), { numRuns: 300 });
  });

  it('agree on what is in damaged files that are still accepted; what the oracle refuses is refused with a code and a range in the file', async () => {
    const counts = { accepted: 0, refused: 0 };
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.nat(), async (tensorCount, seed) => {
      const bytes = damageSafetensors(generateSafetensors(tensorCount, seed), seed);
      counts[(await agree(bytes)) ? 'accepted' : 'refused']++;
      const { diagnostics } = await safetensors.read(memorySource(bytes));
      for (const { byteRange } of diagnostics) {
        expect(byteRange![0]).toBeLessThanOrEqual(byteRange![1]);
        expect(byteRange![1]).toBeLessThanOrEqual(bytes.length);
      }
    }), { numRuns: 1500 });
    // About 85, standard deviation 9: five of them below.
    expect(counts.accepted).toBeGreaterThan(35);
    expect(counts.refused).toBeGreaterThan(500);
  });

  it('agree on every committed fixture', async () => {
    const folder = fileURLToPath(new URL('../../../fixtures/safetensors/', import.meta.url));
    for (const kind of ['valid', 'ambiguous', 'invalid'] as const) {
      const files = readdirSync(join(folder, kind)).filter((file) => file.endsWith('.safetensors'));
      expect(files.length).toBeGreaterThan(5);
      for (const name of files) expect([name, await agree(readFileSync(join(folder, kind, name)))]).toEqual([name, kind !== 'invalid']);
    }
  });

  const real = ['llama3-tiny/hf/model.safetensors', 'qwen1-tiny/bf16/model.safetensors', 'qwen2-tiny/f32/model.safetensors', 'qwen2-tiny/bf16-sharded-safetensors/model-00001-of-00003.safetensors'].map((name) => ({ name, path: sharedData(`models/${name}`)! }));
  it.skipIf(real.some(({ path }) => !path)).each(real)('agree on $name', async ({ path }) => {
    expect(await agree(readFileSync(path))).toBe(true);
  });
});

import { memorySource } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import type { Region } from './layout.js';
import { decideLayout, testLayout, type LayoutEvidence } from './plausible.js';

const GROUP_SIZE = 4;

/** One tensor of one group a scale: its values, then its scales, as `regions` says. */
function bodyOf(groups: readonly { readonly values: readonly number[]; readonly scale: number }[]) {
  const values = Int8Array.from(groups.flatMap((group) => group.values));
  const bytes = new Uint8Array(values.length + 4 * groups.length);
  bytes.set(new Uint8Array(values.buffer));
  const view = new DataView(bytes.buffer);
  groups.forEach(({ scale }, i) => view.setFloat32(values.length + 4 * i, scale, true));
  const regions: Region[] = [
    { name: 'w', dtype: 'I8', shape: [groups.length, GROUP_SIZE], offset: 0, length: values.length },
    { name: 'w.scales', dtype: 'F32', shape: [groups.length], offset: values.length, length: 4 * groups.length },
  ];
  return testLayout(memorySource(bytes, 'body'), regions, GROUP_SIZE);
}

describe('a scale is plausible', () => {
  const some = [1, -127, 0, 3];
  const none = [0, 0, 0, 0];
  it.each([
    { values: some, scale: 0.01, plausible: 1, why: 'positive over values' },
    { values: none, scale: 0, plausible: 1, why: 'zero over zeros' },
    { values: some, scale: 0, plausible: 0, why: 'zero over values' },
    { values: none, scale: 0.01, plausible: 0, why: 'positive over zeros' },
    { values: some, scale: -0.01, plausible: 0, why: 'negative' },
    { values: some, scale: Number.NaN, plausible: 0, why: 'NaN' },
    { values: some, scale: Infinity, plausible: 0, why: 'infinite' },
    { values: some, scale: 999_936, plausible: 1, why: 'below a million' },
    { values: some, scale: 1e6, plausible: 0, why: 'a million' },
    { values: none, scale: 2 ** -127, plausible: 1, why: 'subnormal: all values of its group may have been rounded to zero' },
    { values: none, scale: 2 ** -126, plausible: 0, why: 'the smallest normal one over zeros' },
  ])('$plausible of 1 when $why', async ({ values, scale, plausible }) => {
    expect(await bodyOf([{ values, scale }])).toEqual({ groupsTested: 1, plausible, byteRange: [4, 8] });
  });
  it('judges each group by its own values', async () => {
    expect(await bodyOf([{ values: some, scale: 0 }, { values: none, scale: 0 }, { values: none, scale: 1 }, { values: some, scale: 1 }])).toMatchObject({ groupsTested: 4, plausible: 2 });
  });
});

describe('the layout', () => {
  const evidence = (plausible: number): LayoutEvidence => ({ groupsTested: 10, plausible, byteRange: [0, 4] });
  it.each([
    { interleaved: 9, contiguous: 3, decision: 'interleaved' },
    { interleaved: 3, contiguous: 9, decision: 'contiguous' },
    { interleaved: 10, contiguous: 9, decision: 'interleaved' },
    { interleaved: 9, contiguous: 10, decision: 'contiguous' },
    { interleaved: 10, contiguous: 10, decision: 'both' },
    { interleaved: 8, contiguous: 3, decision: 'neither' },
    { interleaved: 3, contiguous: 8, decision: 'neither' },
  ])('is $decision when $interleaved and $contiguous of 10 scales are plausible', ({ interleaved, contiguous, decision }) => {
    expect(decideLayout(evidence(interleaved), evidence(contiguous))).toBe(decision);
  });
});

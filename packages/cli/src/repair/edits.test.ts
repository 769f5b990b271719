import { array, assert, asyncProperty, nat, tuple, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyRange } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { editedSource, type Edit } from './edits.js';

/** The same by slices of the whole. Edits are in order. */
function applied(original: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let position = 0;
  const parts: Uint8Array[] = [];
  for (const { byteRange: [from, to], bytes } of edits) {
    parts.push(original.subarray(position, from), bytes);
    position = to;
  }
  return Uint8Array.from([...parts, original.subarray(position)].flatMap((part) => [...part]));
}

describe('editedSource', () => {
  it('reads as the edited bytes, wherever a read begins and ends', async () => {
    const anEdit = tuple(nat(6), nat(6), uint8Array({ maxLength: 6 }));
    await expect(assert(asyncProperty(uint8Array({ maxLength: 60 }), array(anEdit, { maxLength: 5 }), nat(), nat(), async (original, steps, from, length) => {
      let at = 0;
      const edits = steps.flatMap(([gap, removed, bytes]): Edit[] => {
        const start = at + gap;
        at = start + removed;
        return at <= original.length ? [{ byteRange: [start, at], bytes }] : [];
      });
      const wanted = applied(original, edits);
      const source = editedSource(memorySource(original, 'x'), edits);
      if (source.size !== wanted.length) return false;
      const offset = from % (wanted.length + 1);
      const count = length % (wanted.length - offset + 1);
      return (await source.read(offset, count)).join() === wanted.subarray(offset, offset + count).join();
    }))).resolves.toBeUndefined();
  });
  it('is copied a megabyte at a time, however long it is', async () => {
    const lengths: number[] = [];
    const size = 5 * 2 ** 20 + 3;
    const zeros = { name: 'zeros', size, read: (_offset: number, length: number) => (lengths.push(length), Promise.resolve(new Uint8Array(length))) };
    const sink = memorySink();
    await copyRange(editedSource(zeros, [{ byteRange: [4, 8], bytes: Uint8Array.of(1, 2, 3, 4, 5) }]), 0, size + 1, sink);
    expect(sink.position).toBe(size + 1);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(2 ** 20);
  });
  it('refuses edits that overlap or leave the file', () => {
    const source = memorySource(new Uint8Array(8), 'x');
    const edit = (...byteRange: [number, number]): Edit => ({ byteRange, bytes: new Uint8Array(1) });
    expect(() => editedSource(source, [edit(0, 4), edit(3, 5)])).toThrow(RangeError);
    expect(() => editedSource(source, [edit(7, 9)])).toThrow(RangeError);
  });
});

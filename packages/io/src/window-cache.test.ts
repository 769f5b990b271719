import { describe, expect, it } from 'vitest';
import { contractBytes, firstDifference } from './testing/index.js';
import { windowCache } from './window-cache.js';

function recorded(byteCount: number, windowBytes: number, cacheBytes: number) {
  const bytes = contractBytes(byteCount);
  const fetched: [offset: number, length: number][] = [];
  const failures: Error[] = [];
  const cache = windowCache({
    size: byteCount,
    windowBytes,
    cacheBytes,
    async fetchRange(offset, length) {
      fetched.push([offset, length]);
      const failure = failures.pop();
      if (failure) throw failure;
      expect(offset + length).toBeLessThanOrEqual(byteCount);
      return bytes.slice(offset, offset + length);
    },
  });
  const read = async (offset: number, length: number) => {
    expect(firstDifference(await cache.read(offset, length), bytes.subarray(offset, offset + length))).toBe(undefined);
  };
  return { bytes, cache, fetched, failures, read };
}

describe('windowCache', () => {
  it('fetches a window once for many small reads, also when they come together', async () => {
    const { read, fetched } = recorded(10_000, 1000, 5000);
    await Promise.all([read(3000, 10), read(3500, 500), read(3999, 1)]);
    await read(3001, 2);
    expect(fetched).toEqual([[3000, 1000]]);
  });

  it('fetches only the gaps, and never past the end', async () => {
    const { read, fetched } = recorded(9500, 1000, 9000);
    await read(5000, 1);
    await read(4000, 5500);
    expect(fetched).toEqual([[5000, 1000], [4000, 1000], [6000, 3500]]);
  });

  it('looks ahead twice as far each time while reads go on where the last fetch ended, up to 8 windows', async () => {
    const { read, fetched } = recorded(64_000, 1000, 32_000);
    for (let offset = 0; offset < 30_000; offset += 500) await read(offset, 500);
    expect(fetched).toEqual([[0, 1000], [1000, 2000], [3000, 4000], [7000, 8000], [15_000, 8000], [23_000, 8000]]);
    await read(60_000, 10);
    expect(fetched.at(-1)).toEqual([60_000, 1000]);
  });

  it('keeps no more than its bound, the least recently used going first', async () => {
    const { read, fetched } = recorded(10_000, 1000, 3000);
    await read(8000, 1);
    await read(4000, 1);
    await read(6000, 1);
    await read(8000, 1);
    await read(2000, 1);
    expect(fetched).toHaveLength(4);
    await read(8000, 1);
    expect(fetched).toHaveLength(4);
    await read(4000, 1);
    expect(fetched).toHaveLength(5);
  });

  it('asks again after a failure, and tells every reader of it', async () => {
    const { read, fetched, failures, cache } = recorded(10_000, 1000, 5000);
    failures.push(new Error('unplugged'));
    const outcomes = await Promise.allSettled([cache.read(0, 10), cache.read(5, 10)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await read(0, 10);
    expect(fetched).toEqual([[0, 1000], [0, 1000]]);
  });

  it('uses what it was primed with, but no part of a window', async () => {
    const { bytes, cache, read, fetched } = recorded(2500, 1000, 5000);
    cache.prime(bytes.slice(0, 1500));
    await read(0, 1000);
    expect(fetched).toEqual([]);
    await read(1200, 1);
    expect(fetched).toEqual([[1000, 1500]]);

    const whole = recorded(2500, 1000, 5000);
    whole.cache.prime(whole.bytes);
    await whole.read(0, 2500);
    expect(whole.fetched).toEqual([]);
  });
});

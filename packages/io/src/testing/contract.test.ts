import type { ByteSource } from '@weightspec/core';
import { describe, expect, it } from 'vitest';
import { memorySource } from '../memory-source.js';
import { byteSourceContract } from './index.js';

/** Runs the suite on `open` outside of the test runner; gives the names of the tests that fail. */
async function failuresOf(open: (bytes: Uint8Array) => ByteSource): Promise<string[]> {
  const tests: [name: string, body: () => Promise<void>][] = [];
  byteSourceContract({ describe: (_, body) => body(), it: (name, body) => tests.push([name, body]), expect }, 'source', async (bytes) => open(bytes));
  const failed: string[] = [];
  for (const [name, body] of tests) await body().catch(() => failed.push(name));
  return failed;
}

/** A sound source with one read replaced. */
function broken(read: (sound: ByteSource, offset: number, length: number, bytes: Uint8Array) => Promise<Uint8Array>): (bytes: Uint8Array) => ByteSource {
  return (bytes) => {
    const sound = memorySource(bytes);
    return { ...sound, read: (offset, length) => read(sound, offset, length, bytes) };
  };
}

describe('byteSourceContract', () => {
  it('has nothing against a sound source, also one that need not be closed', async () => {
    expect(await failuresOf((bytes) => memorySource(bytes))).toEqual([]);
    expect(await failuresOf((bytes) => ({ ...memorySource(bytes), close: undefined }))).toEqual([]);
  });

  it.each<[fault: string, open: (bytes: Uint8Array) => ByteSource]>([
    ['a size that is off by one', (bytes) => ({ ...memorySource(bytes), size: bytes.byteLength - 1 })],
    ['short reads at the end', broken(async (_, offset, length, bytes) => bytes.slice(offset, offset + length))],
    ['bytes from one further on', broken((sound, offset, length) => sound.read(Math.min(offset + 1, sound.size - length), length))],
    ['offsets taken modulo 2^32', broken((sound, offset, length) => sound.read(offset >>> 0, length >>> 0))],
    ['fractions cut off', broken((sound, offset, length) => sound.read(Math.trunc(offset), length))],
    ['zero bytes refused at the end', broken(async (sound, offset, length) => (offset === sound.size ? Promise.reject(new RangeError('end')) : sound.read(offset, length)))],
    ['views of one buffer', broken(async (sound, offset, length, bytes) => (await sound.read(offset, length)) && bytes.subarray(offset, offset + length))],
    ['an error that is no RangeError', broken((sound, offset, length) => sound.read(offset, length).catch(() => Promise.reject(new Error('no'))))],
    ['reads that answer after close', (bytes) => ({ ...memorySource(bytes), close: async () => undefined })],
    ['a second close that fails', (bytes) => closeOnce(memorySource(bytes))],
    ['a buffer shared by concurrent reads', sharedBuffer],
  ])('finds %s', async (_, open) => {
    expect(await failuresOf(open)).not.toEqual([]);
  });
});

function closeOnce(sound: ByteSource): ByteSource {
  let closed = false;
  return {
    ...sound,
    async close() {
      if (closed) throw new Error('closed twice');
      closed = true;
      await sound.close?.();
    },
  };
}

function sharedBuffer(bytes: Uint8Array): ByteSource {
  const sound = memorySource(bytes);
  const scratch = new Uint8Array(bytes.byteLength);
  return {
    ...sound,
    async read(offset, length) {
      scratch.set(await sound.read(offset, length));
      await new Promise((resolve) => setTimeout(resolve, 1));
      return scratch.slice(0, length);
    },
  };
}

/**
 * The contract of ByteSource as a test suite. Every source runs it, also those of other packages, with the `describe`,
 * `it` and `expect` of its test runner:
 *
 *     byteSourceContract({ describe, it, expect }, 'my source', async (bytes) => mySource(bytes));
 */
import type { ByteSource } from '@weightspec/core';

/** What the suite needs of vitest, jest or mocha with chai. */
export interface TestApi {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
  readonly expect: (actual: unknown) => { toBe(expected: unknown): void; toBeInstanceOf(expected: unknown): void };
}

/** Opens a new source that holds exactly `bytes`. */
export type OpenSource = (bytes: Uint8Array) => Promise<ByteSource>;

/** Long enough to span several windows of any cache in front of a source, and not a multiple of one. */
const CONTRACT_BYTES = 300_001;

/** Byte i is the top byte of i × 2654435761 mod 2^32 (Knuth's hash): no period, so a range from elsewhere looks wrong. */
export function contractBytes(byteCount: number = CONTRACT_BYTES): Uint8Array {
  return Uint8Array.from({ length: byteCount }, (_, i) => Math.imul(i, 2_654_435_761) >>> 24);
}

export function byteSourceContract({ describe, it, expect }: TestApi, sourceName: string, open: OpenSource): void {
  const bytes = contractBytes();

  async function withSource(body: (source: ByteSource) => Promise<void>, content = bytes): Promise<void> {
    // A copy, so that a source which hands out views of it cannot change what is expected.
    const source = await open(content.slice());
    try {
      await body(source);
    } finally {
      await source.close?.();
    }
  }

  async function expectBytes(source: ByteSource, offset: number, length: number): Promise<void> {
    const actual = await source.read(offset, length);
    expect(actual).toBeInstanceOf(Uint8Array);
    expect(actual.byteLength).toBe(length);
    // Not toEqual on the arrays: printing a difference of 300 kB takes minutes.
    expect(firstDifference(actual, bytes.subarray(offset, offset + length))).toBe(undefined);
  }

  describe(`${sourceName} keeps the ByteSource contract`, () => {
    it('has a name and the exact size', () =>
      withSource(async (source) => {
        expect(source.name.length > 0).toBe(true);
        expect(source.size).toBe(bytes.byteLength);
      }));

    it('reads all bytes at once', () => withSource((source) => expectBytes(source, 0, bytes.byteLength)));

    it('reads exact lengths from any offset', () =>
      withSource(async (source) => {
        for (const [offset, length] of [[0, 1], [1, 2], [7, 4096], [65_535, 2], [65_536, 65_536], [131_071, 100_003], [299_000, 1001]] as const) {
          await expectBytes(source, offset, length);
        }
      }));

    it('reads the last byte, and nothing behind it', () =>
      withSource(async (source) => {
        await expectBytes(source, source.size - 1, 1);
        await expectRejection(source.read(source.size - 1, 2), RangeError);
        await expectRejection(source.read(source.size, 1), RangeError);
        await expectRejection(source.read(0, source.size + 1), RangeError);
        await expectRejection(source.read(source.size + 1, 0), RangeError);
      }));

    it('reads zero bytes anywhere, the end included', () =>
      withSource(async (source) => {
        for (const offset of [0, 5, source.size]) await expectBytes(source, offset, 0);
      }));

    it('refuses ranges that are negative, fractional, unsafe or not numbers (RangeError)', () =>
      withSource(async (source) => {
        for (const bad of [-1, NaN, 0.5, Infinity, -Infinity, 2 ** 53, 2 ** 64, Number.MAX_SAFE_INTEGER]) {
          await expectRejection(source.read(bad, 1), RangeError);
          await expectRejection(source.read(0, bad), RangeError);
        }
        await expectRejection(source.read(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), RangeError);
        // 2^32 and 2^31 are where 32-bit arithmetic would come round to a valid offset.
        await expectRejection(source.read(2 ** 32, 1), RangeError);
        await expectRejection(source.read(0, 2 ** 32 + 1), RangeError);
      }));

    it('answers concurrent reads, each with its own bytes', () =>
      withSource(async (source) => {
        const starts = Array.from({ length: 24 }, (_, i) => (i * 104_729) % (bytes.byteLength - 5000));
        await Promise.all(starts.map((start, i) => expectBytes(source, start, 1 + i * 199)));
      }));

    it('gives arrays that belong to the caller', () =>
      withSource(async (source) => {
        const first = await source.read(1000, 100);
        first.fill(0xee);
        await expectBytes(source, 1000, 100);
        await expectBytes(source, 0, 2000);
      }));

    it('opens an empty file', () =>
      withSource(async (source) => {
        expect(source.size).toBe(0);
        expect((await source.read(0, 0)).byteLength).toBe(0);
        await expectRejection(source.read(0, 1), RangeError);
      }, new Uint8Array(0)));

    it('can be closed twice, and rejects reads afterwards', async () => {
      const source = await open(bytes.slice());
      if (!source.close) return;
      await expectBytes(source, 0, 10);
      await source.close();
      await source.close();
      await expectRejection(source.read(0, 10), Error);
      await expectRejection(source.read(0, 0), Error);
    });
  });

  async function expectRejection(promise: Promise<unknown>, kind: new () => Error): Promise<void> {
    const outcome = await promise.then(
      () => 'the read succeeded',
      (error: unknown) => error,
    );
    expect(outcome).toBeInstanceOf(kind);
  }
}

/**
 * How reading [offset, offset + length) differs from slicing `bytes`, the source's whole content; undefined when it does
 * not. Outside of the bytes a RangeError is what must come. For property tests.
 */
export async function slicingMismatch(source: ByteSource, bytes: Uint8Array, offset: number, length: number): Promise<string | undefined> {
  const outcome = await source.read(offset, length).catch((error: unknown) => error);
  if (offset + length > bytes.byteLength) return outcome instanceof RangeError ? undefined : `expected a RangeError, got ${String(outcome)}`;
  return outcome instanceof Uint8Array ? firstDifference(outcome, bytes.subarray(offset, offset + length)) : String(outcome);
}

/** Where two arrays differ first, for a message that can be read; undefined when they are equal. */
export function firstDifference(actual: Uint8Array, expected: Uint8Array): string | undefined {
  if (actual.byteLength !== expected.byteLength) return `${actual.byteLength} bytes instead of ${expected.byteLength}`;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  return at < 0 ? undefined : `byte ${at} is ${actual[at]} instead of ${expected[at]}`;
}

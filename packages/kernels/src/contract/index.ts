/**
 * The contract of Backend as a test suite: each op alone over edge shapes, against float64 mathematics written apart from any
 * backend, with derived bounds; the same tokens in one run, one by one and in uneven batches; a whole small decoder; errors.
 * Every backend runs it, with the `describe`, `it` and `expect` of its test runner:
 *
 *     backendContract({ describe, it, expect }, myBackend);
 */
import type { Backend, Executable } from '@weightspec/core';
import { opCases, storageCases, type Expected, type OpCase } from './cases.js';
import { testStorages } from './data.js';
import { decoderCase } from './decoder.js';

/** What the suite needs of vitest, jest or mocha with chai. */
export interface TestApi {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
  readonly expect: (actual: unknown) => { toBe(expected: unknown): void; toBeInstanceOf(expected: unknown): void };
}

export interface ContractOptions {
  /**
   * Elements of an activation row that share one int8 scale where the backend multiplies weights stored as `storage` in integers
   * (32 for q8_0-like blocks); undefined where it multiplies in f32. The bound grows by what that rounding can do, and no more.
   */
  readonly activationBlock?: (storage: string) => number | undefined;
}

type Plan = (executable: Executable, tokens: readonly number[]) => Promise<Float32Array>;

/** Runs of `size` tokens each. */
const inBatchesOf = (size: number): Plan => async (executable, tokens) => {
  const rows: number[] = [];
  for (let position = 0; position < tokens.length; position += size) {
    rows.push(...(await executable.run(tokens.slice(position, position + size), position, { all: true })));
  }
  return Float32Array.from(rows);
};

const plans: readonly (readonly [string, Plan])[] = [
  ['all tokens at once', (executable, tokens) => executable.run(tokens, 0, { all: true })],
  ['token by token', inBatchesOf(1)],
  ['in batches of three', inBatchesOf(3)],
];

/** The worst element in words, or `within bounds`. */
export function verdictOf(actual: Float32Array, expected: readonly Expected[]): string {
  const values = expected.flatMap((row) => row.values);
  const bound = expected.flatMap((row) => row.bound);
  if (actual.length !== values.length) return `${actual.length} numbers instead of ${values.length}`;
  const wrong = values.findIndex((value, i) => !(Math.abs(actual[i]! - value) <= bound[i]!));
  if (wrong < 0) return 'within bounds';
  return `element ${wrong} is ${actual[wrong]}, not ${values[wrong]} ± ${bound[wrong]}`;
}

export function backendContract(api: TestApi, backend: Backend, { activationBlock = () => undefined }: ContractOptions = {}): void {
  const { describe, it, expect } = api;
  const storages = testStorages.filter((storage) => backend.supports('matmul', storage));

  async function withExecutable(opCase: OpCase, body: (executable: Executable) => Promise<void>): Promise<void> {
    const executable = await backend.compile(opCase.program, opCase.weights);
    try {
      await body(executable);
    } finally {
      await executable.dispose();
    }
  }
  async function errorOf(work: () => Promise<unknown>): Promise<unknown> {
    try {
      await work();
    } catch (error) {
      return error;
    }
    return undefined;
  }
  const checkCase = (opCase: OpCase): void => {
    it(opCase.name, async () => {
      for (const [plan, run] of plans) {
        await withExecutable(opCase, async (executable) => {
          expect(`${plan}: ${verdictOf(await run(executable, opCase.tokens), opCase.expected)}`).toBe(`${plan}: within bounds`);
        });
      }
    });
  };

  describe(`backend ${backend.id}: each op alone`, () => {
    for (const opCase of opCases()) checkCase(opCase);
  });
  describe(`backend ${backend.id}: each storage it supports`, () => {
    for (const storage of storages) for (const opCase of storageCases(storage, activationBlock(storage))) checkCase(opCase);
  });
  describe(`backend ${backend.id}: a whole decoder`, () => {
    const small = decoderCase('interleaved');
    checkCase(small);
    checkCase(decoderCase('halves'));
    it('returns the last row only when not asked for all', () =>
      withExecutable(small, async (executable) => {
        expect(verdictOf(await executable.run(small.tokens, 0), small.expected.slice(-1))).toBe('within bounds');
      }));
    it('starts again from any position that it has been at', () =>
      withExecutable(small, async (executable) => {
        await executable.run([...small.tokens].toReversed(), 0);
        await executable.run(small.tokens.slice(0, 5), 0);
        expect(verdictOf(await executable.run(small.tokens.slice(3), 3, { all: true }), small.expected.slice(3))).toBe('within bounds');
      }));
    it('keeps the sequences of two executables apart', () =>
      withExecutable(small, (first) =>
        withExecutable(small, async (second) => {
          await first.run(small.tokens.slice(0, 4), 0);
          await second.run([...small.tokens].toReversed(), 0);
          expect(verdictOf(await first.run(small.tokens.slice(4), 4, { all: true }), small.expected.slice(4))).toBe('within bounds');
        })));
    it('returns logits that later runs leave alone', () =>
      withExecutable(small, async (executable) => {
        const first = await executable.run(small.tokens.slice(0, 1), 0);
        await executable.run(small.tokens.slice(1), 1);
        expect(verdictOf(first, small.expected.slice(0, 1))).toBe('within bounds');
      }));
    it('shows the rows of every op to a trace, and the last are the logits', () =>
      withExecutable(small, async (executable) => {
        const seen: (readonly [index: number, rows: Float32Array])[] = [];
        const logits = await executable.run(small.tokens, 0, { all: true, trace: (_, index, rows) => seen.push([index, rows]) });
        expect(seen.map(([index]) => index).join()).toBe(small.program.ops.map((_, index) => index).join());
        expect(seen.at(-1)![1].join()).toBe(logits.join());
      }));
  });
  describe(`backend ${backend.id}: errors`, () => {
    const small = decoderCase('interleaved');
    const { vocabSize, maxSeqLen } = small.program;
    it('throws a RangeError for tokens outside the vocabulary, and can go on', () =>
      withExecutable(small, async (executable) => {
        for (const token of [-1, vocabSize, 0.5, Number.NaN]) expect(await errorOf(() => executable.run([1, token], 0))).toBeInstanceOf(RangeError);
        expect(verdictOf(await executable.run(small.tokens, 0, { all: true }), small.expected)).toBe('within bounds');
      }));
    it('throws a RangeError for positions outside the context, for a gap, and for no tokens', () =>
      withExecutable(small, async (executable) => {
        const tooMany = Array.from({ length: maxSeqLen + 1 }, () => 1);
        for (const position of [-1, 0.5, maxSeqLen, 1]) expect(await errorOf(() => executable.run([1], position))).toBeInstanceOf(RangeError);
        expect(await errorOf(() => executable.run(tooMany, 0))).toBeInstanceOf(RangeError);
        expect(await errorOf(() => executable.run([], 0))).toBeInstanceOf(RangeError);
      }));
    it('stops when its signal is aborted', () =>
      withExecutable(small, async (executable) => {
        const reason = new Error('enough');
        expect(await errorOf(() => executable.run(small.tokens, 0, { signal: AbortSignal.abort(reason) }))).toBe(reason);
      }));
    it('refuses to compile when a weight is missing', async () => {
      const weights = new Map(small.weights);
      weights.delete('1.down');
      expect(await errorOf(() => backend.compile(small.program, weights))).toBeInstanceOf(Error);
    });
    it('refuses a storage that it says it does not support', async () => {
      expect(backend.supports('matmul', 'NO_SUCH_STORAGE')).toBe(false);
      const weights = new Map(small.weights);
      weights.set('1.down', { ...weights.get('1.down')!, storage: 'NO_SUCH_STORAGE' });
      expect(await errorOf(() => backend.compile(small.program, weights))).toBeInstanceOf(Error);
    });
  });
}

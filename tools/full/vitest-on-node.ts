/**
 * What the native backend's suites use of vitest, on node:test: for a node that vitest itself does not start on, since the native parts
 * of its bundler are another processor's. Anything else that a suite asks of it is undefined, and fails. Groups whose names do not match
 * the environment's ONLY_GROUPS, if it is set, are left out: emulation is slow.
 */
import assert from 'node:assert/strict';
import { after, describe as group, it as test } from 'node:test';
import { format, isDeepStrictEqual } from 'node:util';

type Row = readonly unknown[];
type Body = (...row: never[]) => unknown;
type Declare = (name: string, body: () => void | Promise<void>) => void;

/** `$key` of a row that is an object, `%s` and the like of one that is not. */
function nameOf(name: string, row: Row): string {
  const [first] = row;
  const named = typeof first === 'object' && first !== null && !Array.isArray(first) ? name.replaceAll(/\$(\w+)/g, (_, key: string) => String(Reflect.get(first, key))) : name;
  return format(named, ...row.slice(0, (named.match(/%[sdijfo]/g) ?? []).length));
}

function withVariants(declare: Declare, skip: Declare) {
  const each = (rows: readonly unknown[]) => (name: string, body: Body): void => {
    for (const row of rows) {
      const args = Array.isArray(row) ? row : [row];
      declare(nameOf(name, args), () => Reflect.apply(body, undefined, args) as void | Promise<void>);
    }
  };
  return Object.assign((name: string, body: () => void | Promise<void>) => declare(name, body), {
    each,
    skipIf: (isSkipped: unknown): ReturnType<typeof withVariants> => withVariants(isSkipped ? skip : declare, skip),
  });
}

const wanted = new RegExp(process.env.ONLY_GROUPS ?? '');
let depth = 0;
function declareGroup(name: string, body: () => void | Promise<void>): void {
  if (depth === 0 && !wanted.test(name)) return;
  void group(name, () => {
    depth += 1;
    void body();
    depth -= 1;
  });
}

export const describe = withVariants(declareGroup, (name) => void group.skip(name));
export const it = withVariants((name, body) => void test(name, body), (name) => void test.skip(name));
export const afterAll = (body: () => void): void => after(body);

const isThrown = (error: unknown, expected: unknown): boolean => {
  const message = error instanceof Error ? error.message : String(error);
  if (expected instanceof RegExp) return expected.test(message);
  if (typeof expected === 'string') return message.includes(expected);
  return typeof expected === 'function' ? error instanceof expected : expected === undefined;
};

/** Whether a matcher's expectation holds. */
const matchers: Readonly<Record<string, (actual: never, expected: never) => boolean>> = {
  toBe: Object.is,
  toEqual: isDeepStrictEqual,
  toBeUndefined: (actual: unknown) => actual === undefined,
  toBeInstanceOf: (actual: unknown, expected: new () => unknown) => actual instanceof expected,
  toHaveLength: (actual: ArrayLike<unknown>, expected: number) => actual.length === expected,
  toBeLessThan: (actual: number, expected: number) => actual < expected,
  toBeLessThanOrEqual: (actual: number, expected: number) => actual <= expected,
  toBeGreaterThan: (actual: number, expected: number) => actual > expected,
  toThrow(actual: () => unknown, expected: unknown) {
    try {
      actual();
    } catch (error) {
      return isThrown(error, expected);
    }
    return false;
  },
};

type Matchers = Record<string, (expected?: unknown) => unknown>;

export function expect(actual: unknown): Matchers & { readonly not: Matchers; readonly rejects: Matchers } {
  const entries = (isWanted: boolean): Matchers => Object.fromEntries(Object.entries(matchers).map(([name, holds]) => [name, (expected?: unknown) =>
    assert.ok(holds(actual as never, expected as never) === isWanted, format('%o %s%s %o', actual, isWanted ? '' : 'not ', name, expected))]));
  const rejection = async (): Promise<unknown> => {
    const settled = await Promise.allSettled([actual]);
    assert.ok(settled[0].status === 'rejected', 'it did not reject');
    return settled[0].reason;
  };
  const rejects: Matchers = {
    toThrow: async (expected) => {
      const reason = await rejection();
      assert.ok(isThrown(reason, expected), format('rejected with %o, not %o', reason, expected));
    },
    toBe: async (expected) => assert.strictEqual(await rejection(), expected),
  };
  return Object.assign(entries(true), { not: entries(false), rejects });
}

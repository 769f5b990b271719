import { ConformanceError } from './codes.js';
import { matches } from './select.js';

/** A known failure: cases that may fail, or that are not run at all. */
export interface KnownFailure {
  /** A case's id, a prefix or a pattern. */
  readonly id: string;
  readonly expect: 'fail' | 'skip';
  readonly reason: string;
}

/** Parses a file of known failures. Throws ConformanceError (CONFORM_BAD_EXPECTATIONS). */
export function parseExpectations(text: string): readonly KnownFailure[] {
  const bad = (what: string) => new ConformanceError('CONFORM_BAD_EXPECTATIONS', what);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw bad(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const list: unknown = Reflect.get(Object(parsed), 'expectations');
  if (!Array.isArray(list)) throw bad('there is no list "expectations"');
  return list.map((entry: unknown, index): KnownFailure => {
    const { id, expect, reason } = Object(entry) as Record<string, unknown>;
    if (typeof id !== 'string' || id === '') throw bad(`expectation ${index} has no id`);
    if (expect !== 'fail' && expect !== 'skip') throw bad(`${id} expects ${JSON.stringify(expect)}, not "fail" or "skip"`);
    if (typeof reason !== 'string' || reason.trim() === '') throw bad(`${id} gives no reason`);
    return { id, expect, reason };
  });
}

/** The first known failure that means `id`. */
export const knownFailureOf = (id: string, known: readonly KnownFailure[]): KnownFailure | undefined => known.find((failure) => matches(id, failure.id));

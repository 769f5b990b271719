/** The suite inside a test runner: one test a case. */
import type { CaseList } from './case.js';
import { Unsupported } from './codes.js';
import { knownFailureOf, type KnownFailure } from './expectations.js';
import { caseFiles, type DataStore } from './files.js';
import { selectCases, type Shard } from './select.js';
import type { Subject } from './subject.js';
import { runCase } from './suites/index.js';

/** What the suite needs of vitest or jest. `it.skip` names the known failures that are not run. */
export interface TestApi {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: ((name: string, body: (context?: { skip?(note?: string): unknown }) => Promise<void>) => unknown) & { readonly skip?: (name: string, body: () => void) => unknown };
}

export interface DescribeOptions {
  readonly patterns?: readonly string[];
  readonly shard?: Shard;
  readonly knownFailures?: readonly KnownFailure[];
}

/**
 * A test for each case that `patterns` mean. What the subject does not support is skipped where the runner can say so (vitest's context),
 * and passes with the reason printed where it cannot.
 */
export function describeCases({ describe, it }: TestApi, { list, store }: { readonly list: CaseList; readonly store: DataStore }, subject: Subject, { patterns, shard, knownFailures = [] }: DescribeOptions = {}): void {
  const files = caseFiles(list, store);
  describe(`conformance of ${subject.name}`, () => {
    for (const one of selectCases(list.cases, patterns, shard)) {
      const known = knownFailureOf(one.id, knownFailures);
      if (known?.expect === 'skip') {
        it.skip?.(`${one.id} (${known.reason})`, () => {});
        continue;
      }
      it(one.id, async (context) => {
        try {
          await runCase(one, subject, files);
        } catch (error) {
          if (error instanceof Unsupported) {
            if (!context?.skip) console.log(`skipped: ${one.id}: ${error.message}`);
            context?.skip?.(error.message);
            return;
          }
          if (known) return;
          throw error;
        }
        if (known) throw new Error(`it was known to fail, and passed: ${known.reason}`);
      });
    }
  });
}

/** What a browser runs for wasm-browser.test.ts: the contract of backends with a runner of its own, as no test runner is in the page. */
import { activationBlock, openBackend, type OpenOptions } from '@weightspec/backend-wasm';
import { backendContract } from '@weightspec/kernels/contract';
import { smallCase } from '../../packages/backend-wasm/src/testing/small.js';

export interface PageReport {
  readonly isolated: boolean;
  /** Where the first operation of a small model runs. */
  readonly placement: string;
  readonly passed: number;
  readonly failures: readonly string[];
}

declare global {
  var runWasmContract: (options: OpenOptions) => Promise<PageReport>;
}

/** The two matchers that the contract asks for. */
const expect = (actual: unknown) => ({
  toBe(expected: unknown): void {
    if (!Object.is(actual, expected)) throw new Error(`${String(actual)} is not ${String(expected)}`);
  },
  toBeInstanceOf(expected: unknown): void {
    if (!(actual instanceof (expected as new () => object))) throw new Error(`${String(actual)} is no ${String(expected)}`);
  },
});

globalThis.runWasmContract = async (options) => {
  const backend = await openBackend(options);
  const tests: (readonly [name: string, body: () => Promise<void>])[] = [];
  backendContract({ describe: (_, body) => body(), it: (name, body) => tests.push([name, body]), expect }, backend, { activationBlock });
  const { program, weights } = smallCase();
  const executable = await backend.compile(program, weights);
  const placement = executable.placement![0]!;
  // Threads end with the last executable: idle ones would hold memories of earlier tests, and Chromium reserves 4 GiB for each.
  await executable.dispose();
  const failures: string[] = [];
  for (const [name, body] of tests) {
    try {
      await body();
    } catch (error) {
      failures.push(`${name}: ${String(error)}`);
    }
  }
  // Types of the tools are Node's.
  const { crossOriginIsolated = false } = globalThis as { readonly crossOriginIsolated?: boolean };
  return { isolated: crossOriginIsolated, placement, passed: tests.length - failures.length, failures };
};

/** What a browser runs for webgpu-browser.test.ts: the contract of backends, with a runner of its own, as no test runner is in the page. */
import { openBackend } from '@weightspec/backend-webgpu';
import { backendContract } from '@weightspec/kernels/contract';

export interface PageReport {
  readonly adapter: string;
  readonly results: readonly { readonly name: string; readonly error?: string }[];
}

declare global {
  var runContract: () => Promise<PageReport>;
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

globalThis.runContract = async () => {
  const backend = await openBackend();
  const tests: (readonly [name: string, body: () => Promise<void>])[] = [];
  backendContract({ describe: (_, body) => body(), it: (name, body) => tests.push([name, body]), expect }, backend);
  const results: { name: string; error?: string }[] = [];
  for (const [name, body] of tests) {
    try {
      await body();
      results.push({ name });
    } catch (error) {
      results.push({ name, error: String(error) });
    }
  }
  backend.close();
  return { adapter: backend.adapter, results };
};

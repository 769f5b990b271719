/**
 * What a browser runs for webgpu-browser.test.ts: the contract of backends, and the choice of the likeliest token, with a runner of its
 * own, as no test runner is in the page.
 */
import { openBackend } from '@weightspec/backend-webgpu';
import { greedySampler } from '@weightspec/engine';
import { backendContract } from '@weightspec/kernels/contract';
import { smallCase } from '../../packages/backend-wasm/src/testing/small.js';

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
  tests.push(['chooses the tokens that a greedy sampler takes', async () => {
    const { program, weights } = smallCase('Q8_0');
    const executable = await backend.compile(program, weights);
    let logits = await executable.run([1, 2, 3], 0);
    const expected: number[] = [];
    for (let position = 3; position < 9; position += 1) {
      expected.push(greedySampler().sample(logits));
      logits = await executable.run(expected.slice(-1), position);
    }
    const chosen: number[] = [];
    for await (const id of executable.greedy!([1, 2, 3], 0, expected.length)) chosen.push(id);
    await executable.dispose();
    expect(chosen.join()).toBe(expected.join());
  }]);
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

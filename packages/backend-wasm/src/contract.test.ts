import { afterAll, describe, expect, it } from 'vitest';
import { backendContract } from '@weightspec/kernels/contract';
import { activationBlock, openBackend } from './index.js';
import { relaxedChoices } from './testing/relaxed.js';
import { smallCase } from './testing/small.js';

const api = { describe, it, expect };

describe.each(relaxedChoices)('relaxed SIMD: %s', async (relaxedSimd) => {
  backendContract(api, { ...(await openBackend({ threads: 1, relaxedSimd })), id: 'wasm on one thread' }, { activationBlock });

  const backend = await openBackend({ threads: 3, relaxedSimd });
  // Threads are kept as long as an executable lives: the suite's hundreds take turns with the same ones.
  const { program, weights } = smallCase();
  const keeper = await backend.compile(program, weights);
  afterAll(() => keeper.dispose());
  backendContract(api, { ...backend, id: 'wasm on three threads' }, { activationBlock });
  backendContract(api, { ...backend, id: 'wasm, matrices left in their sources', compile: (p, w) => backend.compile(p, w, { memoryBudgetBytes: 0 }) }, { activationBlock });
});

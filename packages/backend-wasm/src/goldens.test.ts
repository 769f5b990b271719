import { describe } from 'vitest';
import { engineGoldens } from '../../engine/src/testing/index.js';
import { activationBlock, openBackend } from './index.js';
import { relaxedChoices } from './testing/relaxed.js';

const int8Activations = (storage: string): boolean => activationBlock(storage) !== undefined;

describe.each(relaxedChoices)('relaxed SIMD: %s', async (relaxedSimd) => {
  // On one thread the second time: that results do not depend on threads is tested elsewhere.
  engineGoldens(await openBackend({ threads: relaxedSimd ? 1 : 2, relaxedSimd }), { streams: true, int8Activations });
});
